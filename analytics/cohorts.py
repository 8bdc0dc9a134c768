"""Cohort retention: who bought again in the months after the first purchase, as triangles and as one curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from analytics.intervals import wilson


@dataclass(frozen=True)
class Triangle:
    """`values[i, k]` is what cohort `cohorts[i]` has in the k-th month after its first; NaN before that month begins.

    `complete[i, k]` is whether that month is over.
    """

    cohorts: tuple[date, ...]
    values: np.ndarray
    complete: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Each value of its cohort's in the month of the first purchase; NaN where that is nothing."""
        first = self.values[:, :1]
        shares: np.ndarray = np.divide(self.values, first, out=np.full_like(self.values, np.nan), where=first > 0)
        return shares


@dataclass(frozen=True)
class Point:
    """The k-th month after the first, of the cohorts for which it is over: `part` of `whole`, from so many cohorts."""

    month: int
    part: float
    whole: float
    cohorts: int
    interval: tuple[float, float] | None

    @property
    def share(self) -> float | None:
        """None where there is nothing to be a share of."""
        return self.part / self.whole if self.whole else None


def months_between(first: date, last: date) -> int:
    """How many calendar months `last` lies after `first`."""
    return (last.year - first.year) * 12 + last.month - first.month


def months_from(first: date, n: int) -> date:
    """The first day of the calendar month `n` after that of `first`; before it where `n` is negative."""
    return date(first.year + (first.month - 1 + n) // 12, (first.month - 1 + n) % 12 + 1, 1)


def triangle(rows: pd.DataFrame, measure: str, *, cohorts: Sequence[date], until: date) -> Triangle:
    """Rows (cohort, month, and the measure) as a triangle up to the day `until`; months without a row are zeros.

    The month of `until` counts as over on its last day only.
    """
    at = {cohort: i for i, cohort in enumerate(cohorts)}
    width = max((months_between(c, until) for c in cohorts), default=-1) + 1
    values = np.full((len(cohorts), max(width, 0)), np.nan)
    complete = np.zeros(values.shape, dtype=bool)
    is_over = months_from(until, 1).toordinal() - until.toordinal() == 1
    for i, cohort in enumerate(cohorts):
        seen = months_between(cohort, until) + 1
        values[i, : max(seen, 0)] = 0
        complete[i, : max(seen - (not is_over), 0)] = True
    for cohort, month, value in zip(rows["cohort"], rows["month"], rows[measure], strict=True):
        k = months_between(cohort, month)
        if cohort in at and 0 <= k < width and not np.isnan(values[at[cohort], k]):
            values[at[cohort], k] += float(value)
    return Triangle(tuple(cohorts), values, complete)


def curve(found: Triangle, *, counted: bool) -> tuple[Point, ...]:
    """The average over cohorts, each weighing as much as it is large: sums of the parts over sums of the wholes.

    Only months that are over count, so the last points rest on fewer and older cohorts. With `counted` the values are
    customers, and each point has Wilson's interval.
    """
    points = []
    for k in range(found.values.shape[1]):
        of = found.complete[:, k]
        if not of.any():
            break
        part, whole = float(found.values[of, k].sum()), float(found.values[of, 0].sum())
        interval = wilson(round(part), round(whole)) if counted and whole else None
        points.append(Point(k, part, whole, int(of.sum()), interval))
    return tuple(points)


def sizes(found: Triangle) -> Mapping[date, float]:
    """What each cohort had in its first month."""
    return {c: float(v) for c, v in zip(found.cohorts, found.values[:, 0], strict=True)} if found.values.size else {}
