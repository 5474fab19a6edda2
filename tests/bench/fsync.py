"""Random 4 KiB writes, each with fsync, when every request takes 2 ms."""

import os
import random
import socket
import statistics
import time

from measure import Row, alternate, at_most
from rig import GIB, Failure

COUNT = 150
BLOCK = 4096


def medians(action):
    took = []
    for _ in range(COUNT):
        start = time.perf_counter()
        action()
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1e3


def bare_put(rig):
    """Milliseconds of one request with a block."""
    with socket.create_connection(("127.0.0.1", rig.service.port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def put():
            s.sendall(b"PUT /close-sink HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BLOCK + bytes(BLOCK))
            if s.recv(65536)[9:12] != b"201":
                raise Failure("a bare PUT was refused")
        return medians(put)


def writes(path):
    place = random.Random(1)
    fd = os.open(path, os.O_WRONLY)
    try:
        def one():
            os.pwrite(fd, os.urandom(BLOCK), place.randrange(GIB // BLOCK) * BLOCK)
            os.fsync(fd)
        return medians(one)
    finally:
        os.close(fd)


def measure(rig):
    rig.service.add("bench.vhd", rig.images.drive())

    def ours():
        with rig.mount("bench.vhd", endpoint="close", write=True) as m:
            return writes(m.path())

    got = alternate({"ours": ours, "put": lambda: bare_put(rig)})
    yield Row("random 4 KiB write and fsync, 2 ms a request", got["ours"], got["put"], "ms", "bare PUT", "<= 2.5",
              at_most(2.5))
