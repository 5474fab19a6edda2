"""Taking turns, medians, and the rows of the table."""

import os
import statistics
import time

import rig

MIB = 1 << 20


class Row:
    """One line of the table. `ours` and `peer` are lists, one number a round, in the same
    unit; the ratio is that of their medians, and `met` says whether it is what is asked."""

    def __init__(self, measure, ours, peer, unit, peer_name, target, met, notes=""):
        self.measure, self.unit, self.peer_name, self.target, self.notes = \
            measure, unit, peer_name, target, notes
        self.rounds = {"ours": list(ours), "peer": list(peer)}
        self.ours = statistics.median(ours)
        self.peer = statistics.median(peer) if peer else None
        self.ratio = self.ours / self.peer if self.peer else None
        self.met = bool(met(self) if callable(met) else met)

    def as_json(self):
        return {k: getattr(self, k) for k in
                ("measure", "ours", "peer", "peer_name", "unit", "ratio", "target", "met", "notes", "rounds")}


def at_least(ratio):
    return lambda row: row.ratio >= ratio


def at_most(ratio):
    return lambda row: row.ratio <= ratio


def rounds():
    return max(1, int(os.environ.get("ROUNDS", "5")))


class Disturbed(Exception):
    """Memory went back to the host while something was timed: the figure says nothing."""


GIVEN_BACK_MAX = 64 << 10  # KiB
TRIES = 2                  # of a turn; the last one is taken as it is
may_repeat = False         # what is timed now is (part of) a turn that can be repeated


def alternate(turns, count=None):
    """Run each of `turns` (name -> function) in turn, `count` times after a round that is
    thrown away. The order is reversed each time, so that none always follows the same."""
    values = {name: [] for name in turns}
    for number in range((count or rounds()) + 1):
        names = list(turns) if number % 2 else list(reversed(turns))
        for name in names:
            value = undisturbed(turns[name])
            if number:
                values[name].append(value)
    return values


def undisturbed(turn):
    global may_repeat
    may_repeat = True
    try:
        for _ in range(TRIES - 1):
            try:
                return turn()
            except Disturbed:
                pass
    finally:
        may_repeat = False
    return turn()


def timed(action, *args):
    """Seconds of the clock, in warm memory."""
    rig.warm_memory()
    before = rig.given_back()
    start = time.monotonic()
    action(*args)
    seconds = time.monotonic() - start
    if rig.given_back() - before > GIVEN_BACK_MAX and may_repeat:
        raise Disturbed
    return seconds


def rate(size, action, *args):
    """MB/s."""
    return size / timed(action, *args) / 1e6
