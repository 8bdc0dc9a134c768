"""A custom field and its values: what is accepted, and the form in which it is stored and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from db import text
from db.errors import Invalid
from db.words import N_, _, language

PREFIX = "custom."
"""Before the key of a custom field, where its values stand among those of the customer's own columns."""
MOST_TEXT = 2_000
MOST_DIGITS = 15
"""Digits before the point of a number."""
MOST_DECIMALS = 6
TYPE_NAMES = {
    "text": N_("Text"),
    "number": N_("A number"),
    "date": N_("Date"),
    "choice": N_("One of a list"),
    "choices": N_("Several of a list"),
    "flag": N_("Yes or no"),
}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_DAY = re.compile(r"(\d{4})[-/.年] ?(\d{1,2})[-/.月] ?(\d{1,2})日?|(\d{4})(\d\d)(\d\d)", re.ASCII)
_YES = ("true", "yes", "y", "1", "是")
_NO = ("false", "no", "n", "0", "否")


@dataclass(frozen=True)
class Field:
    """A field that an administrator added. `key`, `type` and `personal` never change."""

    id: int
    key: str
    name: str
    name_zh: str
    type: str
    choices: tuple[str, ...]
    required: bool
    personal: bool
    help: str
    position: int
    archived: bool
    version: int

    @property
    def label(self) -> str:
        """What it is called in the reader's language."""
        return self.name_zh if self.name_zh and language().startswith("zh") else self.name

    @property
    def column(self) -> str:
        """The column of `customers` that holds its values."""
        return "custom_personal" if self.personal else "custom"


class _Wrong(ValueError):
    """Why a value cannot be accepted, in a sentence."""


def checked(fields: Mapping[str, Field], values: Mapping[str, Any], *, kept: Mapping[str, Any] = {}) -> dict[str, Any]:
    """The values by key as they are stored; None for an empty one. Checking them again changes nothing.

    A text is a cleaned text, a number a decimal number written out, a date ISO, several choices a list in the
    order of the field's, a flag True or False. `kept` are present values: what stands there and is no longer among the
    choices may stay. Raises Invalid with a sentence for each field that cannot be accepted.
    """
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for key, value in values.items():
        field = fields.get(key)
        if field is None or field.archived:
            problems[key] = _("This field is not used any more. Reload the page.")
            continue
        try:
            found[key] = _READ[field.type](field, value, kept.get(key))
        except _Wrong as error:
            problems[key] = str(error)
        else:
            if field.required and found[key] is None:
                problems[key] = _("This must not be empty.")
    if problems:
        raise Invalid(_("Some fields need another look."), fields=problems)
    return found


def changed(fields: Mapping[str, Field], values: Mapping[str, Any], opened: Mapping[str, Any]) -> dict[str, Any]:
    """Of the values of a form those that are not as it was opened with, checked. What was not touched is not judged."""
    touched = {key: value for key, value in values.items() if value != opened.get(key)}
    found = checked(fields, touched, kept=opened)
    return {key: value for key, value in found.items() if value != opened.get(key)}


def told(field: Field | None, value: Any) -> str:
    """A value as people read it, never markup; '' for none. Values of a field that is not known are shown as stored."""
    if value is None or value in ([], ""):
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return _(", ").join(str(each) for each in value)
    if field and field.type == "number" and _NUMBER.fullmatch(str(value)):
        return f"{Decimal(str(value)):,f}"
    return str(value)


def _text(field: Field, value: Any, kept: Any) -> str | None:
    found = text.clean(_written(value), multiline=True)
    if len(found) > MOST_TEXT:
        raise _Wrong(
            _("{n} characters are too many; at most {most}.").format(n=f"{len(found):,}", most=f"{MOST_TEXT:,}")
        )
    return found or None


def _number(field: Field, value: Any, kept: Any) -> str | None:
    if isinstance(value, bool):
        raise _Wrong(_("This is not a number. Example: 1234.5"))
    written = text.clean(_written(value)).replace("\u2212", "-").replace(" ", "")
    if not written:
        return None
    if _THOUSANDS.fullmatch(written):
        written = written.replace(",", "")
    if len(written) > 60 or not _NUMBER.fullmatch(written):
        raise _Wrong(_("This is not a number. Example: 1234.5"))
    number = Decimal(written)
    if number and number.adjusted() >= MOST_DIGITS:
        raise _Wrong(_("At most {n} digits before the point.").format(n=MOST_DIGITS))
    whole, _point, decimals = f"{number:f}".partition(".")
    decimals = decimals.rstrip("0")
    if len(decimals) > MOST_DECIMALS:
        raise _Wrong(_("At most {n} digits after the point.").format(n=MOST_DECIMALS))
    if not number:
        return "0"
    return f"{whole}.{decimals}" if decimals else whole


def _date(field: Field, value: Any, kept: Any) -> str | None:
    if isinstance(value, datetime | date):
        return (value.date() if isinstance(value, datetime) else value).isoformat()
    written = text.clean(_written(value))
    if not written:
        return None
    parts = _DAY.fullmatch(written)
    try:
        if not parts:
            raise ValueError
        return date(*(int(part) for part in parts.groups() if part)).isoformat()
    except ValueError:
        raise _Wrong(_("This is not a day. Example: 2026-11-25")) from None


def _choice(field: Field, value: Any, kept: Any) -> str | None:
    written = text.clean(_written(value))
    if not written:
        return None
    if written not in field.choices and written != kept:
        raise _Wrong(_("“{value}” is not in the list. Choose one of it.").format(value=written[:100]))
    return written


def _choices(field: Field, value: Any, kept: Any) -> list[str] | None:
    before = kept if isinstance(kept, list) else []
    if isinstance(value, str):
        whole = text.clean(value)
        value = [whole] if whole in field.choices else re.split(r"[;；\n]", value)
    if not isinstance(value, list | tuple) and value is not None:
        raise _Wrong(_("Choose some of the list."))
    given = dict.fromkeys(filter(None, (text.clean(_written(each)) for each in value or ())))
    for each in given:
        if each not in field.choices and each not in before:
            raise _Wrong(_("“{value}” is not in the list. Choose one of it.").format(value=each[:100]))
    ordered = [each for each in (*field.choices, *before) if each in given]
    return list(dict.fromkeys(ordered)) or None


def _flag(field: Field, value: Any, kept: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    written = text.clean(_written(value)).lower()
    if not written:
        return None
    if written not in (*_YES, *_NO):
        raise _Wrong(_("Say yes or no."))
    return written in _YES


def _written(value: Any) -> str:
    """What was given as a text; only plain values are."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise _Wrong(_("This cannot be read as a value of this field."))
    return str(value) if not isinstance(value, int) or abs(value) < 10**60 else "9" * 61


_READ: Mapping[str, Callable[[Field, Any, Any], Any]] = {
    "text": _text,
    "number": _number,
    "date": _date,
    "choice": _choice,
    "choices": _choices,
    "flag": _flag,
}
