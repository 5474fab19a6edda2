"""Reading a file again: from the kernel's page cache, as from a local loop mount."""

import contextlib

import peers
from measure import Row, alternate, at_least, rate
from rig import GIB


@contextlib.contextmanager
def local_mount(rig, image):
    where = rig.path("local")
    rig.run("mount", "-o", "loop,ro,noload", "-t", "ext4", image, where)
    try:
        yield where + "/big.bin"
    finally:
        rig.run("umount", where)


def measure(rig):
    image = rig.images.drive()
    rig.service.add("bench.vhd", image)
    with rig.mount("bench.vhd") as m, local_mount(rig, image) as local:
        def turn(path):
            def run():
                peers.read_start(path)
                return rate(GIB, peers.read_start, path)
            return run
        got = alternate({"ours": turn(m.path()), "local": turn(local)})
    yield Row("warm read (page cache)", got["ours"], got["local"], "MB/s", "local ext4", ">= 0.95", at_least(0.95))
