"""Upload of a 4 GiB VHD with 5 % data: bytes sent, and the rate of sending them."""

import peers
from measure import Row, alternate, at_least, timed
from rig import GIB, MIB

SIZE = 4 * GIB
EXTENT = 2 * MIB
DATA = SIZE // 20 // EXTENT * EXTENT


def make_image(rig):
    """Data in pieces of 2 MiB, spread evenly."""
    source = rig.images.tree() + "/one.bin"

    def make(path):
        with open(path + ".raw", "wb") as out, open(source, "rb") as data:
            out.truncate(SIZE)
            for i in range(DATA // EXTENT):
                out.seek(i * (SIZE // (DATA // EXTENT)) // EXTENT * EXTENT)
                out.write(data.read(EXTENT))
        rig.images.to_vhd(path + ".raw", path)
    return rig.images.cached("bench-4g.vhd", make)


def measure(rig):
    image, name, sent = make_image(rig), "upload", []
    # The blob itself is not there yet; what it is built as is.
    rig.service.add(name, image, pattern=r"bench-4g\.vhd\.hpcpack-upload", log=True)
    piece = f"{rig.dir}/piece"
    with open(rig.images.tree() + "/one.bin", "rb") as f, open(piece, "wb") as out:
        out.write(f.read(4 * MIB))
    pieces = -(-DATA // (4 * MIB))
    config = peers.curl_config(rig, rig.service.url("sink"), pieces * 4 * MIB, piece)

    def ours():
        seen = len(rig.service.requests(name))
        took = timed(rig.run, "hpcpack", "upload", image, "--container", "drives", "--blob-type", "page", "--use-http",
                     "--connection-string", rig.service.account())
        sent.append(sum(size for _, _, size in rig.service.requests(name)[seen:]) / MIB)
        return DATA / took / 1e6

    got = alternate({"ours": ours, "curl": lambda: pieces * 4 * MIB / timed(peers.curl, rig, config) / 1e6})
    yield Row("upload 4 GiB, 5 % data: MiB sent", sent[1:], [DATA / MIB], "MiB", "data", "<= 1.10",
              lambda row: 1 <= row.ratio <= 1.1)
    yield Row("upload 4 GiB, 5 % data", got["ours"], got["curl"], "MB/s", "curl PUTs", ">= 0.80", at_least(0.8))
