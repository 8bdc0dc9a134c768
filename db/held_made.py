"""Columns made of other columns, kept in memory: where customers change they are made anew for these alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np

from db.arrays import Numbers

MOST_KEPT = 16
"""Columns; the one asked for longest ago is forgotten for a new one, such as that of another day."""
MOST_MOVED = 0.2
"""Of all rows; where more have changed the column is made of all of them."""


@dataclass
class _Kept:
    column: Numbers
    moved: list[Numbers] = field(default_factory=list)
    waiting: int = 0


class Made:
    """Columns by what they were made of."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}

    def moved(self, rows: Numbers) -> None:
        """These rows have other values now."""
        for key, kept in [*self._kept.items()]:
            kept.moved.append(rows)
            kept.waiting += len(rows)
            if kept.waiting > MOST_MOVED * len(kept.column):
                del self._kept[key]

    def get(self, key: Hashable, rows: int, make: Callable[[Numbers | None], Numbers]) -> Numbers:
        """The column of so many rows; `make` gives it for some rows, or for all."""
        kept = self._kept.pop(key, None)
        if kept is None:
            kept = _Kept(make(None))
        elif kept.moved:
            some = np.unique(np.concatenate(kept.moved))
            column = np.concatenate([kept.column, np.zeros(rows - len(kept.column), kept.column.dtype)])
            column[some] = make(some)
            kept = _Kept(column)
        self._kept[key] = kept
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return kept.column

    @property
    def bytes(self) -> int:
        """Of memory."""
        return sum(kept.column.nbytes for kept in self._kept.values())
