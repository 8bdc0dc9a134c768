"""Values of custom fields in memory: each as a number of the words that stand there, which a condition looks at once.

The same answers as `fields.of_custom` and db/comparisons.py give by SQL.
"""

from __future__ import annotations

import json
import re
from calendar import isleap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from db import calendar_periods
from db.fields import Kind, since
from db.rules import Condition

Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[Any]

MOST_WORDS, MOST_CHARACTERS = 300_000, 20_000_000
"""Different values of one field, and their characters together, that are held; of a field with more PostgreSQL is
asked."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_KINDS = (np.uint8, np.uint16, np.uint32)


@dataclass(frozen=True)
class Value:
    """What stands there: as a text, that in the small letters of the server, and whether it is a list, as JSON."""

    word: str
    lowered: str
    listed: bool


class OwnValues:
    """One field's value of each row, as the place of its word in `words`."""

    def __init__(self) -> None:
        self.dropped = False
        self._forget()

    def _forget(self) -> None:
        self.words, self.lowered = [""], [""]
        self._lists: list[frozenset[str] | None] = [None]
        self._codes: Numbers = np.zeros(0, np.uint8)
        self._places: dict[tuple[str, bool], int] = {}
        self._characters = 0
        self._floats: Numbers = np.full(1, np.nan)

    def codes(self, rows: int) -> Numbers:
        """The number of each row's word; 0 is none."""
        if len(self._codes) < rows:
            self._codes = np.concatenate([self._codes, np.zeros(rows - len(self._codes), self._codes.dtype)])
        return self._codes[:rows]

    def put(self, rows: Numbers, value: Value) -> None:
        """These rows have this value."""
        if self.dropped or not len(rows):
            return
        code = self._places.setdefault((value.word, value.listed), len(self.words))
        if code == len(self.words):
            self.words.append(value.word)
            self.lowered.append(value.word if value.lowered == value.word else value.lowered)
            self._lists.append(_texts(value.word) if value.listed else None)
            self._characters += len(value.word)
            if code > MOST_WORDS or self._characters > MOST_CHARACTERS:
                self._forget()
                self.dropped = True
                return
        kind = next(kind for kind in _KINDS if code <= np.iinfo(kind).max)
        if np.iinfo(kind).max > np.iinfo(self._codes.dtype).max:
            self._codes = self._codes.astype(kind)
        self.codes(int(rows.max()) + 1)[rows] = code

    def clear(self, rows: Numbers) -> None:
        """These rows have no value."""
        self._codes[rows[rows < len(self._codes)]] = 0

    def fits(self, c: Condition, rows: int, today: date, lowered: Mapping[str, str]) -> Bools:
        """Who of so many rows; `lowered` are the words of a condition in the small letters of the server."""
        return np.take(self._wanted(c, today, lowered), self.codes(rows))

    def _wanted(self, c: Condition, today: date, lowered: Mapping[str, str]) -> Bools:
        """Which words fit."""
        kind = c.field.kind
        if kind is Kind.NUMBER:
            return self._numeric(c)
        if kind is Kind.SEVERAL:
            return _each(self._lists, _several(c))
        if kind is Kind.DATE:
            return _each((word if _is_day(word) else None for word in self.words), _dated(c, today))
        if kind is Kind.FLAG:
            return _each(({"true": True, "false": False}.get(word) for word in self.words), _flagged(c))
        if kind is Kind.TEXT and c.op in ("contains", "is"):
            asked = lowered[c.values[0]]
            compare = asked.__eq__ if c.op == "is" else lambda word: asked in word
            return _each((word or None for word in self.lowered), _known_or(c, compare))
        return _each((word or None for word in self.words), _chosen(c))

    def _numeric(self, c: Condition) -> Bools:
        """By binary numbers, which are in the order of the exact ones; equal ones are looked at exactly."""
        if len(self._floats) < len(self.words):
            new = [float(w) if _NUMBER.fullmatch(w) else np.nan for w in self.words[len(self._floats) :]]
            self._floats = np.concatenate([self._floats, np.asarray(new, np.float64)])
        floats = self._floats
        known = ~np.isnan(floats)
        if c.op in ("empty", "not empty"):
            return ~known if c.op == "empty" else known
        pairs = zip((">=", "<="), c.values, strict=True) if c.op == "between" else [(c.op, c.values[0])]
        found = known
        for op, value in pairs:
            exact = Decimal(value)
            near = float(exact)
            fits = {"<": np.less, ">": np.greater}.get(op[0], np.not_equal)(floats, near)
            for i in np.flatnonzero(floats == near):
                fits[i] = _EXACT[op](Decimal(self.words[i]), exact)
            found = found & (fits if op != "=" else fits & (floats == near))
        return found

    @property
    def bytes(self) -> int:
        """Of memory, roughly."""
        return self._codes.nbytes + self._floats.nbytes + 4 * self._characters + 200 * len(self.words)


_EXACT: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _each(values: Iterable[Any], fits: Callable[[Any], bool]) -> Bools:
    """What is not known, None, is asked as well: it is empty."""
    return np.fromiter((fits(value) for value in values), np.bool_)


def _known_or(c: Condition, fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    if c.op in ("empty", "not empty"):
        return lambda value: (value is None) is (c.op == "empty")
    return lambda value: value is not None and fits(value)


def _chosen(c: Condition) -> Callable[[Any], bool]:
    values = set(c.values)
    return _known_or(c, values.__contains__)


def _flagged(c: Condition) -> Callable[[Any], bool]:
    return _known_or(c, lambda value: value is (c.op == "yes"))


def _texts(word: str) -> frozenset[str] | None:
    """The texts of a list; None for an empty one."""
    found = json.loads(word)
    return frozenset(each for each in found if isinstance(each, str)) if found else None


def _several(c: Condition) -> Callable[[Any], bool]:
    values = set(c.values)
    return _known_or(c, values.issubset if c.op == "all of" else lambda held: not values.isdisjoint(held))


def _is_day(word: str) -> bool:
    return len(word) == len("2026-01-01") and word[4] == "-" and word[7] == "-"


def _dated(c: Condition, today: date) -> Callable[[Any], bool]:
    """Days are texts, compared as they are written."""
    now, ahead = today.isoformat(), c.op in ("in the next", "anniversary in the next")
    last = today + timedelta(days=c.values[0] - 1) if ahead else today
    if c.op == "anniversary in the next":
        low = f"{today:%m-%d}"
        high = "02-29" if (last.month, last.day) == (2, 28) and not isleap(last.year) else f"{last:%m-%d}"
        if last.year == today.year:
            return lambda day: day is not None and day < now and low <= day[5:] <= high
        return lambda day: day is not None and day < now and (day[5:] >= low or day[5:] <= high)
    if c.op in ("before", "after"):
        edge = c.values[0].isoformat()
        return lambda day: day is not None and (day < edge if c.op == "before" else day > edge)
    between: Sequence[date] = c.values
    if c.op == "in the last":
        between = (since(today, c.values[0]), today)
    elif c.op == "in the next":
        between = (today, last)
    elif c.op == "during":
        between = calendar_periods.ends(c.values[0], today)
    ends = [day.isoformat() for day in between]
    return _known_or(c, lambda day: ends[0] <= day <= ends[-1])
