"""What the operators of rules say of a value, as conditions of a statement; null where the value is not known."""

from __future__ import annotations

from calendar import isleap
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Date, Text, and_, cast, func, literal, or_
from sqlalchemy.dialects.postgresql import ARRAY

from db import calendar_periods
from db.fields import Kind, since
from db.rules import Condition

OPPOSITE = {
    "!=": "=",
    "not in": "in",
    "not in the last": "in the last",
    "not during": "during",
    "none of": "any of",
    "not reached": "reached",
    "not within": "within",
    "not contains": "contains",
    "is not": "is",
}
"""Operator → the one of which it is the opposite: true of what is not known, too."""
_COMPARISONS: Mapping[str, Callable[[Any, Sequence[Any]], Any]] = {
    "=": lambda column, values: column == values[0],
    "on": lambda column, values: column == values[0],
    "<": lambda column, values: column < values[0],
    "before": lambda column, values: column < values[0],
    "<=": lambda column, values: column <= values[0],
    ">": lambda column, values: column > values[0],
    "after": lambda column, values: column > values[0],
    ">=": lambda column, values: column >= values[0],
    "between": lambda column, values: column.between(*values),
    "in": lambda column, values: column.in_(list(values)),
    "any of": lambda column, values: column.op("?|", is_comparison=True)(cast(list(values), ARRAY(Text))),
    "all of": lambda column, values: column.op("?&", is_comparison=True)(cast(list(values), ARRAY(Text))),
    # Both in the small letters of the server, whichever these are.
    "contains": lambda column, values: func.strpos(func.lower(column), func.lower(values[0])) > 0,
    "is": lambda column, values: func.lower(column) == func.lower(values[0]),
    "yes": lambda column, _values: column.is_(True),
    "no": lambda column, _values: column.is_(False),
}


def compared(c: Condition, column: Any, today: date) -> Any:
    """The condition of a value; `empty`, `not empty` and the opposites are the caller's."""
    as_held: Callable[[date], Any] = date.isoformat if c.field.own and c.field.kind is Kind.DATE else _day
    if c.op == "in the last":
        return column.between(as_held(since(today, c.values[0])), as_held(today))
    if c.op == "during":
        return column.between(*map(as_held, calendar_periods.ends(c.values[0], today)))
    if c.op in ("in the next", "anniversary in the next"):
        return _ahead(c, column, today, as_held)
    if c.op == "between" and c.field.own and c.field.kind is Kind.NUMBER:
        return column.op("<@", is_comparison=True)(func.numrange(*c.values, "[]"))  # which reads it once
    return _COMPARISONS[c.op](column, [as_held(v) if isinstance(v, date) else v for v in c.values])


def _ahead(c: Condition, column: Any, today: date, as_held: Callable[[date], Any]) -> Any:
    """That a day lies in the next days, today included, or that the same day of a later year does.

    Who was born on 29 February has it on the 28th in other years. A day's own year is no anniversary: with at most
    MOST_ANNIVERSARY days ahead, only days before today have one among them.
    """
    last = today + timedelta(days=c.values[0] - 1)
    if c.op == "in the next":
        return column.between(as_held(today), as_held(last))
    low = f"{today:%m-%d}"
    high = "02-29" if (last.month, last.day) == (2, 28) and not isleap(last.year) else f"{last:%m-%d}"
    day = (func.substr(column, 6) if c.field.own else func.to_char(column, "MM-DD")).collate("C")
    # Over the turn of the year the days are those at its end and those at its beginning.
    either = and_(day >= low, day <= high) if last.year == today.year else or_(day >= low, day <= high)
    return and_(column < as_held(today), either)


def _day(day: date) -> Any:
    return literal(day, Date)
