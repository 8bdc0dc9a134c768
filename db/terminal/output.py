"""What a command of the terminal prints: one JSON document, or text in aligned columns for people."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal

from db import text
from db.words import _, language

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Output:
    """A command's result twice: as data for programs, as text for people (nothing is printed for '')."""

    data: Any
    text: str


def encoded(value: Any) -> str:
    """JSON in one line. Money is a number with exactly two decimals, instants are in UTC, unknown values are null."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{encoded(str(k))}: {encoded(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(encoded(v) for v in value) + "]"
    if isinstance(value, Decimal):
        return f"{value.quantize(CENT):f}"
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
    plain = value.isoformat() if isinstance(value, date) else None if unknown(value) else value
    return json.dumps(plain, ensure_ascii=False)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain values, None for what is not there."""
    return [{str(k): None if unknown(v) else v for k, v in row.items()} for row in frame.to_dict("records")]


def unknown(value: Any) -> bool:
    """True for None, NaN and what pandas has for them."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def number(value: Any) -> str:
    """155848 → '155,848'."""
    return _("not known") if unknown(value) else format_decimal(value, locale=language())


def money(value: Any, currency: str) -> str:
    """4596039.58 → '$4,596,039.58'."""
    return _("not known") if unknown(value) else format_currency(value, currency, locale=language())


def percent(value: Any) -> str:
    """A share: 0.4567 → '45.7%'."""
    return _("not known") if unknown(value) else format_decimal(value, "0.0%", locale=language())


def figure(value: Any, unit: str, currency: str) -> str:
    """A value of a metric by the metric's unit."""
    if unit == "rate":
        return percent(value)
    return money(value, currency) if unit == "money" else number(value)


def day(value: Any) -> str:
    """'Nov 3, 2026'; a dash for no day."""
    return "–" if unknown(value) else format_date(value, "medium", locale=language())


def days(start: date, end: date) -> str:
    """'Nov 3, 2026 – Nov 9, 2026'."""
    return _("{start} – {end}").format(start=day(start), end=day(end))


def instant(value: Any, zone: str) -> str:
    """A moment in the company's time zone, to the minute; a dash for none."""
    if unknown(value):
        return "–"
    return format_datetime(value.astimezone(ZoneInfo(zone)), "yyyy-MM-dd HH:mm", locale=language())


def table(columns: Mapping[str, Sequence[str]], *, right: Sequence[str] = ()) -> str:
    """Columns under their heads, aligned; those in `right` hold figures. Columns without any value are left out."""
    shown = {head: [text.clean(cell) for cell in cells] for head, cells in columns.items() if any(cells)}
    widths = {head: max(map(_width, [head, *cells])) for head, cells in shown.items()}
    rows = [list(shown), *zip(*shown.values(), strict=True)]
    lines = []
    for row in rows:
        cells = [_padded(cell, widths[head], right=head in right) for head, cell in zip(shown, row, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def fields(values: Mapping[str, str]) -> str:
    """A name and its value in each line."""
    width = max(map(_width, values))
    return "\n".join(f"{_padded(name, width)}  {text.clean(value) or '–'}".rstrip() for name, value in values.items())


def conflict(row: Mapping[str, Any]) -> str:
    """One row of a Conflict or of what an undo left, in a line: each name with its value."""
    return "; ".join(f"{name}: {'–' if value in (None, '') else text.clean(str(value))}" for name, value in row.items())


def line(*parts: str) -> str:
    """Parts of a line of context, without the empty ones."""
    return " · ".join(part for part in parts if part)


def _padded(cell: str, width: int, *, right: bool = False) -> str:
    blanks = " " * (width - _width(cell))
    return blanks + cell if right else cell + blanks


def _width(cell: str) -> int:
    """Columns that a terminal gives it: a Chinese character takes two, a combining mark none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in cell)
