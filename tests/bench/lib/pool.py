#!/usr/bin/env python3
"""Memory for what is timed, as it is on a machine that is up for long.

A virtual machine gives free memory back to its host, here all of it within seconds.
Whoever is first to touch such memory again waits for the host: 2.4 seconds for a GiB,
against 0.13 for memory that the machine has. That is not what is measured, and it is not
the same for all: curl throws away what it reads, a file system keeps it.

So a process of its own holds SIZE of memory. While something is timed it frees as much of
it as the others take, in small steps: what it frees is used, and used before it can be
given back. Before the next timing it takes as much again, of what the last one freed.
"""

import ctypes
import mmap
import os
import select
import signal
import subprocess
import sys

SIZE = 3 << 30
STEP = 32 << 20
AHEAD = 128 << 20  # is free, and the machine's, at any time while something is timed
TICK = 0.004       # seconds
FILL, FOLLOW = b"f", b"g"

MADV_HUGEPAGE, MADV_POPULATE_WRITE = 14, 23


class Pool:
    """The process that holds the memory, from where it is used."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)

    def say(self, word):
        self.process.stdin.write(word)
        if not self.process.stdout.read(1):
            raise OSError("the process that holds the memory is gone")

    def fill(self):
        self.say(FILL)

    def follow(self):
        """From here to the next fill() memory is freed as it is taken."""
        self.say(FOLLOW)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def piece():
    m = mmap.mmap(-1, STEP, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    m.madvise(MADV_HUGEPAGE)
    m.madvise(MADV_POPULATE_WRITE)
    return m


def free_memory(page=mmap.PAGESIZE):
    return os.sysconf("SC_AVPHYS_PAGES") * page


def hold():
    held, wanted = [], None
    while True:
        if wanted is not None:
            while held and free_memory() < wanted:
                held.pop().close()
        if not select.select([0], [], [], TICK if wanted is not None and held else None)[0]:
            continue
        word = os.read(0, 1)
        if word == FILL:
            wanted = None
            while len(held) < SIZE // STEP:
                held.append(piece())
        elif word == FOLLOW:
            wanted = free_memory() + AHEAD
            while free_memory() < wanted and held:
                held.pop().close()
        else:
            return
        os.write(1, b".")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nobody else ends it then
    os.nice(-10)
    hold()
