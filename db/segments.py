"""Segments: who fits a rule, and how they differ from everyone. Rules kept under a name are in db/saved_segments.py.

Everyone is every customer who is not archived and whom the viewer may see; all counts are of these.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Date,
    Select,
    Table,
    and_,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy import column as named_column

from db import custom_fields, customers, funnel, schema, scores, text
from db.comparisons import OPPOSITE, compared
from db.connection import bounded
from db.custom_values import PREFIX
from db.customer_filters import Filters
from db.customers import Page
from db.errors import Invalid, Refused, Unavailable
from db.fields import FIELDS, Bounds, Field, Kind, since
from db.metrics import STAGE_NAMES, Stage
from db.permissions import Permission, Viewer
from db.rule_words import Names
from db.rules import Condition, Group, Span, conditions, parse_text
from db.words import _

MOST_CHOICES = 500
TOGETHER_MS = 10_000
ALONE_MS = 3_000
LATER_MS = 15_000
"""How long a list of segments waits for all its numbers at once; else for each, and for these together."""
MOST_VALUES_AT_ONCE = 30_000
"""A statement has at most 65,535 parameters; a rule alone stays far below (db/rules.py)."""
DIMENSIONS = ("stage", "region", "age_band", "income_band", "m_score")
"""What a segment is compared with everyone by."""


@dataclass(frozen=True)
class Explored:
    """The exact count of a segment and of everyone, and how both spread.

    `spread` has columns dimension, value ('' is not known), customers, everyone; every value of everyone is there.
    `effects` are for each rule of the outermost group how many customers fit it by itself. `bounds_at` is when the
    bounds of the scores were taken, None while nobody has an order.
    """

    customers: int
    everyone: int
    spread: pd.DataFrame
    effects: tuple[int, ...]
    bounds_at: datetime | None


# --- who fits --------------------------------------------------------------------------------------------------------


def count(conn: Connection, *, viewer: Viewer, rule: str, today: date) -> int:
    """How many customers fit a rule (JSON), exactly. Raises Invalid and Refused."""
    viewer.require(Permission.SEGMENTS_READ)
    group = checked(conn, viewer, rule)
    bounds, _made = scores.bounds(conn)
    return _Question(today, bounds).count(conn, group)


def explore(conn: Connection, *, viewer: Viewer, rule: str, today: date) -> Explored:
    """The count beside everyone, both by each of DIMENSIONS, and each rule by itself. Raises Invalid and Refused."""
    viewer.require(Permission.SEGMENTS_READ)
    group = checked(conn, viewer, rule)
    bounds, made = scores.bounds(conn)
    asked = _Question(today, bounds)
    labelled = {f"fits_{i}": asked.fits(rule) for i, rule in enumerate((group, *group.rules))}
    values = {name: func.coalesce(_column(name, today, bounds), "") for name in DIMENSIONS}
    # A fence: each value is computed once for each customer, and not again for each count.
    each = asked.base(*(v.label(k) for k, v in (labelled | values).items())).offset(0).subquery().c
    keys = [each[name] for name in DIMENSIONS]
    # Customers with all values alike are counted first: a few thousand rows are then summed for each dimension.
    alike = select(*keys, *(func.count().filter(each[k]).label(k) for k in labelled), func.count().label("everyone"))
    sums = alike.group_by(*keys).subquery().c
    sets = func.grouping_sets(tuple_(), *(tuple_(sums[name]) for name in DIMENSIONS))
    totals = (func.coalesce(func.sum(sums[name]), 0) for name in (*labelled, "everyone"))
    rows = conn.execute(select(*(sums[name] for name in DIMENSIONS), *totals).group_by(sets)).all()
    whole: list[int] = [0] * (len(labelled) + 1)
    spread = []
    for row in rows:
        named = [(name, row[i]) for i, name in enumerate(DIMENSIONS) if row[i] is not None]
        numbers = [int(n) for n in row[len(DIMENSIONS) :]]
        if not named:
            whole = numbers
            continue
        name, value = named[0]
        spread.append((name, value, numbers[0], numbers[-1]))
    frame = pd.DataFrame(spread, columns=["dimension", "value", "customers", "everyone"])
    return Explored(whole[0], whole[-1], _ordered(frame), tuple(whole[1:-1]), made)


def counts(conn: Connection, *, viewer: Viewer, rules: tuple[str, ...], today: date) -> tuple[int | None, ...]:
    """How many customers fit each of several rules; None for a rule the viewer may not count by, or a slow one."""
    viewer.require(Permission.SEGMENTS_READ)
    known = custom_fields.countable(conn, viewer=viewer, rules=rules)
    groups = [parse_text(rule, known) for rule in rules]
    allowed = [group for group in groups if not _hidden(viewer, group)]
    bounds, _made = scores.bounds(conn)
    found = iter(_each_in_time(conn, allowed, today, bounds))
    return tuple(None if _hidden(viewer, group) else next(found) for group in groups)


def _each_in_time(
    conn: Connection, found: Sequence[Condition | Group], today: date, bounds: Bounds
) -> tuple[int | None, ...]:
    """In one pass; where that takes too long, rule by rule, the shortest first: a slow one must not keep the others'
    numbers back."""
    few = sum(len(c.values) + 2 for each in found for c in conditions(each)) < MOST_VALUES_AT_ONCE
    try:
        if few:
            with bounded(conn, TOGETHER_MS):
                return _each(conn, found, today, bounds)
    except Unavailable:
        if conn.invalidated:
            raise
    counted: list[int | None] = [None] * len(found)
    until = time.monotonic() + LATER_MS / 1000
    for i in sorted(range(len(found)), key=lambda i: len(conditions(found[i]))):
        left = int((until - time.monotonic()) * 1000)
        if left <= 0:
            break
        try:
            with bounded(conn, min(ALONE_MS, left)):
                counted[i] = _each(conn, [found[i]], today, bounds)[0]
        except Unavailable:
            if conn.invalidated:
                raise
    return tuple(counted)


def _each(conn: Connection, found: Sequence[Condition | Group], today: date, bounds: Bounds) -> tuple[int, ...]:
    """How many customers fit each rule by itself, in one pass."""
    if not found:
        return ()
    asked = _Question(today, bounds, once=True)
    fitting = [func.count().filter(asked.fits(each)) for each in found]
    values: list[Any] = [value.label(name) for name, value in asked.values.items()]
    each_customer = asked.base(*values or [true()]).offset(0).subquery()  # a fence, as in `explore`
    return tuple(conn.execute(select(*fitting).select_from(each_customer)).one())


def preview(
    conn: Connection,
    *,
    viewer: Viewer,
    rule: str,
    today: date,
    sort: str = "revenue",
    offset: int = 0,
    limit: int = 20,
    total: int | None = None,
) -> Page:
    """A page of the customers who fit, as the list of customers shows them; by revenue unless sorted otherwise.

    `total` is how many fit where the caller knows it: then they are not counted again.
    """
    viewer.require(Permission.SEGMENTS_READ)
    viewer.require(Permission.CUSTOMERS_READ)
    if sort not in customers.SORTS:
        raise Invalid(_("The list cannot be sorted by “{sort}”.").format(sort=sort))
    group = checked(conn, viewer, rule)
    bounds, _made = scores.bounds(conn)
    asked = _Question(today, bounds)
    query = asked.who(group, customers.listed(today, Filters()))
    if total is None:
        total = asked.count(conn, group)
    descending = sort not in ("name", "newest")
    offset, limit = max(0, offset), max(1, min(limit, 500))
    rows = customers.piece(conn, query, sort, descending, viewer=viewer, offset=offset, limit=limit)
    return Page(rows, total, False)


def export(conn: Connection, *, viewer: Viewer, rule: str, today: date) -> Iterator[dict[str, Any]]:
    """Every customer who fits, by name, as dicts as `customers.export` gives. Raises at once: Refused, Invalid."""
    viewer.require(Permission.SEGMENTS_READ)
    viewer.require(Permission.CUSTOMERS_EXPORT)
    group = checked(conn, viewer, rule)
    bounds, _made = scores.bounds(conn)
    asked = _Question(today, bounds)
    total = asked.count(conn, group)
    if total > customers.MOST_EXPORTED:
        most = f"{customers.MOST_EXPORTED:,}"
        raise Invalid(_("{n} rows are more than one file holds ({most}).").format(n=total, most=most))
    c = schema.customers.c
    query = asked.who(group, customers.listed(today, Filters()).add_columns(c.custom, c.custom_personal))
    return customers.stepwise(conn, query.order_by(*customers.order("name", False), c.id))


def members(conn: Connection, asking: Viewer, rule: str, today: date) -> Select[Any]:
    """A query of the ids of the customers who fit a rule, to be joined by others. Raises Invalid and Refused."""
    group = checked(conn, asking, rule)
    bounds, _made = scores.bounds(conn)
    c, m = schema.customers.c, schema.customer_metrics.c
    joined = schema.customers.outerjoin(schema.customer_metrics, m.customer_id == c.id)
    everyone = select(c.id.label("customer_id")).select_from(joined).where(c.archived_at.is_(None))
    return _Question(today, bounds).who(group, everyone)


class _Question:
    """Rules as expressions over customers and their metrics, and what they look up in other tables.

    A look-up is joined as a set of its own, each customer once: as a sub-select within an expression it would be run
    for every customer as soon as it is too large for memory, and not materialized by each of a query's workers.
    """

    def __init__(self, today: date, bounds: Bounds, *, once: bool = False) -> None:
        """With `once` rules speak of `values` by name: a query around `base` that computes each of them once."""
        self.today, self.bounds, self._once = today, bounds, once
        self.values: dict[str, ColumnElement[Any]] = {}
        self._found: dict[tuple[Any, ...], CTE | Table] = {}

    def fits(self, rule: Condition | Group) -> ColumnElement[bool]:
        """True or false, never null: what is not known fits no condition, and its opposite."""
        if isinstance(rule, Condition):
            return self._holds(rule)
        each = [self.fits(r) for r in rule.rules]
        if rule.match == "all":
            return and_(true(), *each)
        found = or_(*each) if each else literal(False)
        return not_(found) if rule.match == "none" else found

    def base(self, *columns: Any) -> Select[Any]:
        """Columns, made of `fits` before, of everyone."""
        c, m = schema.customers.c, schema.customer_metrics.c
        joined = schema.customers.outerjoin(schema.customer_metrics, m.customer_id == c.id)
        return self._joined(select(*columns).select_from(joined)).where(c.archived_at.is_(None))

    def who(self, rule: Group, query: Select[Any]) -> Select[Any]:
        """A query over customers, narrowed to who fits."""
        fits = self.fits(rule)
        return self._joined(query).where(fits)

    def count(self, conn: Connection, rule: Group) -> int:
        """How many fit."""
        fits = self.fits(rule)
        return conn.scalar(self.base(func.count()).where(fits)) or 0

    def _joined(self, query: Select[Any]) -> Select[Any]:
        for found in self._found.values():
            query = query.outerjoin(found, found.c.customer_id == schema.customers.c.id)
        return query

    def _holds(self, c: Condition) -> ColumnElement[bool]:
        if c.op in OPPOSITE:
            return not_(self._holds(Condition(c.field, OPPOSITE[c.op], c.values, c.span)))
        if c.field.key == "bought_category" and c.span == Span():
            bought = schema.customer_categories
            self._found[("categories",)] = bought
            return self._named(func.coalesce(bought.c.categories.overlap(list(c.values)), False))
        if c.field.kind is Kind.PERIOD:
            days = self._found[("days",)] = schema.order_days
            return self._named(func.coalesce(_orders_within(days.c.days, c.span, self.today) > 0, False))
        if c.field.column is None:
            key = (c.field.key, c.values, c.span)
            if key not in self._found:
                found = _looked_up(c, self.today).distinct().cte(f"found_{len(self._found)}")
                self._found[key] = found.prefix_with("MATERIALIZED")
            return self._named(self._found[key].c.customer_id.is_not(None))
        column = self._named(c.field.column(self.today, self.bounds), c.field.key)
        if c.op in ("empty", "not empty"):
            return column.is_(None) if c.op == "empty" else column.is_not(None)
        return func.coalesce(compared(c, column, self.today), False)

    def _named(self, value: ColumnElement[Any], name: str = "") -> ColumnElement[Any]:
        if not self._once:
            return value
        called = name or f"found {len(self.values)}"
        self.values[called] = value
        return named_column(called, value.type)


def checked(conn: Connection, asking: Viewer, rule: str) -> Group:
    """The rule of this JSON, which the viewer may use. Raises Invalid and Refused."""
    group = parse_text(rule, custom_fields.countable(conn, viewer=asking, rules=(rule,)))
    _require_fields(asking, group)
    return group


def _require_fields(asking: Viewer, rule: Group) -> None:
    """Raise Refused when the rule looks at what is withheld from the viewer's role."""
    hidden = _hidden(asking, rule)
    if hidden:
        listed = _(", ").join(hidden)
        raise Refused(
            _("Names and contacts are hidden from your role, so it cannot count by: {fields}.").format(fields=listed)
        )


