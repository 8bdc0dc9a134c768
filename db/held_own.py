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

from db import calendar_periods
from db.arrays import Bools, Numbers
from db.fields import Kind, since
from db.rules import Condition

MOST_WORDS, MOST_CHARACTERS = 100_000, 20_000_000
"""Different values of one field, and their characters together, that are held; of a field with more PostgreSQL is
asked."""
SPARE = 0.02
"""Room for new customers, as a share."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_KINDS = (np.uint8, np.uint16, np.uint32)


@dataclass(frozen=True)
class Values:
    """Some of one field's values as texts, in the small letters of the server, and whether each is a list, as JSON.

    `ids` are the customers who have the first of them, then those who have the second …, `counts` how many each has.
    """

    words: Sequence[str]
    lowered: Sequence[str]
    listed: Sequence[bool]
    counts: Numbers
    ids: Numbers


class OwnValues:
    """One field's value of each row, as the place of its word among the words."""

    def __init__(self) -> None:
        self.dropped = False
        self._forget()

    def drop(self) -> None:
        """There are too many to be held: PostgreSQL is asked until all are loaded anew."""
        self._forget()
        self.dropped = True

    def _forget(self) -> None:
        self.words, self._lowered = [""], [""]
        self._lists: list[frozenset[str] | None] = [None]
        self._codes: Numbers = np.zeros(0, np.uint8)
        self._places: dict[tuple[str, bool], int] = {}
        self._alike: dict[str, list[int]] = {}
        self._characters = 0
        self._floats: Numbers = np.full(1, np.nan)

    def codes(self, rows: int) -> Numbers:
        """The number of each row's word; 0 is none."""
        if len(self._codes) < rows:
            more = int(rows * (1 + SPARE)) - len(self._codes)
            self._codes = np.concatenate([self._codes, np.zeros(more, self._codes.dtype)])
        return self._codes[:rows]

    def put(self, values: Values, places: Numbers, rows: int) -> None:
        """Customers at these `places` among so many rows have these values; -1 is nobody."""
        if self.dropped:
            return
        try:
            codes = [self._code(*each) for each in zip(values.words, values.lowered, values.listed, strict=True)]
        except RecursionError:
            codes = []
        if not codes or len(self.words) > MOST_WORDS or self._characters > MOST_CHARACTERS:
            self.drop()
            return
        kind = next(kind for kind in _KINDS if len(self.words) - 1 <= np.iinfo(kind).max)
        if np.dtype(kind).itemsize > self._codes.dtype.itemsize:
            self._codes = self._codes.astype(kind)
        known = places >= 0
        self.codes(rows)[places[known]] = np.repeat(codes, values.counts)[known]

    def _code(self, word: str, lowered: str, listed: bool) -> int:
        code = self._places.setdefault((word, listed), len(self.words))
        if code == len(self.words):
            self.words.append(word)
            self._lowered.append(word if lowered == word else lowered)
            self._alike.setdefault(self._lowered[-1], []).append(code)
            self._lists.append(_texts(word) if listed else None)
            self._characters += len(word)
        return code

    def clear(self, rows: Numbers) -> None:
        """These rows have no value."""
        self._codes[rows[rows < len(self._codes)]] = 0

    def fits(self, c: Condition, codes: Numbers, today: date, lowered: Mapping[str, str]) -> Bools:
        """Which of these `codes` fit; `lowered` are the words of a condition in the small letters of the server."""
        return np.take(self._wanted(c, today, lowered), codes)

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
            known, asked = self._marked(["true", "false"]), self._marked(["true" if c.op == "yes" else "false"])
        else:
            known = ~self._marked([""])
            known[0] = False
            asked = self._worded(c, lowered) & known if c.op not in _KNOWN else known
        if c.op in _KNOWN:
            return ~known if c.op == "empty" else known
        return asked

    def _worded(self, c: Condition, lowered: Mapping[str, str]) -> Bools:
        """Of a text or a choice."""
        if c.op == "contains":
            asked = lowered[c.values[0]]
            return np.fromiter((asked in word for word in self._lowered), np.bool_)
        if c.op == "is":
            found = np.zeros(len(self.words), np.bool_)
            found[self._alike.get(lowered[c.values[0]], [])] = True
            return found
        return self._marked(c.values)

    def _marked(self, words: Iterable[str]) -> Bools:
        """Where these words stand, which a list may be written as, too."""
        found = np.zeros(len(self.words), np.bool_)
        for word in words:
            for listed in (False, True):
                place = self._places.get((word, listed))
                if place is not None:
                    found[place] = True
        return found

    def _numeric(self, c: Condition) -> Bools:
        """By binary numbers, which are in the order of the exact ones; equal ones are looked at exactly."""
        if len(self._floats) < len(self.words):
            new = [float(w) if _NUMBER.fullmatch(w) else np.nan for w in self.words[len(self._floats) :]]
            self._floats = np.concatenate([self._floats, np.asarray(new, np.float64)])
        floats = self._floats
        known = ~np.isnan(floats)
        if c.op in _KNOWN:
            return ~known if c.op == "empty" else known
        found = known
        for op, value in zip((">=", "<="), c.values, strict=True) if c.op == "between" else [(c.op, c.values[0])]:
            exact = Decimal(value)
            near = float(exact)
            fits = _BEYOND[op[0]](floats, near)
            for i in np.flatnonzero(floats == near):
                fits[i] = _EXACT[op](Decimal(self.words[i]), exact)
            found = found & fits
        return found

    @property
    def bytes(self) -> int:
        """Of memory, roughly."""
        return self._codes.nbytes + self._floats.nbytes + 4 * self._characters + 300 * len(self.words)


_KNOWN = ("empty", "not empty")
_BEYOND: Mapping[str, Callable[[Numbers, float], Bools]] = {
    "<": lambda floats, near: floats < near,
    ">": lambda floats, near: floats > near,
    "=": lambda floats, _near: np.zeros(len(floats), np.bool_),
}
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
    if c.op in _KNOWN:
        return lambda value: (value is None) is (c.op == "empty")
    return lambda value: value is not None and fits(value)


def _texts(word: str) -> frozenset[str] | None:
    """The texts of a list; None for an empty one."""
    found = json.loads(word, parse_int=float)  # of any length
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
