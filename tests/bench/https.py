"""The cold sequential read over HTTPS."""

import peers
from measure import Row, alternate, at_least, rate
from rig import GIB


def measure(rig):
    rig.service.add("bench.vhd", rig.images.drive())
    rig.service.serve_plain(rig.images.tree())
    config = peers.curl_config(rig, rig.service.url("plain/big.bin", tls=True), GIB)

    def ours():
        with rig.mount("bench.vhd", endpoint="tls") as m:
            return rate(GIB, peers.read_start, m.path())

    got = alternate({"ours": ours, "curl": lambda: rate(GIB, peers.curl, rig, config)})
    yield Row("cold sequential read over HTTPS", got["ours"], got["curl"], "MB/s", "curl", ">= 0.85", at_least(0.85))
