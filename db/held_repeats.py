"""Waits and intervals between purchases, from the days of orders in memory: the same as db/repeats.py gives by SQL.

A purchase is a day with at least one order. `rows` and `days` are those of purchases, each once, by row and day.
"""

from __future__ import annotations

import numpy as np

from db.arrays import Bools, Numbers


def purchases(rows: Numbers, days: Numbers, who: Bools) -> tuple[Numbers, Numbers]:
    """The purchases of those in `who`, from the rows and days of orders in any order; days are of 32 bits."""
    kept = np.flatnonzero(who[rows])
    both = np.sort(rows[kept].astype(np.int64) * 2**32 + (days[kept].astype(np.int64) + 2**31))
    both = both[np.flatnonzero(np.diff(both, prepend=-1))]  # several times quicker than np.unique, which hashes
    return both >> 32, (both & (2**32 - 1)) - 2**31


def intervals(rows: Numbers, days: Numbers) -> list[tuple[int, int]]:
    """Days from a purchase to the next of the same customer → how many."""
    apart = np.diff(days)[np.diff(rows) == 0]
    return _counted(apart)


def waits(
    rows: Numbers, days: Numbers, *, step: int, start: int, known: int, today: int
) -> tuple[list[tuple[int, bool, int]], int]:
    """From the `step`-th purchase on: days, whether the next one came, how many; and how many are not known.

    Of those whose first purchase is on the day `start` or later; it is known to be the first from `known` on.
    """
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    sizes = np.diff(first, append=len(rows))
    kept = days[first] >= start
    first, sizes = first[kept], sizes[kept]
    late = days[first] >= known
    had, next_one = late & (sizes >= step), late & (sizes > step)
    came = days[first[next_one] + step] - days[first[next_one] + step - 1]
    waiting = np.maximum(today - days[first[had & ~next_one] + step - 1], 0)
    told = [(days, True, n) for days, n in _counted(came)] + [(days, False, n) for days, n in _counted(waiting)]
    return told, int(np.count_nonzero(~late))


def _counted(values: Numbers) -> list[tuple[int, int]]:
    times = np.bincount(values)
    return [(int(value), int(times[value])) for value in np.flatnonzero(times)]
