"""Cold sequential read of a 1 GiB file on a mounted ext4 drive; and what it costs."""

import filecmp

import peers
from measure import Row, alternate, at_least, at_most, rate
from rig import GIB, MIB, Failure, Usage, process_seconds

PART = 256 * MIB  # is enough of the slow ones


def measure(rig):
    rig.service.add("bench.vhd", rig.images.drive())
    rig.service.serve_plain(rig.images.tree())
    config = peers.curl_config(rig, rig.service.url("plain/big.bin"), GIB)
    seconds = {"ours": [], "curl": []}

    with rig.mount("bench.vhd") as m:
        if not filecmp.cmp(m.path(), rig.images.tree() + "/big.bin", shallow=False):
            raise Failure("the drive's bytes are wrong")

    def ours():
        with rig.mount("bench.vhd") as m:
            before = process_seconds(m.pid)
            with Usage() as reader:
                result = rate(GIB, peers.read_start, m.path())
            seconds["ours"].append(reader.seconds + process_seconds(m.pid) - before)
        return result

    def curl():
        with Usage() as used:
            result = rate(GIB, peers.curl, rig, config)
        seconds["curl"].append(used.seconds)
        return result

    def slow(peer):
        def turn():
            with peer(rig) as path:
                return rate(PART, peers.read_start, path, PART)
        return turn

    got = alternate({"ours": ours, "curl": curl, "rclone": slow(peers.rclone), "nbdfuse": slow(peers.nbdfuse)})
    yield Row("cold sequential read", got["ours"], got["curl"], "MB/s", "curl", ">= 0.90", at_least(0.90))
    for peer in ("rclone", "nbdfuse"):
        yield Row("cold sequential read", got["ours"], got[peer], "MB/s", peer, ">= 10", at_least(10))
    yield Row("CPU of it, worker and reader", seconds["ours"][1:], seconds["curl"][1:], "s/GiB", "curl",
              "<= 2.5", at_most(2.5))
