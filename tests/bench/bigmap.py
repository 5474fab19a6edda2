"""Mount of a 1 TiB VHD whose allocation is 10,000 page ranges, to the first byte of a
file: how many requests before the filesystem's own reads, and how long."""

import os
import time

from measure import Row, alternate

RANGES = 10000


def make_image(rig):
    files = rig.path("small")
    with open(files + "/hello.txt", "w", encoding="utf-8") as f:
        f.write("hello\n")

    def make(path):
        raw = path + ".raw"
        rig.run("truncate", "-s", "1T", raw)
        rig.run("mke2fs", "-q", "-F", "-t", "ext4", "-J", "size=4", "-O", "^resize_inode", "-N", "65536", "-E",
                "lazy_itable_init=1,lazy_journal_init=1,packed_meta_blocks=1,nodiscard", "-d", files, raw)
        rig.images.to_vhd(raw, path)
    return rig.images.cached("bench-1t.vhd", make)


def data_ranges(path):
    """(offset, length) of the file's data."""
    found, at = [], 0
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        while at < size:
            try:
                start = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(fd, start, os.SEEK_HOLE)
            found.append((start, at - start))
    finally:
        os.close(fd)
    return found


def spread(ranges, size):
    """Ten thousand ranges: the real ones, and small ones all over the disk."""
    more, step = RANGES - len(ranges), size // RANGES // 4096 * 4096
    taken = [(i * step + 4096, 4096) for i in range(RANGES)]
    free = [r for r in taken if not any(s < r[0] + r[1] and r[0] < s + n for s, n in ranges)]
    return sorted(ranges + free[:more])


def measure(rig):
    image = make_image(rig)
    name = "big.vhd"
    rig.service.add(name, image, spread(data_ranges(image), os.path.getsize(image)), log=True)
    before = []

    def turn():
        seen = len(rig.service.requests(name))
        start = time.monotonic()
        with rig.mount(name) as m:
            with open(m.path("hello.txt"), encoding="utf-8") as f:
                f.read()
            took = time.monotonic() - start
            requests = rig.service.requests(name)[seen:]
        reads = [i for i, (method, comp, _) in enumerate(requests) if method == "GET" and comp == "-"]
        # The first read is of the footer; the second is what somebody reads of the disk.
        before.append(reads[1] if len(reads) > 1 else len(requests))
        return took

    first_byte = alternate({"ours": turn})["ours"]
    yield Row("1 TiB, 10,000 ranges: requests before reads", before[1:], [], "", "", "<= 10",
              lambda row: row.ours <= 10)
    yield Row("1 TiB, 10,000 ranges: to the first byte", first_byte, [], "s", "", "<= 1", lambda row: row.ours <= 1)
