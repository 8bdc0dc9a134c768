"""What the operators of rules say of arrays of days and numbers, as db/comparisons.py says it by SQL."""

from __future__ import annotations

from calendar import isleap
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np

from db import calendar_periods
from db.arrays import Bools, Numbers
from db.fields import EPOCH, since
from db.held_pairs import LATEST, NEVER
from db.rules import Condition

_MOST_EXACT = 2**62


def dated(days: Numbers, c: Condition, today: date) -> Bools:
    """Days as numbers, NEVER where there is none."""
    known: Bools = days != NEVER
    if c.op in ("empty", "not empty"):
        return ~known if c.op == "empty" else known
    if c.op == "anniversary in the next":
        return known & _yearly(days, c.values[0], today)
    if c.op == "in the last":
        low, high = day_of(since(today, c.values[0])), day_of(today)
    elif c.op == "in the next":
        low, high = day_of(today), day_of(today) + c.values[0] - 1
    elif c.op == "during":
        low, high = map(day_of, calendar_periods.ends(c.values[0], today))
    else:
        first, last = day_of(c.values[0]), day_of(c.values[-1])
        low = {"before": NEVER + 1, "after": first + 1}.get(c.op, first)
        high = {"before": first - 1, "after": LATEST}.get(c.op, last)
    found: Bools = (days >= low) & (days <= high)
    return found


def _yearly(days: Numbers, ahead: int, today: date) -> Bools:
    """As `comparisons.compared` has it: the same day of a later year is one of the next days."""
    wanted = {(today + timedelta(days=n)).strftime("%m-%d") for n in range(ahead)}
    last = today + timedelta(days=ahead - 1)
    if (last.month, last.day) == (2, 28) and not isleap(last.year):
        wanted.add("02-29")
    before = days < day_of(today)
    known = days[before & (days != NEVER)]
    if not len(known):
        return np.zeros(len(days), np.bool_)
    first, end = int(known.min()), int(known.max()) + 1
    fits = [(EPOCH + timedelta(days=day)).strftime("%m-%d") in wanted for day in range(first, end)]
    found: Bools = before & np.asarray(fits, np.bool_)[np.clip(days, first, end - 1) - first]
    return found


def number(values: Numbers, c: Condition, *, scale: int = 1, known: Bools | None = None) -> Bools:
    """Whole numbers, `scale` of which are one, compared exactly."""
    if c.op in ("empty", "not empty"):
        there = np.ones(len(values), np.bool_) if known is None else known
        return ~there if c.op == "empty" else there
    low, high = _range(c, scale)
    found: Bools = (values >= low) & (values <= high)
    return found if known is None else found & known


def day_of(day: date) -> int:
    """As the columns have days."""
    return (day - EPOCH).days


def _comparisons(c: Condition) -> list[tuple[str, Decimal]]:
    if c.op == "between":
        return [(">=", c.values[0]), ("<=", c.values[1])]
    return [(c.op, c.values[0])]


def _range(c: Condition, scale: int) -> tuple[int, int]:
    """The whole numbers that fit: from, to; none when the first is greater."""
    low, high = -_MOST_EXACT, _MOST_EXACT
    for op, value in _comparisons(c):
        exact = Decimal(value) * scale
        floor, ceiling = int(exact.to_integral_value(ROUND_FLOOR)), int(exact.to_integral_value(ROUND_CEILING))
        if op in (">=", "="):
            low = max(low, ceiling)
        if op in ("<=", "="):
            high = min(high, floor)
        if op == ">":
            low = floor + 1
        if op == "<":
            high = ceiling - 1
    return low, high


def quotient(above: Numbers, below: Numbers, c: Condition) -> Bools:
    """Whether above / below is as the condition says, exactly; `below` is never negative, and 0 not known."""
    known: Bools = below != 0
    if c.op in ("empty", "not empty"):
        return ~known if c.op == "empty" else known
    found = known
    for op, value in _comparisons(c):
        wanted, of_one = Decimal(value).as_integer_ratio()
        compare = {"=": np.equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[op]
        found = found & np.asarray(compare(_times(above, of_one), _times(below, wanted)), np.bool_)
    return found


def _times(values: Numbers, factor: int) -> Numbers:
    """Exactly: as Python's numbers where a product could be too large for the processor's."""
    if factor == 1 or not len(values):
        return values
    largest = max(int(values.max()), -int(values.min()), 1)
    return (values.astype(object) if largest * abs(factor) >= _MOST_EXACT else values) * factor
