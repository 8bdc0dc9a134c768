"""What the classes of db/past_classes.py are of, told from the pieces of a rebuild instead of being read once more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection

from db import definitions
from db.held_columns import Numbers
from db.held_pairs import NEVER
from db.past_classes import OF_DATES, Figures, kept_days, make, number, on_days
from db.rebuild_pieces import Names, Piece


class Classes:
    """Takes the pieces of a rebuild, and tells the classes when the present bounds have been taken."""

    def __init__(self, conn: Connection, names: Names, *, currency: str, today: date) -> None:
        self._names, self._currency, self._today = names, currency, today
        self._days, self._rules = kept_days(today), definitions.in_force_now(conn).stages
        self._parts: list[tuple[Numbers, ...]] = []

    def look(self, cursor: Any, given: Mapping[str, Any]) -> None:
        """What stands is compared when it is told."""

    def take(self, _cursor: Any, piece: Piece) -> None:
        """Keep what classes are of."""
        orders, listed = piece.orders, ~piece.archived
        ends = piece.ends(orders.row)
        starts = np.append(0, ends[:-1])
        since = number(OF_DATES)
        flat = np.append(orders.day + since, NEVER)
        part = on_days(starts, ends, flat, piece.created + since, piece.usual_days, self._days, self._rules)
        own = orders.currency == self._names.currencies.get(self._currency, -1)
        sums = np.append(0, np.cumsum(np.where(own, orders.cents, 0)))
        cents = sums[starts + part[2]] - sums[starts]
        self._parts.append((piece.ids[listed], *(each[:, listed] for each in (*part, cents))))

    def end(self, cursor: Any) -> None:
        """They are told by `make`."""

    def make(self, conn: Connection) -> None:
        """Take all bounds and tell all classes."""
        none = np.zeros((len(self._days), 0), np.int64)
        found = zip(*self._parts, strict=True) if self._parts else (([none[0]]), *([none] for _i in range(4)))
        make(conn, self._today, Figures(*(np.concatenate(each, axis=-1) for each in found)))
