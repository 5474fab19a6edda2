"""1, 4 and 16 drives mounted and read at once on one node: the rate in all."""

import contextlib

import peers
from measure import Row, alternate, at_least, rate, rounds
from rig import GIB


def measure(rig):
    rig.service.add("drives.vhd", rig.images.drive(), pattern=r"drive\d+\.vhd")

    def turn(count):
        def run():
            with contextlib.ExitStack() as stack:
                mounts = [stack.enter_context(rig.mount(f"drive{i}.vhd", point=f"mnt{i}", options="cache=64M"))
                          for i in range(count)]
                return rate(GIB, peers.together, [(m.path(), i, GIB // count) for i, m in enumerate(mounts)])
        return run

    got = alternate({n: turn(n) for n in (1, 4, 16)}, min(rounds(), 3))
    for n in (4, 16):
        yield Row(f"{n} drives read at once", got[n], got[1], "MB/s", "1 drive", ">= 1.00", at_least(1.0))
