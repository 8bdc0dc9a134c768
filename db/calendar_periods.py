"""Weeks, months and years of the calendar as rules name them: by what they are today, not by their days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from db.words import N_, _

PERIODS: Mapping[str, str] = {
    "this week": N_("this week"),
    "last week": N_("last week"),
    "this month": N_("this month"),
    "last month": N_("last month"),
    "this year": N_("this year"),
    "last year": N_("last year"),
}
"""What a rule may name, and what it is called. The present ones are whole: the days still to come belong to them."""
USUAL = "this month"
_MONTHS = {"month": 1, "year": 12}


def label(period: str) -> str:
    """What people call it, in the reader's language."""
    return _(PERIODS[period])


def ends(period: str, today: date) -> tuple[date, date]:
    """The first and the last day of one of PERIODS; weeks begin on Monday (ISO 8601)."""
    which, unit = period.split(" ")
    if unit == "week":
        first = today - timedelta(days=today.weekday() + (7 if which == "last" else 0))
        return first, first + timedelta(days=6)
    n = _MONTHS[unit]
    began = today.year * 12 + (today.month - 1) // n * n - (n if which == "last" else 0)
    return _first(began), _first(began + n) - timedelta(days=1)


def _first(months: int) -> date:
    return date(months // 12, months % 12 + 1, 1)
