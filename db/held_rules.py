"""Rules over the columns that are held in process: the same answers as db/segments.py gives by SQL, row for row."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from math import prod
from typing import Any

import numpy as np

from db import custom_values, held_clusters, held_stages, lifecycle, rfm, tags
from db.arrays import Bools, Numbers
from db.cluster_values import Model
from db.comparisons import OPPOSITE
from db.fields import CONSENT, Bounds, Kind, between
from db.funnel import Step
from db.held_columns import CHOICES, Columns
from db.held_comparisons import dated, day_of, number, quotient
from db.held_loading import CONSENT_KEYS, CONTACT_KEYS
from db.held_own import OwnValues
from db.held_pairs import LATEST, NEVER
from db.rules import Condition, Group, Span, conditions
from db.schema_around import CHANNELS, CONSENT_STATES

STEPS = tuple(Step)
MOST_CELLS = 500_000
"""Combinations of values of dimensions that are counted at once."""
SCORED = {"r_score": "recency", "f_score": "frequency", "m_score": "monetary", "value_decile": "value"}
"""Dimension → the measure whose scores it has."""
_CLASSES = {"rfm_class": rfm.BY_SCORES, "rfm_value": rfm.VALUE_BY_SCORES}
_DATES = ("created_on", "first_order_on", "last_order_on")


@dataclass
class Asked:
    """Questions of one moment, to all customers or to those in some `rows`; what recurs is looked at once.

    `looked_up` are the ids of those who fit the conditions of fields that are not held, `lowered` the words that custom
    fields are asked for, in the small letters of the server.
    """

    columns: Columns
    today: date
    bounds: Bounds
    looked_up: Mapping[Condition, Numbers]
    rows: Numbers | None = None
    lowered: Mapping[str, str] = field(default_factory=dict)
    _met: dict[Any, Any] = field(default_factory=dict)

    def fits(self, rule: Condition | Group) -> Bools:
        """True or false for each row; what is not known fits no condition, and its opposite."""
        if isinstance(rule, Condition):
            if rule.op in OPPOSITE:
                return ~self.fits(positive(rule))
            holding: Bools = self.once(rule, lambda: self._holds(rule))
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
    def bytes(self) -> int:
        """Of memory, of what was met."""
        return sum(getattr(found, "nbytes", 0) for found in self._met.values())

    def look_up(self, looked_up: Mapping[Condition, Numbers], lowered: Mapping[str, str]) -> None:
        """For another question: ids of those who fit conditions of fields that are not held, and words."""
        for condition in self.looked_up:
            self._met.pop(condition, None)
        self.looked_up, self.lowered = looked_up, lowered

    @property
    def size(self) -> int:
        """How many rows are asked."""
        return self.columns.rows if self.rows is None else len(self.rows)

    def codes(self, name: str) -> tuple[Numbers, Sequence[str]]:
        """The values of a dimension as numbers, and what they stand for; '' is not known."""
        if name in CHOICES:
            return self._of(name), self.columns.words[name]
        if name in ("email", "phone"):
            return self._of(name).astype(np.int8) + 1, ["", "no", "yes"]
        if name.startswith(CONSENT):
            return self.once(name, lambda: self._consents(name.removeprefix(CONSENT))), ["", *CONSENT_STATES]
        if name == "stage":
            return self._made("stage", Asked._stages), [s.value for s in held_stages.STAGES]
        if name in _CLASSES:
            return self._made("classes", Asked._classes), ["", *_CLASSES[name]]
        return self._made(name, lambda asked: asked._scores(SCORED[name])), ["", *map(str, range(1, 11))]

    def _made(self, name: Hashable, make: Callable[[Asked], Numbers]) -> Numbers:
        """A column of this day and these bounds, the same for everybody who asks."""

        def of_all() -> Numbers:
            moment = (name, self.today, tuple(sorted(self.bounds.items())))
            columns = self.columns

            def made(rows: Numbers | None) -> Numbers:
                return make(Asked(columns, self.today, self.bounds, {}, rows))

            return columns.made.get(moment, columns.rows, made)

        found: Numbers = self.once(name, lambda: of_all() if self.rows is None else of_all()[self.rows])
        return found

    def together(self, names: Sequence[str]) -> Numbers | None:
        """The values of several dimensions as one number; None where there would be too many of them."""
        if len(names) == 1:
            return self.codes(names[0])[0]
        sizes = tuple(len(self.codes(name)[1]) for name in names)
        if prod(sizes) > MOST_CELLS:
            return None

        def made(asked: Asked) -> Numbers:
            columns = [asked.codes(name)[0] for name in names]
            return np.ravel_multi_index(tuple(columns), sizes).astype(np.int32)

        return self._made(("together", *names, sizes), made)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made under this key, made now if it was not yet."""
        if key not in self._met:
            self._met[key] = make()
        return self._met[key]

    def _of(self, name: str) -> Numbers:
        held = self.columns.of(name)
        return held if self.rows is None else self.once(("column", name), lambda: held[self.rows])

    def _picked(self, found: Bools) -> Bools:
        return found if self.rows is None else found[self.rows]

    # --- conditions --------------------------------------------------------------------------------------------------

    def _holds(self, c: Condition) -> Bools:
        key = c.field.key
        if c not in self.looked_up:
            if key in CODED:
                return self._chosen(*self.codes(key), c)
            if key in _DATES:
                return dated(self._of(key), c, self.today)
            if c.field.own:
                return self._own(c.field.own, c)
            if c.field.clusters:
                return self._clustered(c.field.clusters, c)
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
        return np.take(np.asarray(wanted, np.bool_), codes)

    def _own(self, own: custom_values.Field, c: Condition) -> Bools:
        held = self.columns.own.get((own.column, own.key), OwnValues())
        if held.dropped:
            raise RuntimeError("This field is not held: PostgreSQL is asked.")
        codes = held.codes(self.columns.rows)
        return held.fits(c, codes if self.rows is None else codes[self.rows], self.today, self.lowered)

    def _clustered(self, model: Model, c: Condition) -> Bools:
        key = ("cluster", model)
        codes = self.once(key, lambda: held_clusters.numbers(model, self._of, day_of(self.today)))
        return self._chosen(codes, ["", *model.numbers], c)

    def _owned(self, c: Condition) -> Bools:
        owners = self._of("owner_id")
        if c.op in ("empty", "not empty"):
            return np.asarray((owners == 0) if c.op == "empty" else (owners != 0))
        return np.isin(owners, [v for v in c.values if v != 0])

    def _orders(self, c: Condition) -> Bools:
        return number(self._of("orders"), c)

    def _revenue(self, c: Condition) -> Bools:
        return number(self._of("cents"), c, scale=100)

    def _recency(self, c: Condition) -> Bools:
        last = self._of("last_order_on")
        known = last != NEVER
        return number(day_of(self.today) - last, c, known=known)

    def _basket(self, c: Condition) -> Bools:
        """Revenue by orders: compared without dividing, as the exact number that PostgreSQL rounds far behind."""
        cents, orders = self._of("cents"), self._of("own_orders").astype(np.int64)
        return quotient(cents, orders * 100, c)

    def _interval(self, c: Condition) -> Bools:
        usual = self._of("usual_days")
        return number(usual, c, known=usual != 0)

    def _due(self, c: Condition) -> Bools:
        usual = self._of("usual_days")
        return dated(np.where(usual != 0, self._of("last_order_on") + usual, NEVER), c, self.today)

    def _rhythm(self, c: Condition) -> Bools:
        """Days since the last order by the usual interval, compared as `_basket` does."""
        usual = self._of("usual_days").astype(np.int64)
        return quotient(day_of(self.today) - self._of("last_order_on").astype(np.int64), usual, c)

    def _ordered(self, c: Condition) -> Bools:
        low, high = self._period(c.span)
        return self._picked(self.columns.pairs["ordered"].hold([0], low, high))

    def _bought_category(self, c: Condition) -> Bools:
        columns = self.columns
        if c.span == Span():
            numbers = columns.named["category"]
            known = [numbers[v] for v in c.values if v in numbers]
            return self._picked(columns.pairs["category"].hold(known))
        products = [p for v in c.values for p in columns.products.get(v, ())]
        blocks = [columns.bought[v] for v in dict.fromkeys(c.values) if v in columns.bought]
        return self._picked(columns.pairs["product"].hold(products, *self._period(c.span), blocks))

    def _looked_up(self, c: Condition) -> Bools:
        name = {"bought_product": "product"}.get(c.field.key, c.field.key)
        held = self.columns.pairs[name]
        return self._picked(held.hold(c.values, *self._period(c.span)))

    def _converted(self, c: Condition) -> Bools:
        """As `lookups.of_campaigns`: an order from the day one received it to its last day, which the period holds."""
        columns, found = self.columns, np.zeros(self.columns.rows, np.bool_)
        first, last = self._period(c.span)
        for campaign in c.values:
            end = min(columns.ends.get(campaign, NEVER), last)
            rows, received = columns.pairs["received"].entries([campaign])
            if not len(rows):
                continue
            begun = np.maximum(received, first)
            ordered = columns.pairs["ordered"].latest([0], int(begun.min()), end)[rows]
            found[rows[(ordered != NEVER) & (ordered >= begun)]] = True
        return self._picked(found)

    def _stepped(self, c: Condition) -> Bools:
        campaign, step = c.values
        key = campaign * len(STEPS) + STEPS.index(Step(step))
        return self._picked(self.columns.pairs["step"].hold([key]))

    def _tagged(self, c: Condition) -> Bools:
        held, numbers = self.columns.pairs["tag"], self.columns.named["tag"]
        if c.op in ("empty", "not empty"):
            found = self.once("tagged", lambda: held.hold(None))
            return self._picked(~found if c.op == "empty" else found)
        keys = list(dict.fromkeys(tags.key(tag) for tag in c.values))
        known = [numbers[key] for key in keys if key in numbers]
        if c.op == "all of":
            return self._picked((held.count(known) == len(keys)) if keys else held.hold([]))
        return self._picked(held.hold(known))

    def _contacted(self, c: Condition) -> Bools:
        kinds = [CONTACT_KEYS[kind] for kind in c.values]
        return self._picked(self.columns.pairs["contact"].hold(kinds, *self._period(c.span)))

    def _counted(self, c: Condition) -> Bools:
        """Of contacts, of campaigns received."""
        name = {"contacts": "contact", "received_count": "received"}[c.field.key]
        low, high = self._period(c.span)
        found: Numbers = self.once((name, low, high), lambda: self.columns.pairs[name].count(None, low, high))
        return self._picked(number(found, c))

    def _since_contact(self, c: Condition) -> Bools:
        last: Numbers = self.once("last contact", lambda: self.columns.pairs["contact"].latest(None))
        known = last != NEVER
        return self._picked(number(day_of(self.today) - last, c, known=known))

    def _tasks(self, c: Condition) -> Bools:
        held = self.columns.pairs["task"]
        if c.field.key == "open_tasks":
            return self._picked(number(self.once("tasks", lambda: held.count(None)), c))
        until = day_of(self.today) - 1
        return self._picked(number(self.once("late", lambda: held.count(None, NEVER + 1, until)), c))

    def _consents(self, channel: str) -> Numbers:
        """Places in CONSENT_STATES, from 1; 0 where none was asked for."""
        found = np.zeros(self.columns.rows, np.int8)
        for i, state in enumerate(CONSENT_STATES, 1):
            found[self.columns.pairs["consent"].entries([CONSENT_KEYS[(channel, state)]])[0]] = i
        return found if self.rows is None else found[self.rows]

    def _period(self, span: Span) -> tuple[int, int]:
        if span == Span():
            return NEVER, LATEST
        start, end = span.ends(self.today)
        return (day_of(start) if start else NEVER + 1), (day_of(end) if end else LATEST)

    # --- what is made of columns -------------------------------------------------------------------------------------

    def _stages(self) -> Numbers:
        rules = lifecycle.of_numbers(self.bounds.get(lifecycle.KIND))
        figures = {"last": self._of("last_order_on"), "orders": self._of("orders"), "usual": self._of("usual_days")}
        return held_stages.stages(day_of(self.today), **figures, rules=rules)

    def _scores(self, measure: str) -> Numbers:
        """As `fields.score`: from 1, 0 without orders."""
        found = between(measure, self.today, self.bounds)
        if not found:
            return np.zeros(self.size, np.int8)
        name = {"recency": "last_order_on", "frequency": "orders"}.get(measure, "cents")
        exact = [Decimal(repr(bound)) * (100 if name == "cents" else 1) for bound in found]
        steps = [int(bound.to_integral_value(ROUND_FLOOR)) for bound in exact]
        scores = np.ones(self.size, np.int8)
        for step in steps:
            scores += self._of(name) > step
        return np.where(self._of("orders") == 0, np.int8(0), scores)

    def _classes(self) -> Numbers:
        """The place of the three scores in `rfm.BY_SCORES`, from 1; 0 without orders."""
        r, f, m = (self.codes(name)[0].astype(np.int16) for name in ("r_score", "f_score", "m_score"))
        return np.where((r > 0) & (f > 0) & (m > 0), r * 25 + f * 5 + m - 30, 0).astype(np.uint8)


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
    "held_out": Asked._looked_up,
    "converted": Asked._converted,
    "funnel": Asked._stepped,
    "tags": Asked._tagged,
    "contacted": Asked._contacted,
    "contacts": Asked._counted,
    "received_count": Asked._counted,
    "contact_days": Asked._since_contact,
    "open_tasks": Asked._tasks,
    "overdue_tasks": Asked._tasks,
}
CODED = frozenset(
    {*CHOICES, *(CONSENT + channel for channel in CHANNELS), "stage", *SCORED, *_CLASSES, "email", "phone"}
)
HELD = CODED | {*_DATES, *_HOLDERS}
"""The keys of fields whose conditions need no table, by these operators."""
_OPERATORS = frozenset(
    {"=", "<", "<=", ">", ">=", "between", "empty", "not empty", "in", "any of", "all of", "on", "before", "after"}
    | {"in the last", "in the next", "anniversary in the next", "within", "reached", "during"}
)


