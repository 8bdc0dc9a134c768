"""Columns of all customers held in the process's memory, so that a rule is counted without reading tables.

Arrays alone: nothing here knows a database, a viewer or a rule. db/held_loading.py fills them, db/held_rules.py asks
them, db/held.py keeps them current and decides who is answered from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from db.arrays import Numbers
from db.held_made import Made
from db.held_own import OwnValues, Values
from db.held_pairs import Pairs, blocks_of

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
PAIRS: Mapping[str, tuple[str, ...]] = {
    "": ("ordered", "category", "product", "received", "redeemed", "held_out", "step"),
    "tags": ("tag",),
    "contacts": ("contact",),
    "tasks": ("task",),
    "consents": ("consent",),
    "own": (),
}
"""What changes together (db/moved.py), and the pairs of it; '' is the customer's own row, too, and `own` are the values
of custom fields."""
NAMED = ("category", "tag")
"""Pairs whose keys are numbers of `Columns.named`."""
SPARE = 0.02
"""Room for new customers, as a share; more is made when it is used up."""


class Columns:
    """All customers. `values` are arrays of equal length, of which the first `rows` are used.

    `words` are, for each of CHOICES, the words by number; `named` for each of NAMED the numbers by name; `products` the
    products of each category by its name; `ends` the last day of each campaign. `own` are the values of custom
    fields by column and key, `bought` blocks of days of each category.
    """

    def __init__(
        self,
        values: Mapping[str, Numbers],
        words: Mapping[str, Sequence[str]],
        held: Mapping[str, Pairs],
        named: Mapping[str, Sequence[str]],
        products: Mapping[str, Sequence[int]],
        ends: Mapping[int, int],
    ) -> None:
        self.rows = len(values["id"])
        self.values = dict(values)
        self.words = {name: list(known) for name, known in words.items()}
        self.codes = {name: {word: i for i, word in enumerate(known)} for name, known in self.words.items()}
        self.pairs = dict(held)
        self.named = {kind: {name: i for i, name in enumerate(known)} for kind, known in named.items()}
        self.products = products
        self.ends = ends
        self.bought = blocks_of(self.pairs["product"], products)
        self.made = Made()
        self._sorted = self.rows
        self._later: dict[int, int] = {}
        self._make_room(0)
        self.own: dict[tuple[str, str], OwnValues] = {}

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
        self, asked: Numbers, values: Mapping[str, Sequence[Any]] | None, new: Mapping[str, Mapping[str, Numbers]]
    ) -> None:
        """What stands of the customers `asked` by now: one value each of those who are there, and all of some pairs.

        Those who are not there any more are on no list. Pairs name customers (`id`), not rows.
        """
        gone = self.places(asked)
        every = gone[gone >= 0]
        if values is not None:
            self.values["listed"][every] = False
            rows = self._rows_of(np.asarray(values["id"], dtype=np.int64))
            for name, kind in KINDS.items():
                given = [self._code(name, word) for word in values[name]] if name in CHOICES else values[name]
                self.values[name][rows] = np.asarray(given, dtype=kind)
            every = np.union1d(every, rows)
        self.made.moved(every)
        for name, found in new.items():
            own = {"key": found["key"], "row": self.places(found["id"]), "day": found["day"]}
            known = own["row"] >= 0
            self.pairs[name].put(every, {k: each[known] for k, each in own.items()})

    def clear_own(self, asked: Numbers) -> None:
        """Customers have no values of custom fields, until they are put."""
        places = self.places(asked)
        for held in self.own.values():
            held.clear(places[places >= 0])

    def put_own(self, column: str, key: str, values: Values | None) -> None:
        """Values of a custom field; None are more than are held."""
        held = self.own.setdefault((column, key), OwnValues())
        if values is None:
            held.drop()
        elif not held.dropped:
            held.put(values, self.places(values.ids), self.rows)

    def number(self, kind: str, name: str) -> int:
        """The number of a name; a new one is given the next."""
        known = self.named[kind]
        return known.setdefault(name, len(known))

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
            for held in self.pairs.values():
                held.changed = np.concatenate([held.changed, np.zeros(len(unknown), np.bool_)])
        return found

    def _make_room(self, needed: int) -> None:
        more = needed + max(1_000, int(self.rows * SPARE))
        for name, held in self.values.items():
            self.values[name] = np.concatenate([held, np.zeros(more, held.dtype)])

    def settle(self, most: int = 0) -> None:
        """Put what came since the load among the rest, where more customers than that have something new."""
        for name, held in self.pairs.items():
            if np.count_nonzero(held.changed) > most:
                self.pairs[name] = held.settled()
                if name == "product":
                    self.bought = blocks_of(self.pairs[name], self.products)

    @property
    def bytes(self) -> int:
        """Of memory, roughly."""
        kept = sum(v.nbytes for v in self.values.values()) + sum(p.bytes for p in self.pairs.values())
        blocks, own = sum(b.bytes for b in self.bought.values()), sum(o.bytes for o in self.own.values())
        return kept + blocks + own + self.made.bytes
