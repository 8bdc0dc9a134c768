"""Flows between classes: the steps from one day to the next, what stays, and the largest moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


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


def stayed(found: Step) -> tuple[int, int]:
    """How many are in the same state on both days, and how many there are."""
    return int(np.trace(found.counts)), int(found.counts.sum())


def largest(found: Step, *, most: int, without: str = "") -> list[Move]:
    """The moves of most customers from one state to another, the largest first; none from `without` or to it."""
    moves = [
        Move(before, after, int(found.counts[i, j]), int(found.before[i]))
        for i, before in enumerate(found.states)
        for j, after in enumerate(found.states)
        if i != j and found.counts[i, j] and without not in (before, after)
    ]
    return sorted(moves, key=lambda move: (-move.customers, found.states.index(move.before)))[:most]
