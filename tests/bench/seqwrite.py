"""Sequential write of 1 GiB with fsync at its end, against parallel PUTs by curl."""

import peers
from measure import Row, alternate, at_least, rate
from rig import GIB, MIB


def measure(rig):
    rig.service.add("bench.vhd", rig.images.drive())
    piece = f"{rig.dir}/piece"
    with open(rig.images.tree() + "/big.bin", "rb") as f, open(piece, "wb") as out:
        out.write(f.read(4 * MIB))
    config = peers.curl_config(rig, rig.service.url("sink"), GIB, piece)

    def ours():
        with rig.mount("bench.vhd", write=True) as m:
            return rate(GIB, peers.write_file, rig, m.path())

    got = alternate({"ours": ours, "curl": lambda: rate(GIB, peers.curl, rig, config)})
    yield Row("sequential write and fsync", got["ours"], got["curl"], "MB/s", "curl PUTs", ">= 0.70", at_least(0.7))
