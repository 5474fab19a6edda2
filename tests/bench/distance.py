"""The cold sequential read when each request takes 20 ms before its reply begins."""

import peers
from measure import Row, alternate, at_least, rate
from rig import GIB, Failure


def measure(rig):
    rig.service.add("bench.vhd", rig.images.drive())
    rig.service.serve_plain(rig.images.tree())
    url = rig.service.url("far-plain/big.bin")
    config = peers.curl_config(rig, url, GIB)

    took = min(float(rig.run("curl", "-sfo", "/dev/null", "-w", "%{time_total}", "-r", "0-4095", url))
               for _ in range(3))
    if not 0.020 <= took < 0.080:
        raise Failure(f"a request takes {took * 1000:.0f} ms, not 20")

    def ours():
        with rig.mount("bench.vhd", endpoint="far") as m:
            return rate(GIB, peers.read_start, m.path())

    got = alternate({"ours": ours, "curl": lambda: rate(GIB, peers.curl, rig, config, 16)})
    yield Row("cold sequential read, 20 ms a request", got["ours"], got["curl"], "MB/s", "curl, 16 conn.",
              ">= 0.85", at_least(0.85))
