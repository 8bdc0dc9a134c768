"""Waiting times of which some are not over yet: the share that has happened by a day, with its interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Step:
    """By `day` the share `happened` of those who wait; `at_risk` were still waited for just before it."""

    day: int
    happened: float
    interval: tuple[float, float]
    at_risk: int


def kaplan_meier(waits: pd.DataFrame, *, least: int = 1) -> tuple[Step, ...]:
    """The product-limit estimate from rows (days, happened, customers); those that have not happened are censored.

    One minus the survival of Kaplan and Meier (1958), Nonparametric estimation from incomplete observations, JASA 53,
    457-481, with Greenwood's variance (1926) on the scale of log(-log S), as Kalbfleisch and Prentice (1980), The
    Statistical Analysis of Failure Time Data: such an interval stays within 0 and 1. Who is censored on a day was
    waited for on it. Steps end before the first day with fewer than `least` at risk. A step for each day on which
    something happened, and the last day on which anybody was waited for.
    """
    ended: Counter[int] = Counter()
    happened: Counter[int] = Counter()
    for day, did, customers in zip(*(waits[name].tolist() for name in ("days", "happened", "customers")), strict=True):
        ended[day] += customers
        happened[day] += customers if did else 0
    at_risk, survival, variance, steps = ended.total(), 1.0, 0.0, []
    for day in sorted(ended):
        if at_risk < max(least, 1):
            break
        events = happened[day]
        if events:
            survival *= 1 - events / at_risk
            variance += events / (at_risk * (at_risk - events)) if at_risk > events else math.inf
            steps.append(Step(day, 1 - survival, _interval(survival, variance), at_risk))
        at_risk -= ended[day]
    return tuple(steps)


def _interval(survival: float, variance: float) -> tuple[float, float]:
    if not 0 < survival < 1 or math.isinf(variance):
        return (1 - survival, 1 - survival) if survival >= 1 else (0.0, 1.0)
    half = Z95 * math.sqrt(variance) / abs(math.log(survival))
    return 1 - survival ** math.exp(-half), 1 - survival ** math.exp(half)


def by_day(steps: Iterable[Step], day: int) -> Step | None:
    """What has happened by a day: the last step up to it, None before the first."""
    found = None
    for step in steps:
        if step.day > day:
            break
        found = step
    return found


def median_wait(steps: Iterable[Step]) -> int | None:
    """The first day by which at least half has happened; None where that day is not seen."""
    return next((step.day for step in steps if step.happened >= 0.5), None)


def weighted_median(values: pd.Series, weights: pd.Series) -> int | None:
    """The smallest value with at least half of the weight at or below it; None without any."""
    ordered = pd.DataFrame({"value": values, "weight": weights}).sort_values("value")
    total = ordered["weight"].sum()
    if not total:
        return None
    return int(ordered.loc[ordered["weight"].cumsum() * 2 >= total, "value"].iloc[0])


def binned(values: pd.Series, weights: pd.Series, edges: list[int]) -> list[int]:
    """How much weight lies in each bin [edge, next edge); what is at or above the last edge is the last bin's."""
    return [
        int(weights[(values >= low) & (values < high)].sum())
        for low, high in zip(edges, [*edges[1:], math.inf], strict=True)
    ]