def _hidden(asking: Viewer, rule: Group) -> list[str]:
    return sorted({c.field.label for c in conditions(rule) if c.field.personal}) if asking.masked else []


def _column(name: str, today: date, bounds: Bounds) -> ColumnElement[Any]:
    expression = FIELDS[name].column
    assert expression
    return expression(today, bounds)


def _looked_up(c: Condition, today: date) -> Select[Any]:
    """The customers of a purchase, a campaign or a step."""
    if c.field.kind is Kind.STEP:
        campaign_id, step = c.values
        return funnel.members(campaign_id, step)
    if c.field.kind is Kind.CAMPAIGN:
        m = schema.campaign_members.c
        day = m.received_on if c.field.key == "received" else m.first_redeemed_on
        found = select(m.customer_id).where(m.campaign_id.in_(list(c.values)), *_within(day, c.span, today))
        return found if c.field.key == "received" else found.where(m.redemptions > 0)
    i, p, o = schema.order_items.c, schema.products.c, schema.orders.c
    bought = select(i.customer_id)
    if c.field.key == "bought_product":
        bought = bought.where(i.product_id.in_(list(c.values)))
    else:
        of_category = select(p.id).where(p.category.in_(list(c.values)))
        bought = bought.where(i.product_id.in_(of_category))
    if c.span == Span():
        return bought
    joined = bought.join(schema.orders, and_(o.customer_id == i.customer_id, o.id == i.order_id))
    return joined.where(*_within(o.placed_on, c.span, today))


