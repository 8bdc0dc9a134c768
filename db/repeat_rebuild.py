"""What the sums of db/repeat_sums.py are of, told from the pieces of a rebuild instead of being read once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import numpy as np
from sqlalchemy import Connection

from db import repeat_sums, repeats
from db.rebuild_pieces import Behind, Piece


class Repeats:
    """Takes the pieces, and writes the sums when the days that they are known from have been written."""

    stands: Mapping[str, LiteralString] = {}  # the sums are few, and made anew

    def __init__(self) -> None:
        self._purchases = repeat_sums.Purchases(repeats.MOST_STEPS)

    def take(self, _cursor: Behind, piece: Piece) -> None:
        """Keep what sums are of, of customers who are not archived and have orders."""
        n = np.bincount(piece.orders.row, minlength=len(piece.ids))
        some = ~piece.archived & (n > 0)
        days = piece.orders.day[np.repeat(some, n)]
        self._purchases.take(piece.owners[some], *repeat_sums.distinct(days, n[some]))

    def end(self, cursor: Any) -> None:
        """They are written by `make`."""

    def make(self, conn: Connection) -> None:
        """Write the sums."""
        repeats.add_up(conn, self._purchases)
