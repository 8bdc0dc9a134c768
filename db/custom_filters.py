"""What the customer list is narrowed by of custom fields: as it is written in an address, and what it says in SQL.

One parameter for each field: `none` and `any` (not filled in, filled in), `has:words` and `is:words` of a text,
`low..high` of a number or a day, either of which may be left out, `in:one,other` of a list, `yes` and `no` of a flag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, func

from db import custom_fields, custom_values, text
from db.comparisons import compared
from db.custom_values import Field
from db.customer_filters import Filters, Resolved
from db.errors import Invalid, Refused
from db.fields import of_custom
from db.permissions import Viewer
from db.rules import Condition
from db.words import _

MOST_FILTERS = 10
"""Custom fields that a list is narrowed by at once."""
MOST_WORDS = 200
"""Characters that a text is asked for."""
MOST_CHOSEN = 50
"""Choices of one field that a list is narrowed by."""
NONE, ANY = "none", "any"
HAS, IS, RANGE, IN, YES, NO = "has", "is", "range", "in", "yes", "no"
MODES: Mapping[str, tuple[str, ...]] = {
    "text": (HAS, IS, NONE, ANY),
    "number": (RANGE, NONE, ANY),
    "date": (RANGE, NONE, ANY),
    "choice": (IN, NONE, ANY),
    "choices": (IN, NONE, ANY),
    "flag": (YES, NO, NONE, ANY),
}
"""Type of a custom field → what it can be asked, the most usual first."""


@dataclass(frozen=True)
class Asked:
    """One field and what is asked of it: `values` are the words, low and high ('' for no bound), or the choices."""

    field: Field
    mode: str
    values: tuple[str, ...] = ()


def read(field: Field, written: str) -> Asked:
    """What a parameter asks of a field, its values as they are stored. Raises Invalid with a sentence."""
    if written in (NONE, ANY, YES, NO) and written in MODES[field.type]:
        return Asked(field, written)
    mode, colon, rest = written.partition(":")
    if colon and mode in (HAS, IS) and mode in MODES[field.type]:
        return asked(field, mode, [rest])
    if colon and mode == IN and IN in MODES[field.type]:
        return asked(field, IN, [re.sub(r"\\(.)", r"\1", each) for each in _PART.findall(rest)])
    low, dots, high = written.partition("..")
    if dots and RANGE in MODES[field.type]:
        return asked(field, RANGE, [low, high])
    raise _wrong(field, _("this cannot be asked of it"))


_PART = re.compile(r"(?:[^,\\]|\\.)+", re.S)


def asked(field: Field, mode: str, values: Sequence[str] = ()) -> Asked:
    """The same of what somebody typed or chose. Raises Invalid with a sentence."""
    if mode in (HAS, IS):
        words = text.clean(values[0])
        if not 1 <= len(words) <= MOST_WORDS:
            raise _wrong(field, _("a text of 1 to {n} characters is expected").format(n=MOST_WORDS))
        return Asked(field, mode, (words,))
    if mode == RANGE:
        low, high = (_bound(field, each) for each in values)
        if not low and not high:
            raise _wrong(field, _("at least one end is expected"))
        if low and high and _place(field, low) > _place(field, high):
            raise _wrong(field, _("the first value is greater than the second"))
        return Asked(field, mode, (low, high))
    if mode == IN:
        chosen = tuple(dict.fromkeys(values))
        if not 1 <= len(chosen) <= MOST_CHOSEN:
            raise _wrong(field, _("1 to {most} of the list are expected").format(most=MOST_CHOSEN))
        for each in chosen:
            if each not in field.choices:
                raise _wrong(field, _("“{value}” is not in the list").format(value=text.clean(each)[:100]))
        return Asked(field, mode, chosen)
    return Asked(field, mode)


def written(one: Asked) -> str:
    """As it stands in an address; `read` gives an equal one."""
    if one.mode in (HAS, IS):
        return f"{one.mode}:{one.values[0]}"
    if one.mode == RANGE:
        return "..".join(one.values)
    if one.mode == IN:
        return IN + ":" + ",".join(re.sub(r"([,\\])", r"\\\1", each) for each in one.values)
    return one.mode


def number(value: str) -> str:
    """A number as it is read, with all of its digits."""
    return f"{Decimal(value):,f}"


def _bound(field: Field, typed: str) -> str:
    try:
        found = custom_values.checked({field.key: _optional(field)}, {field.key: typed})[field.key]
    except Invalid as error:
        raise _wrong(field, error.fields[field.key]) from error
    return found or ""


def _optional(field: Field) -> Field:
    return Field(**vars(field) | {"required": False})


def _place(field: Field, value: str) -> Any:
    return Decimal(value) if field.type == "number" else value


def _wrong(field: Field, problem: str) -> Invalid:
    said = _("{field}: {problem}").format(field=field.label, problem=problem)
    return Invalid(said, fields={field.key: problem})


# --- in the database -------------------------------------------------------------------------------------------------


def resolved(conn: Connection, *, viewer: Viewer, filters: Filters) -> Filters:
    """The filters with the conditions of their custom fields. Raises Invalid and Refused, in a sentence each."""
    if not filters.own:
        return filters
    if len(filters.own) > MOST_FILTERS:
        raise Invalid(_("A list is narrowed by at most {most} fields of your own.").format(most=MOST_FILTERS))
    known = custom_fields.in_use(conn, viewer=viewer)
    said = []
    for key, written_so in filters.own:
        field = known.get(key)
        if field is None:
            raise Invalid(_("There is no field “{field}” to filter by.").format(field=text.clean(key)[:60]))
        _require_seen(field, viewer)
        said.append(fits(read(field, written_so)))
    return Resolved(**vars(filters), conditions=tuple(said))


def _require_seen(field: Field, viewer: Viewer) -> None:
    """Raise Refused for a field whose values are withheld from the viewer's role."""
    if field.personal and viewer.masked:
        problem = _("“{field}” is hidden from your role, so no list is narrowed by it.")
        raise Refused(problem.format(field=field.label))


def fits(one: Asked) -> ColumnElement[bool]:
    """Whether a customer is what is asked for; never null."""
    field = of_custom(one.field)
    assert field.column
    column = field.column(date.min, {})
    if one.mode in (NONE, ANY):
        return column.is_(None) if one.mode == NONE else column.is_not(None)
    values: tuple[Any, ...] = one.values
    op = {HAS: "contains", IS: "is", YES: "yes", NO: "no"}.get(one.mode, "")
    if one.mode == IN:
        op = "in" if one.field.type == "choice" else "any of"
    if one.mode == RANGE:
        low, high = one.values
        op = "between" if low and high else ">=" if low else "<="
        values = tuple(Decimal(each) if one.field.type == "number" else each for each in one.values if each)
    return func.coalesce(compared(Condition(field, op, values), column, date.min), False)