def _orders_within(days: ColumnElement[Any], span: Span, today: date) -> ColumnElement[int]:
    """How many of the days of a customer's orders, which are in order, lie in a period: two binary searches."""
    start = since(today, span.last_days) if span.last_days else span.start
    end = today if span.last_days else span.end
    until = func.width_bucket(literal(end, Date), days) if end else func.cardinality(days)
    if not start or start == date.min:
        return until
    return until - func.width_bucket(literal(start - timedelta(days=1), Date), days)


def _within(day: ColumnElement[date], span: Span, today: date) -> list[ColumnElement[bool]]:
    if span.last_days:
        return [day.between(since(today, span.last_days), literal(today, Date))]
    return [*([day >= span.start] if span.start else []), *([day <= span.end] if span.end else [])]


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Stages and scores in their order, ages and incomes from low to high, regions by size; the unknown last."""
    stages = {stage.value: i for i, stage in enumerate(Stage)}

    def place(row: Any) -> tuple[Any, ...]:
        by: Any = -row.everyone if row.dimension == "region" else funnel.lowest(row.value)
        if row.dimension == "stage":
            by = stages.get(row.value, len(stages))
        return (DIMENSIONS.index(row.dimension), row.value == "", by, row.value)

    rows = sorted(frame.itertuples(index=False), key=place)
    return pd.DataFrame(rows, columns=frame.columns)


# --- what values are called ------------------------------------------------------------------------------------------


def choices(conn: Connection, *, viewer: Viewer, fields: tuple[str, ...]) -> dict[str, list[str]]:
    """Field → its values that occur among the viewer's customers, at most MOST_CHOICES each; all categories sold."""
    viewer.require(Permission.SEGMENTS_READ)
    found: dict[str, list[str]] = {}
    asked = []
    for key in fields:
        field = FIELDS.get(key)
        if field is None or field.ids or field.kind not in (Kind.CHOICE, Kind.BOUGHT):
            raise Invalid(_("“{field}” has no list of values.").format(field=key))
        found[key] = list(field.choices)
        if not field.choices:
            asked.append(_occurring(field))
    if asked:
        for key, value in conn.execute(union_all(*asked)):
            found[key].append(value)
    return {k: sorted(v, key=_place) if not FIELDS[k].choices else v for k, v in found.items()}


