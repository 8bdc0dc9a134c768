"""What the classes of db/past_classes.py are of, told from the pieces of a rebuild instead of being read once more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, LiteralString

import numpy as np
from sqlalchemy import Connection

from db import definitions
from db.arrays import Numbers
from db.held_pairs import NEVER
from db.past_classes import OF_DATES, Figures, kept_days, make, number, on_days
from db.rebuild_pieces import Behind, Piece


class Classes:
    """Takes the pieces of a rebuild, and tells the classes when the present bounds have been taken."""

    stands: Mapping[str, LiteralString] = {}  # what stands is compared when it is told

    def __init__(self, conn: Connection, *, today: date) -> None:
        self._today = today
        self._days, self._rules = kept_days(today), definitions.in_force_now(conn).stages
        self._parts: list[tuple[Numbers, ...]] = []

    def take(self, _cursor: Behind, piece: Piece) -> None:
        """Keep what classes are of."""
        orders, listed = piece.orders, ~piece.archived
        ends = piece.ends(orders.row)
        starts = np.append(0, ends[:-1])[: len(ends)]
        since = number(OF_DATES)
        flat = np.append(orders.day + since, NEVER)
        part = on_days(starts, ends, flat, piece.created + since, piece.usual_days, self._days, self._rules)
        own = orders.currency == 0
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
