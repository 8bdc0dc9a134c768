"""What the operators of rules say of a value, as conditions of a statement; null where the value is not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Date, Text, cast, func, literal
from sqlalchemy.dialects.postgresql import ARRAY

from db.fields import Kind, since
from db.rules import Condition

OPPOSITE = {
    "!=": "=",
    "not in": "in",
    "not in the last": "in the last",
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
    as_held = date.isoformat if c.field.own and c.field.kind is Kind.DATE else _day
    if c.op == "in the last":
        return column.between(as_held(since(today, c.values[0])), as_held(today))
    if c.op == "between" and c.field.own and c.field.kind is Kind.NUMBER:
        return column.op("<@", is_comparison=True)(func.numrange(*c.values, "[]"))  # which reads it once
    return _COMPARISONS[c.op](column, [as_held(v) if isinstance(v, date) else v for v in c.values])


def _day(day: date) -> Any:
    return literal(day, Date)