def positive(c: Condition) -> Condition:
    """What a condition asks, or what it is the opposite of."""
    return Condition(c.field, OPPOSITE.get(c.op, c.op), c.values, c.span)


def not_held(rule: Condition | Group, columns: Columns) -> set[Condition]:
    """The conditions, without their opposites, that tables have to be asked for."""
    if isinstance(rule, Group):
        return set().union(*(not_held(each, columns) for each in rule.rules))
    asked, own = positive(rule), rule.field.own
    if own:
        held = columns.own.get((own.column, own.key))
        return {asked} if held and held.dropped else set()
    known = rule.field.key in HELD or rule.field.clusters is not None
    return set() if known and asked.op in _OPERATORS else {asked}


def to_lower(rules: Iterable[Condition | Group]) -> set[str]:
    """The words that custom fields are asked for, in whichever letters they are written."""
    every = (c for rule in rules for c in conditions(rule) if c.field.own and c.field.kind is Kind.TEXT)
    return {value for c in every for value in c.values}


def areas(rule: Condition | Group) -> set[str]:
    """The areas of data that the answer to a rule of held fields depends on."""
    if isinstance(rule, Group):
        return set().union({"profiles", "metrics"}, *(areas(each) for each in rule.rules))
    if rule.field.own or rule.field.key in ("email", "phone"):
        return {"customers"}
    if rule.field.kind in (Kind.CAMPAIGN, Kind.STEP):
        return {"campaigns", "orders"} if rule.field.key == "converted" else {"campaigns"}
    if rule.field.kind is Kind.BOUGHT:
        return {"orders"}
    return set(_AREAS.get(rule.field.key, {"around"} if rule.field.key.startswith(CONSENT) else ()))


_AREAS: Mapping[str, set[str]] = {
    "created_on": {"settings"},
    "tags": {"tags"},
    "contacted": {"around", "settings"},
    "contacts": {"around", "settings"},
    "contact_days": {"around", "settings"},
    "received_count": {"campaigns"},
    "open_tasks": {"tasks"},
    "overdue_tasks": {"tasks"},
}
