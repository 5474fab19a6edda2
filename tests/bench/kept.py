"""Reading a file on a drive from the persistent cache, as from the disk that it lies on;
and what filling it costs the first reader."""

import os
import shutil

import peers
from measure import Row, alternate, at_least, rate
from rig import GIB, Failure, process_seconds


def forget(path):
    """Out of the page cache."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def measure(rig):
    rig.service.add("bench.vhd", rig.images.drive())
    kept, local = rig.path("kept"), f"{rig.dir}/local.bin"
    shutil.copyfile(f"{rig.images.tree()}/big.bin", local)
    os.chmod(kept, 0o700)
    options = f"cache-dir={kept},cache-size=4G"
    seconds = []

    def from_drive(with_cache=True):
        with rig.mount("bench.vhd", options=options if with_cache else None) as m:
            before = process_seconds(m.pid)
            result = rate(GIB, peers.read_start, m.path())
            seconds.append(process_seconds(m.pid) - before)
            kept_bytes = next(e for e in rig.list_mounts() if e["pid"] == m.pid)["cache_dir_read"]
        return result, kept_bytes

    def first():
        shutil.rmtree(f"{kept}/drives", ignore_errors=True)
        return from_drive()[0]

    filled = alternate({"ours": first, "without": lambda: from_drive(False)[0]})

    # What the filler had no time for is kept by later readers.
    for _ in range(20):
        if from_drive()[1] >= GIB:
            break
    else:
        raise Failure("the file is not kept after 20 reads")

    def disk():
        forget(local)
        return rate(GIB, peers.read_start, local)

    seconds.clear()
    got = alternate({"ours": lambda: from_drive()[0], "disk": disk})
    os.unlink(local)
    yield Row("warm read from the persistent cache", got["ours"], got["disk"], "MB/s", "its disk", ">= 0.7",
              at_least(0.7), f"worker {sum(seconds) / len(seconds):.2f} CPU s/GiB")
    yield Row("cold read that fills it", filled["ours"], filled["without"], "MB/s", "not filling", ">= 0.8",
              at_least(0.8))
