"""Taking turns, medians, and the rows of the table."""

import os
import statistics
import time

import pool

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


def alternate(turns, count=None):
    """Run each of `turns` (name -> function) in turn, `count` times after a round that is
    thrown away. The order is reversed each time, so that none always follows the same."""
    values = {name: [] for name in turns}
    for number in range((count or rounds()) + 1):
        names = list(turns) if number % 2 else list(reversed(turns))
        for name in names:
            value = turns[name]()
            if number:
                values[name].append(value)
    return values


def timed(action, *args):
    """Seconds of the clock, in memory that the machine has."""
    pool.fill()
    pool.follow()
    start = time.monotonic()
    action(*args)
    return time.monotonic() - start


def rate(size, action, *args):
    """MB/s."""
    return size / timed(action, *args) / 1e6
