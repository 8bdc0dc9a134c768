"""A segment's rule while it is being built: conditions may still lack their value. Plain objects, kept between runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from dataclasses import field as made
from typing import Any, TypeAlias

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
    """A group: conditions and groups of which all, any or none must hold."""

    id: int
    match: str
    parts: list[Part] = made(default_factory=list)

    @property
    def counts(self) -> bool:
        """Whether it is empty on purpose, or has a part that counts."""
        return not self.parts or any(counts(part) for part in self.parts)

    @property
    def height(self) -> int:
        """How many groups stand within each other, this one included."""
        return 1 + max((part.height for part in self.parts if isinstance(part, Card)), default=0)

    def lines(self) -> Iterator[Line]:
        """Every condition."""
        for part in self.parts:
            yield from [part] if isinstance(part, Line) else part.lines()

    def every(self) -> Iterator[Part]:
        """Every condition and group within, a group before its parts."""
        for part in self.parts:
            yield part
            if isinstance(part, Card):
                yield from part.every()


Part: TypeAlias = Line | Card


@dataclass
class Draft(Card):
    """The whole rule. Its parts are told by their numbers."""

    known: Mapping[str, Field] = made(default_factory=lambda: FIELDS)

    def know(self, known: Mapping[str, Field]) -> None:
        """Hold the conditions against the fields that there are now."""
        self.known = known
        for line in self.lines():
            line.known = known

    def counted(self) -> list[Part]:
        """The outermost parts that count: conditions with their value, and groups with such a condition."""
        return [part for part in self.parts if counts(part)]

    def rule(self, *, without: int = 0) -> Group:
        """The rule of what counts, without one part where its number is given; everyone where then nothing counts."""
        found = _data(self, without)
        return rules.parse(found, self.known) if found else rules.EVERYONE

    def alone(self, number: int) -> Group:
        """The rule of this part by itself."""
        _card, part = self._at(number)
        return rules.parse({"all": [_data(part, 0)]}, self.known)

    def remove(self, number: int) -> None:
        """Take out the condition or group of this number; a group goes with its last part."""
        card, part = self._at(number)
        card.parts.remove(part)
        if not card.parts and card is not self:
            self.remove(card.id)

    def moves(self, number: int) -> list[str]:
        """What can be done with this part: "up", "down", "into" the group beside it, "out" of its group, and so on."""
        card, part = self._at(number)
        at, depth = _place(card.parts, number), self._depth(card)
        room = rules.MOST_DEPTH - depth - (part.height if isinstance(part, Card) else 0)
        beside = _beside(card, at)
        possible = {
            "up": at > 0,
            "down": at + 1 < len(card.parts),
            "into": beside is not None and room >= 1,
            "out": card is not self,
            "wrap": room >= 1,
            "copy": True,
        }
        return [move for move, can in possible.items() if can]

    def move(self, number: int, how: str, numbers: Numbers) -> None:
        """Do one of `moves`; anything else is left undone."""
        if how not in self.moves(number):
            return
        card, part = self._at(number)
        at = _place(card.parts, number)
        if how in ("up", "down"):
            other = at - 1 if how == "up" else at + 1
            card.parts[at], card.parts[other] = card.parts[other], card.parts[at]
        elif how == "into":
            beside = _beside(card, at)
            assert beside
            card.parts.remove(part)
            beside.parts.insert(0 if _place(card.parts, beside.id) >= at else len(beside.parts), part)
        elif how == "out":
            outer, _part = self._at(card.id)
            outer.parts.insert(_place(outer.parts, card.id) + 1, part)
            del card.parts[at]
            if not card.parts:
                outer.parts.remove(card)
        elif how == "wrap":
            card.parts[at] = Card(numbers(), "any", [part])
        else:
            card.parts.insert(at + 1, _copy(part, numbers))

    def may_nest(self, card: Card) -> bool:
        """Whether another group may stand in this one."""
        return self._depth(card) < rules.MOST_DEPTH

    def _at(self, number: int) -> tuple[Card, Part]:
        cards = [self, *(part for part in self.every() if isinstance(part, Card))]
        return next((card, part) for card in cards for part in card.parts if part.id == number)

    def _depth(self, card: Card) -> int:
        """1 for the whole rule."""
        return 1 if card is self else 1 + self._depth(self._at(card.id)[0])


def counts(part: Part) -> bool:
    """Whether a condition has its value, or a group a condition that has."""
    return part.problem is None if isinstance(part, Line) else part.counts


def _place(parts: list[Part], number: int) -> int:
    return next(i for i, part in enumerate(parts) if part.id == number)


def _beside(card: Card, at: int) -> Card | None:
    """The group that stands next after this place, or before it."""
    beside = [*card.parts[at + 1 : at + 2], *card.parts[max(0, at - 1) : at]]
    return next((part for part in beside if isinstance(part, Card)), None)


def _data(part: Part, without: int) -> dict[str, Any]:
    """As JSON has it, of what counts; {} where nothing is left."""
    if isinstance(part, Line):
        return part.data
    inner = [_data(each, without) for each in part.parts if counts(each) and each.id != without]
    left = [each for each in inner if each]
    return {part.match: left} if left or not part.parts else {}


def _copy(part: Part, numbers: Numbers) -> Part:
    if isinstance(part, Line):
        return replace(part, id=numbers(), value=deepcopy(part.value))
    return Card(numbers(), part.match, [_copy(each, numbers) for each in part.parts])


def of(rule: Group, numbers: Numbers, known: Mapping[str, Field] = FIELDS) -> Draft:
    """The rule as a draft; everyone as an empty condition."""

    def part(each: Condition | Group) -> Part:
        if isinstance(each, Group):
            return Card(numbers(), each.match, [part(inner) for inner in each.rules])
        data = rules.data_of(each)
        return Line(numbers(), data["field"], data["op"], data.get("value"), known)

    parts = [part(each) for each in rule.rules]
    if rule == rules.EVERYONE:
        parts.append(Line(numbers(), known=known))
    return Draft(numbers(), rule.match, parts, known)
