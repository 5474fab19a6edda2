#!/usr/bin/env python3
"""Memory for what is timed, as it is on a machine that is up for long.

A virtual machine gives free memory back to its host, here all of it within seconds.
Whoever is first to touch such memory again waits for the host: 2.4 seconds for a GiB,
against 0.13 for memory that the machine has. That is not what is measured, and it is not
the same for all: curl throws away what it reads, a file system keeps it.

So a process of its own holds SIZE of memory. While something is timed it frees as much of
it as the others take, in small steps: what it frees is used, and used before it can be
given back. Before the next timing it takes as much again, of what the last one freed.
Small allocations prefer fragments, which were given back, too: it takes those for good.
"""

import ctypes
import mmap
import os
import select
import signal
import subprocess
import sys

SIZE = 3 << 30
STEP = 16 << 20
AHEAD = 64 << 20   # is free, and the machine's, at any time while something is timed
TICK = 0.004       # seconds
FILL, FOLLOW = b"f", b"g"

FRAGMENT_ORDERS = 9        # what is smaller than a huge page
FRAGMENTS_LEFT = 64 << 20
VAIN_MAX = 3               # steps without fewer fragments

MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_POPULATE_WRITE = 14, 15, 23


holder = None  # the process that holds the memory


def start():
    global holder
    holder = subprocess.Popen([sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, bufsize=0)


def say(word):
    holder.stdin.write(word)
    if not holder.stdout.read(1):
        raise OSError("the process that holds the memory is gone")


def fill():
    say(FILL)


def follow():
    """From here to the next fill() memory is freed as it is taken."""
    say(FOLLOW)


def stop():
    holder.stdin.close()
    holder.wait()


# --- that process ---

def piece(pages=MADV_HUGEPAGE):
    m = mmap.mmap(-1, STEP, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    m.madvise(pages)
    m.madvise(MADV_POPULATE_WRITE)
    return m


def fragments():
    """Bytes of free memory in pieces smaller than a huge page, as files and programs get it."""
    with open("/proc/pagetypeinfo", encoding="ascii") as f:
        kinds = [line.split()[6:6 + FRAGMENT_ORDERS] for line in f if line.startswith("Node") and " Movable " in line]
    return sum(int(count) << order for kind in kinds for order, count in enumerate(kind)
               if count.isdigit()) * mmap.PAGESIZE


def take_fragments(held):
    """Some can't be had: those of other zones."""
    least, vain = fragments(), 0
    while least > FRAGMENTS_LEFT and vain < VAIN_MAX:
        held.append(piece(MADV_NOHUGEPAGE))
        left = fragments()
        vain = 0 if left < least else vain + 1
        least = min(least, left)


def free_memory(page=mmap.PAGESIZE):
    return os.sysconf("SC_AVPHYS_PAGES") * page


def hold():
    held, wanted, fragments_held = [], None, []
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
            take_fragments(fragments_held)
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
