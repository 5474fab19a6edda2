"""The most memory that any worker of this run ever had."""

import peers
from measure import Row
from rig import MIB

BUDGET = 256 * MIB
SLACK = 48 * MIB


def measure(rig):
    rig.service.add("bench.vhd", rig.images.drive())
    with rig.mount("bench.vhd", write=True) as m:
        peers.read_start(m.path())
        peers.write_file(rig, m.path())
    peak = max(rig.memory) / MIB
    yield Row("memory of a worker, at most", [peak], [BUDGET / MIB], "MiB", "the cache", "<= cache + 48 MiB",
              lambda row: row.ours <= (BUDGET + SLACK) / MIB)
