"""Rules over the columns that are held in process: the same answers as db/segments.py gives by SQL, row for row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import numpy as np

from db import calendar_periods, rfm
from db.comparisons import OPPOSITE
from db.fields import EPOCH, Bounds, Kind, since
from db.funnel import Step
from db.held_columns import CHOICES, NEVER, Bools, Columns, Numbers
from db.metrics import ACTIVE_DAYS, LOST_DAYS, Stage
from db.rules import Condition, Group, Span

STEPS = tuple(Step)
STAGES = tuple(Stage)
_LATEST = 2**31 - 1
_MOST_EXACT = 2**62
_SCORED = {"r_score": "recency", "f_score": "frequency", "m_score": "monetary", "value_decile": "value"}
_CLASSES = {"rfm_class": rfm.BY_SCORES, "rfm_value": rfm.VALUE_BY_SCORES}
_DATES = ("created_on", "first_order_on", "last_order_on")


@dataclass
class Asked:
    """Questions of one moment, to all customers or to those in some `rows`; what recurs is looked at once.

    `looked_up` are the ids of those who fit the conditions of fields that are not held.
    """

    columns: Columns
    today: date
    bounds: Bounds
    looked_up: Mapping[Condition, Numbers]
    rows: Numbers | None = None
    _met: dict[Any, Any] = field(default_factory=dict)

    def fits(self, rule: Condition | Group) -> Bools:
        """True or false for each row; what is not known fits no condition, and its opposite."""
        if isinstance(rule, Condition):
            if rule.op in OPPOSITE:
                return ~self.fits(positive(rule))
            holding: Bools = self._once(rule, lambda: self._holds(rule))
            return holding
        every = rule.match == "all"
        found = np.full(self.size, every)
        for each in rule.rules:
            if every:
                found &= self.fits(each)
            else:
                found |= self.fits(each)
        return ~found if rule.match == "none" else found

    @property
    def size(self) -> int:
        """How many rows are asked."""
        return self.columns.rows if self.rows is None else len(self.rows)

    def codes(self, name: str) -> tuple[Numbers, Sequence[str]]:
        """The values of a dimension as numbers, and what they stand for; '' is not known."""
        if name in CHOICES:
            return self._of(name), self.columns.words[name]
        if name == "stage":
            return self._once("stage", self._stages), [s.value for s in STAGES]
        if name in _CLASSES:
            return self._once("classes", self._classes), ["", *_CLASSES[name]]
        scores: Numbers = self._once(name, lambda: self._scores(_SCORED[name]))
        return scores, ["", *map(str, range(1, 11))]

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._met:
            self._met[key] = make()
        return self._met[key]

    def _of(self, name: str) -> Numbers:
        held = self.columns.of(name)
        return held if self.rows is None else self._once(("column", name), lambda: held[self.rows])

    def _picked(self, found: Bools) -> Bools:
        return found if self.rows is None else found[self.rows]

    # --- conditions --------------------------------------------------------------------------------------------------

    def _holds(self, c: Condition) -> Bools:
        key = c.field.key
        if c not in self.looked_up:
            if key in CHOICES:
                return self._chosen(*self.codes(key), c)
            if key == "stage" or key in _SCORED or key in _CLASSES:
                return self._chosen(*self.codes(key), c)
            if key in ("email", "phone"):
                return self._chosen(self._of(key).astype(np.int8) + 1, ["", "no", "yes"], c)
            if key in _DATES:
                return self._dated(self._of(key), c)
            found = _HOLDERS.get(key)
            if found:
                return found(self, c)
        return self._by_ids(self.looked_up[c])

    def _by_ids(self, ids: Numbers) -> Bools:
        found = np.zeros(self.columns.rows, np.bool_)
        places = self.columns.places(ids)
        found[places[places >= 0]] = True
        return self._picked(found)

    @staticmethod
    def _chosen(codes: Numbers, words: Sequence[str], c: Condition) -> Bools:
        if c.op in ("empty", "not empty"):
            wanted = [(word == "") is (c.op == "empty") for word in words]
        else:
            wanted = [word in c.values and word != "" for word in words]
        return np.asarray(wanted, np.bool_)[codes]

    def _owned(self, c: Condition) -> Bools:
        owners = self._of("owner_id")
        if c.op in ("empty", "not empty"):
            return np.asarray((owners == 0) if c.op == "empty" else (owners != 0))
        return np.isin(owners, [v for v in c.values if v != 0])

    def _dated(self, days: Numbers, c: Condition) -> Bools:
        known: Bools = days != NEVER
        if c.op in ("empty", "not empty"):
            return ~known if c.op == "empty" else known
        if c.op == "in the last":
            low, high = _day(since(self.today, c.values[0])), _day(self.today)
        elif c.op == "during":
            low, high = map(_day, calendar_periods.ends(c.values[0], self.today))
        else:
            first, last = _day(c.values[0]), _day(c.values[-1])
            low = {"before": NEVER + 1, "after": first + 1}.get(c.op, first)
            high = {"before": first - 1, "after": _LATEST}.get(c.op, last)
        found: Bools = (days >= low) & (days <= high)
        return found

    def _number(self, values: Numbers, c: Condition, *, scale: int = 1, known: Bools | None = None) -> Bools:
        """Whole numbers, `scale` of which are one, compared exactly."""
        if c.op in ("empty", "not empty"):
            there = np.ones(len(values), np.bool_) if known is None else known
            return ~there if c.op == "empty" else there
        low, high = _range(c, scale)
        found: Bools = (values >= low) & (values <= high)
        return found if known is None else found & known

    def _orders(self, c: Condition) -> Bools:
        return self._number(self._of("orders"), c)

    def _revenue(self, c: Condition) -> Bools:
        return self._number(self._of("cents"), c, scale=100)

    def _recency(self, c: Condition) -> Bools:
        last = self._of("last_order_on")
        known = last != NEVER
        return self._number(np.where(known, _day(self.today) - last.astype(np.int64), 0), c, known=known)

    def _basket(self, c: Condition) -> Bools:
        """Revenue by orders: compared without dividing, as the exact number that PostgreSQL rounds far behind."""
        cents, orders = self._of("cents"), self._of("own_orders").astype(np.int64)
        known: Bools = orders != 0
        if c.op in ("empty", "not empty"):
            return ~known if c.op == "empty" else known
        return known & _quotient(cents, orders * 100, c)

    def _interval(self, c: Condition) -> Bools:
        usual = self._of("usual_days")
        return self._number(usual, c, known=usual != 0)

    def _due(self, c: Condition) -> Bools:
        usual = self._of("usual_days")
        return self._dated(np.where(usual != 0, self._of("last_order_on") + usual, NEVER), c)

    def _rhythm(self, c: Condition) -> Bools:
        """Days since the last order by the usual interval, compared as `_basket` does."""
        usual = self._of("usual_days").astype(np.int64)
        known: Bools = usual != 0
        if c.op in ("empty", "not empty"):
            return ~known if c.op == "empty" else known
        return known & _quotient(_day(self.today) - self._of("last_order_on").astype(np.int64), usual, c)

    def _ordered(self, c: Condition) -> Bools:
        low, high = self._period(c.span)
        held = self.columns.pairs["ordered"]
        return self._picked(held.hold([0], low, high, self.columns.changed))

    def _bought_category(self, c: Condition) -> Bools:
        columns = self.columns
        if c.span == Span():
            known = [columns.categories[v] for v in c.values if v in columns.categories]
            return self._picked(columns.pairs["category"].hold(known, NEVER, _LATEST, columns.changed))
        products = [p for v in c.values for p in columns.products.get(v, ())]
        return self._picked(columns.pairs["product"].hold(products, *self._period(c.span), columns.changed))

    def _looked_up(self, c: Condition) -> Bools:
        name = {"bought_product": "product"}.get(c.field.key, c.field.key)
        held = self.columns.pairs[name]
        return self._picked(held.hold(c.values, *self._period(c.span), self.columns.changed))

    def _stepped(self, c: Condition) -> Bools:
        campaign, step = c.values
        key = campaign * len(STEPS) + STEPS.index(Step(step))
        return self._picked(self.columns.pairs["step"].hold([key], NEVER, _LATEST, self.columns.changed))

    def _period(self, span: Span) -> tuple[int, int]:
        if span == Span():
            return NEVER, _LATEST
        start, end = span.ends(self.today)
        return (_day(start) if start else NEVER + 1), (_day(end) if end else _LATEST)

    # --- what is made of columns -------------------------------------------------------------------------------------

    def _stages(self) -> Numbers:
        """As `metrics.stage_column`, as places in STAGES."""
        first, last = self._of("first_order_on"), self._of("last_order_on")
        recent, lost = (_day(self.today - timedelta(days=n)) for n in (ACTIVE_DAYS, LOST_DAYS))
        place = {stage: np.int8(i) for i, stage in enumerate(STAGES)}
        found = np.where(last >= lost, place[Stage.AT_RISK], place[Stage.LOST])
        found = np.where(last >= recent, place[Stage.ACTIVE], found)
        found = np.where((first >= recent) & (first != NEVER), place[Stage.NEW], found)
        return np.where(last == NEVER, place[Stage.PROSPECT], found)

    def _scores(self, measure: str) -> Numbers:
        """As `fields.score`: from 1, 0 without orders."""
        between = self.bounds.get(measure)
        if not between:
            return np.zeros(self.size, np.int8)
        name = {"recency": "last_order_on", "frequency": "orders"}.get(measure, "cents")
        exact = [Decimal(repr(bound)) * (100 if name == "cents" else 1) for bound in between]
        steps = [int(bound.to_integral_value(ROUND_FLOOR)) for bound in exact]
        scores = np.searchsorted(np.asarray(steps, np.int64), self._of(name), "left").astype(np.int8) + np.int8(1)
        return np.where(self._of("orders") == 0, np.int8(0), scores)

    def _classes(self) -> Numbers:
        """The place of the three scores in `rfm.BY_SCORES`, from 1; 0 without orders."""
        r, f, m = (self.codes(name)[0].astype(np.int16) for name in ("r_score", "f_score", "m_score"))
        return np.where((r > 0) & (f > 0) & (m > 0), r * 25 + f * 5 + m - 30, 0)


_HOLDERS: Mapping[str, Callable[[Asked, Condition], Bools]] = {
    "owner": Asked._owned,
    "orders": Asked._orders,
    "revenue": Asked._revenue,
    "recency_days": Asked._recency,
    "basket": Asked._basket,
    "interval": Asked._interval,
    "next_due_on": Asked._due,
    "rhythm": Asked._rhythm,
    "ordered": Asked._ordered,
    "bought_category": Asked._bought_category,
    "bought_product": Asked._looked_up,
    "received": Asked._looked_up,
    "redeemed": Asked._looked_up,
    "funnel": Asked._stepped,
}
HELD = frozenset({*CHOICES, "stage", *_SCORED, *_CLASSES, "email", "phone", *_DATES, *_HOLDERS})
"""The keys of fields whose conditions need no table, by these operators."""
_OPERATORS = frozenset(
    {"=", "<", "<=", ">", ">=", "between", "empty", "not empty", "in", "any of", "on", "before", "after", "in the last"}
    | {"within", "reached", "during"}
)


def positive(c: Condition) -> Condition:
    """What a condition asks, or what it is the opposite of."""
    return Condition(c.field, OPPOSITE.get(c.op, c.op), c.values, c.span)


def not_held(rule: Condition | Group) -> set[Condition]:
    """The conditions, without their opposites, that tables have to be asked for."""
    if isinstance(rule, Group):
        return set().union(*(not_held(each) for each in rule.rules))
    asked = positive(rule)
    return set() if rule.field.key in HELD and rule.field.own is None and asked.op in _OPERATORS else {asked}


def areas(rule: Condition | Group) -> set[str]:
    """The areas of data that the answer to a rule of held fields depends on."""
    if isinstance(rule, Group):
        return set().union({"profiles", "metrics"}, *(areas(each) for each in rule.rules))
    if rule.field.key in ("email", "phone"):
        return {"customers"}
    if rule.field.kind in (Kind.CAMPAIGN, Kind.STEP):
        return {"campaigns"}
    return {"orders"} if rule.field.kind is Kind.BOUGHT else {"settings"} if rule.field.key == "created_on" else set()


def _day(day: date) -> int:
    return (day - EPOCH).days


def _comparisons(c: Condition) -> list[tuple[str, Decimal]]:
    if c.op == "between":
        return [(">=", c.values[0]), ("<=", c.values[1])]
    return [(c.op, c.values[0])]


def _range(c: Condition, scale: int) -> tuple[int, int]:
    """The whole numbers that fit: from, to; none when the first is greater."""
    low, high = -_MOST_EXACT, _MOST_EXACT
    for op, value in _comparisons(c):
        exact = Decimal(value) * scale
        floor, ceiling = int(exact.to_integral_value(ROUND_FLOOR)), int(exact.to_integral_value(ROUND_CEILING))
        if op in (">=", "="):
            low = max(low, ceiling)
        if op in ("<=", "="):
            high = min(high, floor)
        if op == ">":
            low = floor + 1
        if op == "<":
            high = ceiling - 1
    return low, high


_TENTHS = 10**6
"""Parts of one that a rule's number may have (db/rules.py, MOST_DECIMALS)."""


def _quotient(above: Numbers, below: Numbers, c: Condition) -> Bools:
    """Whether above / below is as the condition says, exactly; `below` is never negative."""
    found = np.ones(len(above), np.bool_)
    for op, value in _comparisons(c):
        wanted = int(value * _TENTHS)
        one = (above.astype(object) if _large(above, _TENTHS) else above) * _TENTHS
        other = (below.astype(object) if _large(below, wanted) else below) * wanted
        compare = {"=": np.equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[op]
        found &= np.asarray(compare(one, other), np.bool_)
    return found


def _large(values: Numbers, factor: int) -> bool:
    return bool(len(values)) and int(np.abs(values).max()) * abs(factor) >= _MOST_EXACT
