"""How a customer buys: the usual interval between purchases, when the next is due, and the three scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, Integer, cast

from db.fields import MEASURES, Bounds, score
from db.words import N_

LEAST_DAYS = 3
"""Days with a purchase that it takes to tell an interval: two intervals between them."""
SCORES = {"r_score": "recency", "f_score": "frequency", "m_score": "monetary"}
"""Score → the measure whose bounds it is told by."""
SCORE_WORDS = {
    "r_score": (N_("long ago"), N_("a while ago"), N_("in the middle"), N_("recently"), N_("most recently")),
    "f_score": (N_("most rarely"), N_("rarely"), N_("in the middle"), N_("often"), N_("most often")),
    "m_score": (N_("least"), N_("little"), N_("in the middle"), N_("much"), N_("most")),
}
"""What the scores 1 to 5 mean beside all customers with orders."""


def interval(days: Sequence[date] | None) -> int | None:
    """The median number of days between distinct days with a purchase, halves rounded up; None below LEAST_DAYS."""
    distinct = sorted(set(days or ()))
    if len(distinct) < LEAST_DAYS:
        return None
    gaps = [(later - earlier).days for earlier, later in pairwise(distinct)]
    return math.floor(median(gaps) + 0.5)


def due_on(last: date | None, every: int | None) -> date | None:
    """The day the next purchase is due: the last one and the usual interval; None where that is not known."""
    return last + timedelta(days=every) if last and every is not None else None


def score_columns(today: date, bounds: Bounds) -> list[ColumnElement[Any]]:
    """r_score, f_score and m_score of a row of customer_metrics: 1 to 5 as db/scores.py says.

    Null without orders, or before the bounds were first taken. Part of a query that joins customer_metrics.
    """
    return [
        cast(score(measure, MEASURES[measure])(today, bounds), Integer).label(name) for name, measure in SCORES.items()
    ]