def _occurring(field: Field) -> Select[Any]:
    """Rows (field, value) of the values of a field, the most frequent ones first."""
    c, p = schema.customers.c, schema.products.c
    if field.kind is Kind.BOUGHT:
        query = select(literal(field.key), p.category).where(p.category != "").distinct().limit(MOST_CHOICES)
    else:
        column = c[field.key]
        query = select(literal(field.key), column).where(column != "", c.archived_at.is_(None)).group_by(column)
        query = query.order_by(func.count().desc(), column).limit(MOST_CHOICES)
    return select(query.subquery())


def _place(value: str) -> tuple[float, str]:
    return funnel.lowest(value), value


def products(conn: Connection, *, viewer: Viewer, words: str, limit: int = 50) -> dict[int, str]:
    """Products whose name or number contains all the words, by name: id → "Name · category · number"."""
    viewer.require(Permission.SEGMENTS_READ)
    p = schema.products.c
    asked = [word for word in text.clean(words).lower().split(" ") if word][:6]
    if not asked:
        return {}
    whole = func.lower(p.name + " " + p.category + " " + p.sku)
    query = select(p.id, p.name, p.category, p.sku).where(*(func.strpos(whole, word) > 0 for word in asked))
    rows = conn.execute(query.order_by(p.name, p.id).limit(min(limit, 200)))
    return {row.id: f"{row.name.title()} · {row.category.title()} · {row.sku}" for row in rows}


