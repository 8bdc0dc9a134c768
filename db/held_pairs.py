"""What customers have many of (orders, lines, memberships, tags) as arrays in memory: key, customer and day.

Arrays alone, as in db/held_columns.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from db.arrays import Bools, Numbers

NEVER, LATEST = -(2**31), 2**31 - 1
"""A day that is not known, before all others, and the last that there can be."""
BLOCK = 30
"""Days."""
MANY = 8
"""Keys; so many are looked up at once."""


@dataclass(frozen=True)
class Blocks:
    """On which of up to 64 stretches of BLOCK days from `first` on, as bits of a number, rows have something.

    So a long period is answered by one look at each row, and only what is left of it at its ends by looking at days.
    `rows` are those that have something at all; None are all of them.
    """

    first: int
    bits: Numbers
    rows: Numbers | None = None

    @property
    def bytes(self) -> int:
        """Of memory."""
        return self.bits.nbytes + (0 if self.rows is None else self.rows.nbytes)

    def mark(self, found: Bools, low: int, high: int) -> list[tuple[int, int]]:
        """Mark rows that have something in the stretches that lie between; gives the periods that are left."""
        start = max(0, -((self.first - low) // BLOCK))
        end = min(64, (high + 1 - self.first) // BLOCK)
        if start >= end:
            return [(low, high)]
        there = (self.bits & np.uint64(sum(1 << i for i in range(start, end)))) != 0
        if self.rows is None:
            found[: len(there)] |= there
        else:
            found[self.rows[there]] = True
        return [(low, self.first + start * BLOCK - 1), (self.first + end * BLOCK, high)]


def _first_block(first: int, last: int) -> int:
    """Where the stretches of these days begin: those of the last days count."""
    return max(first, last + 1 - 64 * BLOCK)


def _blocks(row: Numbers, day: Numbers, rows: int) -> Blocks:
    """Of all rows; rows and days in the order of days, which are known."""
    first = _first_block(int(day[0]), int(day[-1]))
    bits = np.zeros(rows, np.uint64)
    for i in range(64):
        start, end = day.searchsorted(np.asarray([first + i * BLOCK, first + (i + 1) * BLOCK], np.int32))
        bits[row[start:end]] |= np.uint64(1 << i)
    return Blocks(first, bits)


def blocks_of(held: Pairs, groups: Mapping[str, Sequence[int]]) -> dict[str, Blocks]:
    """Of groups of keys, at the load: only of the rows that have something of them, which are fewer."""
    if not len(held.days):
        return {}
    first = _first_block(int(held.days.min()), int(held.days.max()))
    found = {}
    for name, keys in groups.items():
        rows, days = held.at_load(keys)
        block = (days - np.int32(first)) // np.int32(BLOCK)
        both = (rows.astype(np.int64) << 6 | block)[(block >= 0) & (block < 64)]
        both.sort()
        row = both >> 6
        starts = np.flatnonzero(np.append(True, row[1:] != row[:-1])) if len(row) else np.empty(0, np.int64)
        bit = np.uint64(1) << (both & 63).astype(np.uint64)
        bits = np.bitwise_or.reduceat(bit, starts) if len(row) else np.empty(0, np.uint64)
        found[name] = Blocks(first, bits, row[starts].astype(np.int32))
    return found


@dataclass
class Pairs:
    """Many (key, day) for each customer: in the order of keys and days, with the rows of the customers.

    What a customer has since the load stands in `new`, and the rows of such customers, `changed`, count only there.
    Asked without keys all count, and from `low` to `high` the days. `blocks` are there where all have the same key.
    Where keys are asked for that belong together, their blocks may be given.
    """

    starts: dict[int, tuple[int, int]]
    rows: Numbers
    days: Numbers
    changed: Bools
    blocks: Blocks | None = None
    anew: bool = False
    new: dict[str, Numbers] = field(default_factory=lambda: {k: np.empty(0, np.int64) for k in ("key", "row", "day")})

    def hold(
        self, keys: Iterable[int] | None, low: int = NEVER, high: int = LATEST, blocks: Sequence[Blocks] = ()
    ) -> Bools:
        """Which rows have one of the keys on one of the days. All `blocks` begin on the same day."""
        wanted = None if keys is None else list(keys)
        found = np.zeros(len(self.changed), np.bool_)
        if self.blocks and (wanted is None or self.starts.keys() & set(wanted)):
            blocks = [self.blocks]
        spans = [(low, high)]
        if low > NEVER:
            for each in blocks:
                spans = each.mark(found, low, high)
        for first, last in spans:
            if wanted is not None and len(wanted) >= MANY:
                found[self.rows[self._places(wanted, first, last)]] = True
                continue
            for start, end in self._spans(wanted, first, last):
                found[self.rows[start:end]] = True
        if self.anew:
            found &= ~self.changed
            found[self._since(wanted, low, high)[0]] = True
        return found

    def at_load(self, keys: Iterable[int]) -> tuple[Numbers, Numbers]:
        """Rows and days that had one of the keys."""
        spans = [self.starts[key] for key in keys if key in self.starts]
        return _joined([self.rows[a:b] for a, b in spans]), _joined([self.days[a:b] for a, b in spans])

    def count(self, keys: Iterable[int] | None, low: int = NEVER, high: int = LATEST) -> Numbers:
        """How many each row has."""
        if keys is not None:
            return np.bincount(self.entries(keys, low, high)[0], minlength=len(self.changed))
        within = [*self._spans(None, low, high)]
        ends = [(first, last) for first, last in ((NEVER, low - 1), (high + 1, LATEST)) if first <= last]
        outside = [span for first, last in ends for span in self._spans(None, first, last)]
        # Those of all days are known: of a long period only what lies outside of it is counted.
        if sum(end - start for start, end in outside) < sum(end - start for start, end in within):
            found = -self._counted(outside)
            found[: len(self._totals)] += self._totals
        else:
            found = self._counted(within)
        if self.anew:
            found[self.changed] = 0
            found += np.bincount(self._since(None, low, high)[0], minlength=len(found))
        return found

    def _counted(self, spans: Sequence[tuple[int, int]]) -> Numbers:
        rows = _joined([self.rows[start:end] for start, end in spans])
        return np.bincount(rows, minlength=len(self.changed))

    @cached_property
    def _totals(self) -> Numbers:
        """How many each row had at the load."""
        return self._counted([(0, len(self.rows))]).astype(np.int32)

    @cached_property
    def _last(self) -> Numbers:
        """The last day of each row at the load."""
        return self._latest(None, NEVER, LATEST)

    def latest(self, keys: Iterable[int] | None, low: int = NEVER, high: int = LATEST) -> Numbers:
        """The last of these days of each row; NEVER without one."""
        wanted = None if keys is None else list(keys)
        if wanted is None and low <= NEVER and high >= LATEST:
            found = np.full(len(self.changed), NEVER, np.int32)
            found[: len(self._last)] = self._last
        else:
            found = self._latest(wanted, low, high)
        if self.anew:
            found[self.changed] = NEVER
            rows, days = self._since(wanted, low, high)
            np.maximum.at(found, rows, days.astype(np.int32))
        return found

    def _latest(self, keys: Sequence[int] | None, low: int, high: int) -> Numbers:
        found = np.full(len(self.changed), NEVER, np.int32)
        for i, (start, end) in enumerate(self._spans(keys, low, high)):
            own = found if i == 0 else np.full(len(found), NEVER, np.int32)
            own[self.rows[start:end]] = self.days[start:end]  # in the order of days: of several the last one stays
            np.maximum(found, own, out=found)
        return found

    def entries(self, keys: Iterable[int] | None, low: int = NEVER, high: int = LATEST) -> tuple[Numbers, Numbers]:
        """Rows and days of all that have one of the keys on one of the days."""
        wanted = None if keys is None else list(keys)
        everything = wanted is None and low <= NEVER and high >= LATEST
        spans = [(0, len(self.rows))] if everything else [*self._spans(wanted, low, high)]
        rows, days = (_joined([own[start:end] for start, end in spans]) for own in (self.rows, self.days))
        if not self.anew:
            return rows, days
        kept = ~self.changed[rows]
        since = self._since(wanted, low, high)
        return np.concatenate([rows[kept], since[0]]), np.concatenate([days[kept], since[1]])

    def _spans(self, keys: Sequence[int] | None, low: int, high: int) -> Iterator[tuple[int, int]]:
        every = low <= NEVER and high >= LATEST
        first, last = np.int32(low), np.int32(high)  # of another kind, all days would be copied for each look
        for key in self.starts if keys is None else dict.fromkeys(keys):
            start, end = self.starts.get(key, (0, 0))
            if start < end and not every:
                days = self.days[start:end]
                start, end = start + int(days.searchsorted(first)), start + int(days.searchsorted(last, "right"))
            if start < end:
                yield start, end

    def _places(self, keys: Sequence[int], low: int, high: int) -> Numbers:
        """Where all that `_spans` gives stands: the parts of thousands of keys are looked through at once."""
        known = np.asarray([self.starts[key] for key in dict.fromkeys(keys) if key in self.starts], np.int64)
        start, end = known.reshape(-1, 2).T
        if low > NEVER or high < LATEST:
            start, end = self._first(start, end, low), self._first(start, end, high + 1)
        count = np.maximum(end - start, 0)
        before = np.cumsum(count) - count
        return np.repeat(start - before, count) + np.arange(count.sum())

    def _first(self, start: Numbers, end: Numbers, day: int) -> Numbers:
        """In each part the place of the first day that is not before this one: halved until nothing is left."""
        start, end = start.copy(), end.copy()
        while (left := start < end).any():
            middle = (start + end) // 2
            before = left & (self.days[np.where(left, middle, 0)] < day)
            start = np.where(before, middle + 1, start)
            end = np.where(left & ~before, middle, end)
        return start

    def _since(self, keys: Sequence[int] | None, low: int, high: int) -> tuple[Numbers, Numbers]:
        new = self.new
        fits = (new["day"] >= low) & (new["day"] <= high)
        if keys is not None:
            fits &= np.isin(new["key"], keys)
        return new["row"][fits], new["day"][fits]

    def put(self, rows: Numbers, new: Mapping[str, Numbers]) -> None:
        """These rows have `new` instead of what they had."""
        self.changed[rows] = True
        self.anew = True
        kept = ~np.isin(self.new["row"], rows)
        self.new = {k: np.concatenate([held[kept], new[k]]) for k, held in self.new.items()}

    def settled(self) -> Pairs:
        """The same with what came since the load among the rest, so that looking up is as quick as it was."""
        keys = np.repeat(list(self.starts), [end - start for start, end in self.starts.values()]).astype(np.int64)
        kept = ~self.changed[self.rows]
        key = np.concatenate([keys[kept], self.new["key"]])
        row, day = (np.concatenate([old[kept], self.new[new]]) for old, new in ((self.rows, "row"), (self.days, "day")))
        return pairs(key, row, day, len(self.changed))

    @property
    def bytes(self) -> int:
        """Of memory."""
        beside = [self.__dict__[name] for name in ("_totals", "_last") if name in self.__dict__]
        held = [self.rows, self.days, *self.new.values(), *beside]
        return sum(int(each.nbytes) for each in held) + (self.blocks.bytes if self.blocks else 0)


def pairs(key: Numbers, row: Numbers, day: Numbers, rows: int) -> Pairs:
    """Of arrays of equal length in any order: key, row of the customer, day; among so many rows."""
    order = _order(key, day, row, rows)
    known, at = np.unique(key[order], return_index=True)
    ends = [*at.tolist(), len(order)]
    starts = dict(zip(known.tolist(), pairwise(ends), strict=True))
    row, day = row[order].astype(np.int32), day[order].astype(np.int32)
    blocks = _blocks(row, day, rows) if len(starts) == 1 and len(row) > 2 * rows else None
    return Pairs(starts, row, day, np.zeros(rows, np.bool_), blocks)


def _order(key: Numbers, day: Numbers, row: Numbers, rows: int) -> Numbers:
    """By key, day and row: as one number where they fit into it, which is several times quicker.

    Rows need no order, but what is marked from the first to the last is marked in the memory that is near.
    """
    if not len(key):
        return np.empty(0, np.int64)
    least, first = int(key.min()), int(day.min())
    width = int(day.max()) - first + 1
    if (int(key.max()) - least + 1) * width * rows >= _MOST_TOGETHER:
        return np.lexsort((day, key))
    return np.argsort(((key.astype(np.int64) - least) * width + (day.astype(np.int64) - first)) * rows + row)


_MOST_TOGETHER = 2**62


def _joined(parts: Sequence[Numbers]) -> Numbers:
    """One array; the only one as it is, without a copy."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, np.int32)
