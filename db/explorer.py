"""What the screens of the explorer share: calendar months, and the rule of the people behind a figure."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any


def month_before(day: date, n: int) -> date:
    """The first day of the calendar month `n` before that of `day`."""
    months = day.year * 12 + day.month - 1 - n
    return date(months // 12, months % 12 + 1, 1)


def last_of(month: date) -> date:
    """The last day of a calendar month."""
    return month_before(month, -1) - timedelta(days=1)


def narrowed(rule: str, *conditions: Any) -> str:
    """The members of a rule (JSON), or everyone, of whom these conditions are true too, as a rule of its own."""
    found = json.loads(rule) if rule else {"all": []}
    within = found["all"] if isinstance(found, dict) and "all" in found else [found]
    return json.dumps({"all": [*within, *conditions]}, ensure_ascii=False, separators=(",", ":"))


def of_cohort(rule: str, *, cohort: date, month: date | None = None) -> str:
    """The rule (JSON) of a cohort's customers, or of those who bought in a month; within a rule or everyone."""
    conditions: list[Any] = [_first_order(cohort, last_of(cohort))]
    if month:
        span = {"from": month.isoformat(), "to": last_of(month).isoformat()}
        conditions.append({"field": "ordered", "op": "within", "value": span})
    return narrowed(rule, *conditions)


def of_unknown(rule: str, *, start: date, first_known: date) -> str:
    """The rule (JSON) of those whose first purchase lies from `start` on and before the first cohort that is known."""
    return narrowed(rule, _first_order(start, first_known - timedelta(days=1)))


def _first_order(start: date, end: date) -> dict[str, Any]:
    return {"field": "first_order_on", "op": "between", "value": [start.isoformat(), end.isoformat()]}


def of_once(rule: str, *, start: date, end: date) -> str:
    """The rule (JSON) of those with one order, which lies from `start` to `end`; within a rule or everyone."""
    return narrowed(rule, _first_order(start, end), {"field": "orders", "op": "=", "value": 1})


def of_pair(rule: str, *, first: str, second: str, without: bool, start: date, end: date) -> str:
    """The rule (JSON) of who bought the category `first` in a period, and `second` too, or not; within a rule."""
    span = {"from": start.isoformat(), "to": end.isoformat()}
    other = "none of" if without else "any of"
    return narrowed(rule, *(_bought(op, name, span) for op, name in (("any of", first), (other, second))))


def _bought(op: str, category: str, span: dict[str, str]) -> dict[str, Any]:
    return {"field": "bought_category", "op": op, "value": {"of": [category], **span}}
