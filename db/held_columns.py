"""Columns of all customers held in the process's memory, so that a rule is counted without reading tables.

Arrays alone: nothing here knows a database, a viewer or a rule. db/held_loading.py fills them, db/held_rules.py asks
them, db/held.py keeps them current and decides who is answered from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[Any]

NEVER = -(2**31)
"""A day that is not known, before all others."""
CHOICES = (
    *("region", "city", "source", "age_band", "income_band", "home_ownership", "marital_status", "household_size"),
    *("household_kind", "children"),
)
"""Columns of words: held as numbers of `words`, of which 0 is '', what is not known."""
KINDS: Mapping[str, Any] = {
    "id": np.int64,
    "owner_id": np.int64,
    "listed": np.bool_,
    "email": np.bool_,
    "phone": np.bool_,
    "created_on": np.int32,
    "orders": np.int32,
    "own_orders": np.int32,
    "cents": np.int64,
    "first_order_on": np.int32,
    "last_order_on": np.int32,
    "usual_days": np.int32,
    **dict.fromkeys(CHOICES, np.int32),
}
"""Days are counted from 1970-01-01, `cents` is the revenue in hundredths, `own_orders` are those it is of.
`usual_days` are the customer's own interval, 0 without one."""
PAIRS = ("ordered", "category", "product", "received", "redeemed", "step")
SPARE = 0.02
"""Room for new customers, as a share; more is made when it is used up."""


@dataclass
class Pairs:
    """Many (key, day) for each customer: in the order of keys and days, with the rows of the customers.

    What a customer has since the load stands in `new`, and the rows of such customers count only there.
    """

    starts: dict[int, tuple[int, int]]
    rows: Numbers
    days: Numbers
    new: dict[str, Numbers] = field(default_factory=lambda: {k: np.empty(0, np.int64) for k in ("key", "row", "day")})

    def hold(self, keys: Iterable[int], low: int, high: int, changed: Bools) -> Bools:
        """Which rows have one of the keys on a day from `low` to `high`; `changed` are the rows that `new` is of."""
        found = np.zeros(len(changed), np.bool_)
        wanted = list(keys)
        for key in wanted:
            start, end = self.starts.get(key, (0, 0))
            if start < end:
                days = self.days[start:end]
                first, last = np.searchsorted(days, low, "left"), np.searchsorted(days, high, "right")
                found[self.rows[start + first : start + last]] = True
        found &= ~changed
        new = self.new
        if len(new["row"]):
            fits = np.isin(new["key"], wanted) & (new["day"] >= low) & (new["day"] <= high)
            found[new["row"][fits]] = True
        return found

    def put(self, rows: Numbers, new: Mapping[str, Numbers]) -> None:
        """These rows have `new` instead of what they had."""
        kept = ~np.isin(self.new["row"], rows)
        self.new = {k: np.concatenate([held[kept], new[k]]) for k, held in self.new.items()}

    @property
    def bytes(self) -> int:
        """Of memory."""
        return self.rows.nbytes + self.days.nbytes + sum(each.nbytes for each in self.new.values())


def pairs(parts: Sequence[tuple[int, Numbers, Numbers]]) -> Pairs:
    """Of (key, rows, days) for each key once."""
    starts, at = {}, 0
    rows, days = [], []
    for key, own, on in parts:
        order = np.argsort(on, kind="stable")
        rows.append(own[order].astype(np.int32))
        days.append(on[order].astype(np.int32))
        starts[key] = (at, at + len(own))
        at += len(own)
    empty = [np.empty(0, np.int32)]
    return Pairs(starts, np.concatenate(rows or empty), np.concatenate(days or empty))


