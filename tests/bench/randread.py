"""Cold random reads of 4 KiB, each of another chunk: one at a time, and 32."""

import json
import mmap
import os
import random
import socket
import statistics
import subprocess
import time

import peers
from measure import Row, alternate, at_least
from rig import GIB, Failure

COUNT = 2000
CHUNK = 64 << 10
BLOCK = 4096
SLACK = 150e-6

LUA = """
math.randomseed(%d)
request = function()
	local at = math.random(0, %d) * %d
	return wrk.format("GET", nil, { Range = "bytes=" .. at .. "-" .. (at + 4095) })
end
"""


def places(seed, count=COUNT):
    return [n * CHUNK for n in random.Random(seed).sample(range(GIB // CHUNK), count)]


def median_of(action, seed):
    took = []
    for at in places(seed):
        start = time.perf_counter()
        action(at)
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1e6


def read_file(path, seed, flags=os.O_DIRECT):
    """Median microseconds of reading a block of a file."""
    fd = os.open(path, os.O_RDONLY | flags)
    try:
        with mmap.mmap(-1, BLOCK) as buffer:
            return median_of(lambda at: os.preadv(fd, [buffer], at), seed)
    finally:
        os.close(fd)


def bare_get(rig, seed):
    """The same by plain requests over one kept connection."""
    with socket.create_connection(("127.0.0.1", rig.service.port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = bytearray(65536)
        view = memoryview(buffer)

        def get(at):
            s.send(b"GET /plain/big.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=%d-%d\r\n\r\n" % (at, at + BLOCK - 1))
            got = s.recv_into(buffer)
            whole = buffer.find(b"\r\n\r\n", 0, got) + 4 + BLOCK
            while got < whole:
                got += s.recv_into(view[got:])
            if buffer[9:12] != b"206":
                raise Failure("a bare GET was refused")
        return median_of(get, seed)


def fio(path):
    """Requests per second at depth 32, each chunk once."""
    out = subprocess.run(
        ["fio", "--name=r", f"--filename={path}", "--readonly", "--rw=randread", "--bs=4k", "--blockalign=64k",
         "--size=1g", "--direct=1", "--ioengine=libaio", "--iodepth=32", "--io_size=56m",
         "--output-format=json"], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out[out.index(b"{"):])["jobs"][0]["read"]["iops"]


def wrk(rig):
    script = f"{rig.dir}/wrk.lua"
    with open(script, "w", encoding="utf-8") as f:
        f.write(LUA % (int(time.time()), GIB // CHUNK - 1, CHUNK))
    out = rig.run("wrk", "-c32", "-d1", "-s", script, rig.service.url("plain/big.bin"))
    return float(out.split("Requests/sec:")[1].split()[0])


def measure(rig):
    rig.service.add("bench.vhd", rig.images.drive())
    rig.service.serve_plain(rig.images.tree())
    seeds = iter(range(1000))

    def prepared(action):
        def turn():
            with rig.mount("bench.vhd") as m:
                peers.read_start(m.path(), CHUNK, CHUNK)  # where the file's blocks lie is known
                return action(m.path())
        return turn

    def nbdfuse():
        with peers.nbdfuse(rig) as path:
            return read_file(path, next(seeds), 0)

    got = alternate({
        "ours": prepared(lambda path: read_file(path, next(seeds))),
        "get": lambda: bare_get(rig, next(seeds)),
        "nbdfuse": nbdfuse,
        "ours32": prepared(fio), "wrk": lambda: wrk(rig),
    })
    yield Row("cold random 4 KiB, depth 1", got["ours"], got["get"], "us", "bare GET", "<= GET + 150 us",
              lambda row: row.ours <= row.peer + SLACK * 1e6)
    yield Row("cold random 4 KiB, depth 1", got["ours"], got["nbdfuse"], "us", "nbdfuse", "< 1.00",
              lambda row: row.ratio < 1)
    yield Row("cold random 4 KiB, depth 32", got["ours32"], got["wrk"], "1/s", "wrk -c32", ">= 0.60", at_least(0.6))