def names(conn: Connection, *, viewer: Viewer, rule: str) -> dict[tuple[str, Any], str]:
    """(field, value) → what it is called, for the ids in a rule: owners, products, campaigns."""
    viewer.require(Permission.SEGMENTS_READ)
    wanted: dict[str, set[int]] = {"owner": set(), "bought_product": set(), "received": set()}
    for c in conditions(parse_text(rule, custom_fields.countable(conn, viewer=viewer, rules=(rule,)))):
        if c.field.kind is Kind.STEP:
            wanted["received"].add(c.values[0])
        elif c.field.ids:
            wanted["received" if c.field.kind is Kind.CAMPAIGN else c.field.key] |= set(c.values)
    tables = {"owner": schema.users, "bought_product": schema.products, "received": schema.campaigns}
    queries = [
        select(literal(key).label("field"), tables[key].c.id, tables[key].c.name).where(tables[key].c.id.in_(ids))
        for key, ids in wanted.items()
        if ids
    ]
    rows = conn.execute(union_all(*queries)) if queries else ()
    return {(row.field, row.id): row.name for row in rows}


def called(known: Mapping[tuple[str, Any], str]) -> Names:
    """What `rule_words.sentence` calls values by: stages and steps in words, ids by what `names` found."""
    steps = {
        "received": _("Received"),
        "bought": _("Bought in the window"),
        "promoted": _("Bought promoted"),
        "redeemed": _("Redeemed"),
    }

    def name(field: str, value: Any) -> str:
        if field.startswith(PREFIX):
            return str(value)
        if field == "stage":
            return _(STAGE_NAMES[Stage(value)])
        if field == "funnel":
            return steps.get(value, f"#{value}")
        if FIELDS[field].choices == ("yes", "no"):
            return _("yes") if value == "yes" else _("no")
        if not FIELDS[field].ids:
            return str(value)
        return known.get(("received" if field == "redeemed" else field, value), f"#{value}")

    return name