class Columns:
    """All customers. `values` are arrays of equal length, of which the first `rows` are used.

    `words` are, for each of CHOICES, the words by number; `products` the products of each category by its name;
    `changed` are the rows whose pairs stand in `Pairs.new`.
    """

    def __init__(
        self,
        values: Mapping[str, Numbers],
        words: Mapping[str, Sequence[str]],
        held: Mapping[str, Pairs],
        categories: Sequence[str],
        products: Mapping[str, Sequence[int]],
    ) -> None:
        self.rows = len(values["id"])
        self.values = dict(values)
        self.words = {name: list(known) for name, known in words.items()}
        self.codes = {name: {word: i for i, word in enumerate(known)} for name, known in self.words.items()}
        self.pairs = dict(held)
        self.categories = {name: i for i, name in enumerate(categories)}
        self.products = products
        self.changed = np.zeros(self.rows, np.bool_)
        self._sorted = self.rows
        self._later: dict[int, int] = {}
        self._make_room(0)

    def of(self, name: str) -> Numbers:
        """The values of all customers."""
        return self.values[name][: self.rows]

    def places(self, ids: Numbers) -> Numbers:
        """The rows of these customers; -1 for one who is not held."""
        own = self.values["id"][: self._sorted]
        at = np.minimum(np.searchsorted(own, ids), max(self._sorted - 1, 0))
        found = np.where(own[at] == ids, at, -1) if self._sorted else np.full(len(ids), -1)
        if self._later:
            for i in np.flatnonzero(found < 0):
                found[i] = self._later.get(int(ids[i]), -1)
        return np.asarray(found, dtype=np.int64)

    def put(
        self, asked: Numbers, values: Mapping[str, Sequence[Any]], new: Mapping[str, Mapping[str, Numbers]]
    ) -> None:
        """What stands of the customers `asked` by now: one value each of those who are there, and all their pairs.

        Those who are not there any more are on no list. Pairs name customers (`id`), not rows.
        """
        gone = self.places(asked)
        self.values["listed"][gone[gone >= 0]] = False
        rows = self._rows_of(np.asarray(values["id"], dtype=np.int64))
        for name, kind in KINDS.items():
            given = [self._code(name, word) for word in values[name]] if name in CHOICES else values[name]
            self.values[name][rows] = np.asarray(given, dtype=kind)
        every = np.union1d(gone[gone >= 0], rows)
        self.changed[every] = True
        for name, held in self.pairs.items():
            own = {"key": new[name]["key"], "row": self.places(new[name]["id"]), "day": new[name]["day"]}
            known = own["row"] >= 0
            held.put(every, {k: each[known] for k, each in own.items()})

    def category(self, name: str) -> int:
        """The number of a category; a new one is given the next."""
        return self.categories.setdefault(name, len(self.categories))

    def _code(self, name: str, word: str) -> int:
        code = self.codes[name].setdefault(word, len(self.words[name]))
        if code == len(self.words[name]):
            self.words[name].append(word)
        return code

    def _rows_of(self, ids: Numbers) -> Numbers:
        """Their rows; new ones get rows of their own behind the others."""
        found = self.places(ids)
        unknown = np.flatnonzero(found < 0)
        if len(unknown):
            if self.rows + len(unknown) > len(self.values["id"]):
                self._make_room(len(unknown))
            found[unknown] = np.arange(self.rows, self.rows + len(unknown))
            self._later |= {int(ids[i]): int(found[i]) for i in unknown}
            self.rows += len(unknown)
            self.changed = np.concatenate([self.changed, np.zeros(len(unknown), np.bool_)])
        return found

    def _make_room(self, needed: int) -> None:
        more = needed + max(1_000, int(self.rows * SPARE))
        for name, held in self.values.items():
            self.values[name] = np.concatenate([held, np.zeros(more, held.dtype)])

    def settle(self) -> None:
        """Put what came since the load among the rest, so that looking up is as quick as it was."""
        for name, held in self.pairs.items():
            keys = np.repeat(list(held.starts), [end - start for start, end in held.starts.values()]).astype(np.int64)
            kept = ~self.changed[held.rows]
            key = np.concatenate([keys[kept], held.new["key"]])
            row, day = (
                np.concatenate([old[kept], held.new[new]]) for old, new in ((held.rows, "row"), (held.days, "day"))
            )
            order = np.lexsort((day, key))
            known, at = np.unique(key[order], return_index=True)
            ends = [*at[1:].tolist(), len(order)]
            starts = dict(zip(known.tolist(), zip(at.tolist(), ends, strict=True), strict=True))
            self.pairs[name] = Pairs(starts, row[order].astype(np.int32), day[order].astype(np.int32))
        self.changed = np.zeros(self.rows, np.bool_)

    @property
    def bytes(self) -> int:
        """Of memory, roughly."""
        return sum(v.nbytes for v in self.values.values()) + sum(p.bytes for p in self.pairs.values())
