"""What pieces of a rebuild are reckoned with: values in order, and what differs from what stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from db.array_bytes import Bigints
from db.arrays import Numbers

WIDEST = 1 << 22
"""Numbers that lie no further apart are looked up in a table of them."""


class Known:
    """Where values stand among known ones, which are in order."""

    def __init__(self, known: Numbers) -> None:
        self.known = known
        self._table: Numbers | None = None
        if len(known) and known[-1] - known[0] < WIDEST:
            # Beyond both ends stands one that is unknown.
            self._table = np.full(known[-1] - known[0] + 3, -1, np.int64)
            self._table[known - known[0] + 1] = np.arange(len(known))

    def find(self, values: Numbers) -> tuple[Numbers, Numbers]:
        """The place of each, any where there is none, and whether there is one."""
        if not len(self.known):
            return np.zeros(len(values), np.int64), np.zeros(len(values), np.bool_)
        if self._table is not None:
            at = self._table[np.clip(values, self.known[0] - 1, self.known[-1] + 1) - (self.known[0] - 1)]
            return at, at >= 0
        at = np.minimum(np.searchsorted(self.known, values), len(self.known) - 1)
        return at, self.known[at] == values


def placed(keys: Numbers) -> Numbers:
    """The order by keys from 0 on, equal ones as they stand; where there is room for places beside them, faster than
    argsort."""
    bits = len(keys).bit_length()
    if not len(keys) or int(keys.max()) >> (63 - bits):
        return np.argsort(keys, kind="stable")
    both = keys << bits | np.arange(len(keys))
    both.sort()
    found: Numbers = both & ((1 << bits) - 1)
    return found


def firsts(values: Numbers) -> Numbers:
    """Where in sorted values another one starts."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1])) if len(values) else np.zeros(0, np.int64)


def summed(values: Numbers, first: Numbers) -> Numbers:
    """What the values of each part add up to; a part starts where `first` says, and ends where the next one starts."""
    found: Numbers = np.add.reduceat(values, first) if len(first) else np.zeros(0, np.int64)
    return found


def added(sums: Sequence[Numbers]) -> Numbers:
    """Equal keys as one, in order: keys are the first row of each, what is added up the others."""
    found = np.concatenate(sums, axis=1)
    order = placed(found[0])
    key = found[0][order]
    first = firsts(key)
    return np.stack([key[first], *(summed(each[order], first) for each in found[1:])])


@dataclass(frozen=True)
class Lists:
    """Of each row as many values as `n` says, in each column; those of a row stand together, and rows in order."""

    n: Numbers
    columns: Sequence[Numbers]

    def of(self, rows: Numbers) -> Lists:
        """Of these rows only; `rows` says it of each."""
        each = np.repeat(rows, self.n)
        return Lists(self.n[rows], [column[each] for column in self.columns])

    def slices(self) -> dict[str, Bigints]:
        """From which place to which each row's values stand in a column, as PostgreSQL counts."""
        ends = np.cumsum(self.n)
        return {"starts": Bigints(ends - self.n + 1), "stops": Bigints(ends)}


NO_LISTS = Lists(np.zeros(0, np.int64), ())


def compared(
    keys: Numbers,
    values: Sequence[Numbers],
    standing: Numbers,
    stored: Sequence[Numbers],
    lists: Lists = NO_LISTS,
    stored_lists: Lists = NO_LISTS,
) -> tuple[Numbers, Numbers]:
    """Which rows, by keys in order, differ from those that stand, in any order; and the keys that stand in vain."""
    if not len(standing):
        return np.ones(len(keys), np.bool_), standing
    if not len(keys):
        return np.zeros(0, np.bool_), standing
    order = np.argsort(standing)
    standing = standing[order]
    place = np.minimum(np.searchsorted(standing, keys), len(standing) - 1)
    same = standing[place] == keys
    vain = np.ones(len(standing), np.bool_)
    vain[place[same]] = False
    at = order[place]
    for new, old in zip(values, stored, strict=True):
        same &= old[at] == new
    if lists.columns:
        same &= stored_lists.n[at] == lists.n
        n = np.where(same, lists.n, 0)
        row = np.repeat(np.arange(len(keys)), n)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(n) - n, n)
        there, here = ((np.cumsum(each.n) - each.n) for each in (stored_lists, lists))
        old_at, new_at = there[at][row] + nth, here[row] + nth
        for new, old in zip(lists.columns, stored_lists.columns, strict=True):
            same[row[old[old_at] != new[new_at]]] = False
    return ~same, standing[vain]


def arrays(n: Numbers, packed: bytes, kind: str = ">i8") -> Numbers:
    """The values of all arrays that PostgreSQL packed one after the other; `n` of each array."""
    words = np.frombuffer(packed, ">i4")
    # Three words of an array's own, of one that is not empty five, and before each value its length.
    each = 2 if kind == ">i4" else 3
    sizes = 3 + (n > 0) * (2 + each * n)
    first = np.cumsum(sizes) - sizes + 6 - each * (np.cumsum(n) - n)
    at = np.repeat(first, n) + each * np.arange(n.sum())
    found: Numbers = words[at].astype(np.int64)
    return found if each == 2 else found << 32 | words[at + 1].astype(np.uint32).astype(np.int64)


def numbers(packed: bytes, kind: str = ">i8") -> Numbers:
    """What PostgreSQL packed."""
    return np.frombuffer(packed, kind).astype(np.int64)
