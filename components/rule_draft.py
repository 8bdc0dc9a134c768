"""A segment's rule while it is being built: conditions may still lack their value. Plain objects, kept between runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as made
from typing import Any

from db import rules
from db.errors import Invalid
from db.fields import FIELDS, OPERATORS, Field, Kind
from db.rules import Condition, Group

Numbers = Callable[[], int]
"""Gives a number that was never given before in this visit: what keeps the widgets of two rules apart."""


@dataclass
class Line:
    """One condition; `value` is as in the rule's JSON, None while there is none. `known` are the fields there are."""

    id: int
    field: str = ""
    op: str = ""
    value: Any = None
    known: Mapping[str, Field] = made(default_factory=lambda: FIELDS)

    def choose(self, key: str) -> None:
        """Take another field, with the operator it is asked for most: at least for figures, else the first."""
        if key != self.field:
            self.field, self.value = key, None
            kind = self.known[key].kind
            self.op = ">=" if kind in (Kind.NUMBER, Kind.MONEY) else next(iter(OPERATORS[kind]))

    def compare(self, op: str) -> None:
        """Take another operator; the value stays where both take the same."""
        if self.takes != self._operators[op]:
            self.value = None
        self.op = op

    @property
    def takes(self) -> str:
        """What the operator takes (db/fields.py); '' without a field."""
        return self._operators.get(self.op, "nothing") if self.field else ""

    @property
    def _operators(self) -> Mapping[str, str]:
        return OPERATORS[self.known[self.field].kind] if self.field in self.known else {}

    @property
    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        found: dict[str, Any] = {"field": self.field, "op": self.op}
        return found if self.takes == "nothing" else found | {"value": self.value}

    @property
    def problem(self) -> str | None:
        """Why it does not count yet: '' while nothing was chosen, else the sentence; None when it counts."""
        if not self.field or (self.value is None and self.takes != "nothing"):
            return ""
        try:
            rules.parse(self.data, self.known)
        except Invalid as error:
            return error.message
        return None


@dataclass
class Card:
    """A group of conditions within the rule."""

    id: int
    match: str
    lines: list[Line] = made(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """As JSON has it, of the conditions that count."""
        return {self.match: [line.data for line in self.lines if line.problem is None]}


@dataclass
class Draft:
    """The rule: conditions and cards of which all, any or none must hold."""

    id: int
    match: str
    parts: list[Line | Card] = made(default_factory=list)
    known: Mapping[str, Field] = made(default_factory=lambda: FIELDS)

    def know(self, known: Mapping[str, Field]) -> None:
        """Hold the conditions against the fields that there are now."""
        self.known = known
        for line in self.lines():
            line.known = known

    def counted(self) -> list[Line | Card]:
        """The parts that count: conditions with their value, and cards with such a condition."""
        return [part for part in self.parts if (part.problem is None if isinstance(part, Line) else _counts(part))]

    def rule(self) -> Group:
        """The rule of what counts; everyone while there are conditions and none of them counts."""
        counted = [part.data for part in self.counted()]
        return rules.parse({self.match: counted}, self.known) if counted or not self.parts else rules.EVERYONE

    def lines(self) -> Iterator[Line]:
        """Every condition."""
        for part in self.parts:
            yield from [part] if isinstance(part, Line) else part.lines

    def remove(self, number: int) -> None:
        """Take out the condition or card of this number; a card goes with its last condition."""
        self.parts = [part for part in self.parts if part.id != number]
        for part in list(self.parts):
            if isinstance(part, Card) and any(line.id == number for line in part.lines):
                part.lines = [line for line in part.lines if line.id != number]
                if not part.lines:
                    self.parts.remove(part)


def _counts(card: Card) -> bool:
    return not card.lines or any(line.problem is None for line in card.lines)


def of(rule: Group, numbers: Numbers, known: Mapping[str, Field] = FIELDS) -> Draft | None:
    """The rule as a draft, everyone as an empty condition; None where groups stand deeper than the builder shows."""

    def line(condition: Condition) -> Line:
        data = rules.data_of(condition)
        return Line(numbers(), data["field"], data["op"], data.get("value"), known)

    parts: list[Line | Card] = []
    for each in rule.rules:
        if isinstance(each, Condition):
            parts.append(line(each))
        elif any(isinstance(inner, Group) for inner in each.rules):
            return None
        else:
            found = [line(c) for c in each.rules if isinstance(c, Condition)]
            parts.append(Card(numbers(), each.match, found))
    if rule == rules.EVERYONE:
        parts.append(Line(numbers(), known=known))
    return Draft(numbers(), rule.match, parts, known)
