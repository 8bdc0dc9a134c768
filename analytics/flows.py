"""Flows between classes: the steps from one day to the next, what stays, and the largest moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analytics.intervals import wilson


@dataclass(frozen=True)
class Step:
    """`counts[i, j]` customers were in `states[i]` on the first of two days and in `states[j]` on the second."""

    states: tuple[str, ...]
    counts: np.ndarray

    @property
    def before(self) -> np.ndarray:
        """How many were in each state on the first day."""
        found: np.ndarray = self.counts.sum(axis=1)
        return found

    @property
    def after(self) -> np.ndarray:
        """How many on the second."""
        found: np.ndarray = self.counts.sum(axis=0)
        return found

    @property
    def shares(self) -> np.ndarray:
        """Each of its row; NaN where nobody was."""
        rows = self.before[:, None].astype(float)
        found: np.ndarray = np.divide(self.counts, rows, out=np.full(self.counts.shape, np.nan), where=rows > 0)
        return found

    @property
    def stayed(self) -> tuple[int, int]:
        """How many are in the same state on both days, and how many there are."""
        return int(np.trace(self.counts)), int(self.counts.sum())

    def rate(self, before: str, after: str) -> tuple[int, int, tuple[float, float]]:
        """How many of those in one state were in another later, of how many, and Wilson's interval of their share."""
        i, j = self.states.index(before), self.states.index(after)
        part, whole = int(self.counts[i, j]), int(self.before[i])
        return part, whole, wilson(part, whole) if whole else (0.0, 1.0)

    def largest(self, *, most: int, without: str = "") -> list[Move]:
        """The moves of most customers from one state to another, the largest first; none from `without` or to it."""
        moves = [
            Move(before, after, int(self.counts[i, j]), int(self.before[i]))
            for i, before in enumerate(self.states)
            for j, after in enumerate(self.states)
            if i != j and self.counts[i, j] and without not in (before, after)
        ]
        return sorted(moves, key=lambda move: (-move.customers, self.states.index(move.before)))[:most]


@dataclass(frozen=True)
class Move:
    """`customers` of the `of` who were in the state `before` were in `after` later."""

    before: str
    after: str
    customers: int
    of: int


def step(rows: pd.DataFrame, first: str, second: str, states: tuple[str, ...]) -> Step:
    """From the day of one column to that of another; `rows` hold a state for each day, and `customers`."""
    place = {state: i for i, state in enumerate(states)}
    counts = np.zeros((len(states), len(states)), int)
    for before, after, n in zip(rows[first], rows[second], rows["customers"], strict=True):
        counts[place[before], place[after]] += n
    return Step(states, counts)


def steps(rows: pd.DataFrame, days: int, states: tuple[str, ...]) -> list[Step]:
    """From each of so many days to the next."""
    return [step(rows, f"day_{i}", f"day_{i + 1}", states) for i in range(days - 1)]
