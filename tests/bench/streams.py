"""Several readers of one drive, against one: two files, and eight parts of a file."""

import peers
from measure import Row, alternate, at_least, rate
from rig import GIB


def measure(rig):
    rig.service.add("bench.vhd", rig.images.drive())

    def turn(action):
        def run():
            with rig.mount("bench.vhd") as m:
                return rate(GIB, action, m)
        return run

    got = alternate({
        "one": turn(lambda m: peers.read_start(m.path())),
        "two": turn(lambda m: peers.together([(m.path("one.bin"), 0, GIB // 2), (m.path("two.bin"), 0, GIB // 2)])),
        "eight": turn(lambda m: peers.together([(m.path(), i, GIB // 8) for i in range(8)])),
    })
    for name, what in (("two", "two files at once"), ("eight", "one file by 8 processes")):
        yield Row(what, got[name], got["one"], "MB/s", "one stream", ">= 1.00", at_least(1.0))
