"""Segments: who fits a rule, and how they differ from everyone. Rules kept under a name are in db/saved_segments.py.

Everyone is every customer who is not archived and whom the viewer may see; all counts are of these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

import pandas as pd
from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    case,
    func,
    literal,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, array

from db import array_bytes, custom_fields, customers, funnel, held, nested, remembering, schema, scores, tags, text
from db.cluster_values import PREFIX as CLUSTERS
from db.connection import bounded
from db.custom_values import PREFIX
from db.customer_filters import Filters
from db.customers import Page
from db.errors import Invalid, Unavailable
from db.fields import FIELDS, Bounds, Field, Kind
from db.metrics import Stage
from db.permissions import Permission, Viewer
from db.rule_words import Names
from db.rules import Condition, Group, conditions, parse_text
from db.segment_question import Question, column_of, each_customer
from db.words import _

MOST_BY_NUMBER = 500_000
"""Members that are told to PostgreSQL by their numbers; more of them it finds by their rule."""
MOST_CHOICES = 500
TOGETHER_MS = 10_000
ALONE_MS = 3_000
LATER_MS = 15_000
"""How long a list of segments waits for all its numbers at once; else for each, and for these together."""
MOST_VALUES_AT_ONCE = 30_000
"""A statement has at most 65,535 parameters; a rule alone stays far below (db/rules.py)."""
LISTED = (Kind.CHOICE, Kind.BOUGHT, Kind.SEVERAL, Kind.CONTACT)
"""The kinds whose values can be listed, where they are no numbers of rows."""
DIMENSIONS = ("stage", "region", "age_band", "income_band", "m_score")
"""What a segment is compared with everyone by."""
_HELD_FIGURES = {"revenue": "cents", "orders": "orders", "last_order": "last_order_on"}
"""Orders of a list that columns in memory know, greatest first, and the column."""

Answer = TypeVar("Answer")


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
    known = remembering.ask(conn, viewer, today, bounds, (group,), lambda sight: sight.count(group))
    return Question(today, bounds, scoped=viewer.scoped).count(conn, group) if known is None else known


def remembered(
    conn: Connection, *, viewer: Viewer, rule: str, today: date, answer: Callable[[held.Sight, Any], Answer]
) -> Answer | None:
    """What the columns in memory tell of a rule's members, None where PostgreSQL is to be asked.

    `answer` gets what the viewer sees and who of that fits. Raises Invalid and Refused.
    """
    viewer.require(Permission.SEGMENTS_READ)
    group = checked(conn, viewer, rule)
    bounds, _made = scores.bounds(conn)
    return remembering.ask(conn, viewer, today, bounds, (group,), lambda sight: answer(sight, sight.fits(group)))


def explore(conn: Connection, *, viewer: Viewer, rule: str, today: date) -> Explored:
    """The count beside everyone, both by each of DIMENSIONS, and each rule by itself. Raises Invalid and Refused."""
    viewer.require(Permission.SEGMENTS_READ)
    group = checked(conn, viewer, rule)
    bounds, made = scores.bounds(conn)
    known = remembering.ask(conn, viewer, today, bounds, (group,), lambda sight: _explored(sight, group, made))
    if known is not None:
        return known
    asked = Question(today, bounds, scoped=viewer.scoped)
    labelled = {f"fits_{i}": asked.fits(rule) for i, rule in enumerate((group, *group.rules))}
    values = {name: func.coalesce(column_of(name, today, bounds), "") for name in DIMENSIONS}
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


def _explored(sight: held.Sight, group: Group, made: datetime | None) -> Explored:
    fits = sight.fits(group)
    frame = pd.DataFrame(sight.spread(DIMENSIONS, fits), columns=["dimension", "value", "customers", "everyone"])
    effects = tuple(sight.count(rule) for rule in group.rules)
    return Explored(int(fits.sum()), sight.everyone, _ordered(frame), effects, made)


def counts(conn: Connection, *, viewer: Viewer, rules: tuple[str, ...], today: date) -> tuple[int | None, ...]:
    """How many customers fit each of several rules.

    None for a rule the viewer may not count by, one that names a segment they do not see, or a slow one.
    """
    viewer.require(Permission.SEGMENTS_READ)
    known = custom_fields.countable(conn, viewer=viewer, rules=rules)
    groups = [_countable(conn, viewer, parse_text(rule, known)) for rule in rules]
    bounds, _made = scores.bounds(conn)
    allowed = [group for group in groups if group]
    told = remembering.ask(conn, viewer, today, bounds, allowed, lambda sight: [sight.count(g) for g in allowed])
    found: Iterator[int | None]
    found = iter(_each_in_time(conn, allowed, today, bounds, scoped=viewer.scoped) if told is None else told)
    return tuple(next(found) if group else None for group in groups)


def _countable(conn: Connection, viewer: Viewer, rule: Group) -> Group | None:
    """The rule with those of the segments it names; None where these cannot be counted, or are withheld."""
    try:
        group = nested.expanded(conn, viewer=viewer, rule=rule)
    except Invalid:
        return None
    return None if nested.hidden(viewer, group) else group


def _each_in_time(
    conn: Connection, found: Sequence[Condition | Group], today: date, bounds: Bounds, *, scoped: bool
) -> tuple[int | None, ...]:
    """In one pass; where that takes too long, rule by rule, the shortest first: a slow one must not keep the others'
    numbers back."""
    few = sum(len(c.values) + 2 for each in found for c in conditions(each)) < MOST_VALUES_AT_ONCE
    try:
        if few:
            with bounded(conn, TOGETHER_MS):
                return _each(conn, found, today, bounds, scoped=scoped)
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
                counted[i] = _each(conn, [found[i]], today, bounds, scoped=scoped)[0]
        except Unavailable:
            if conn.invalidated:
                raise
    return tuple(counted)


def _each(
    conn: Connection, found: Sequence[Condition | Group], today: date, bounds: Bounds, *, scoped: bool
) -> tuple[int, ...]:
    """How many customers fit each rule by itself, in one pass."""
    if not found:
        return ()
    asked = Question(today, bounds, once=True, scoped=scoped)
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
    offset, limit = max(0, offset), max(1, min(limit, 500))
    if sort in _HELD_FIGURES:

        def first(sight: held.Sight) -> tuple[list[int], int]:
            fits = sight.fits(group)
            return sight.first(fits, _HELD_FIGURES[sort], offset, limit), int(fits.sum())

        known = remembering.ask(conn, viewer, today, bounds, (group,), first)
        if known is not None:
            return Page(customers.rows_of(conn, today, known[0], viewer=viewer), known[1], False)
    asked = Question(today, bounds, scoped=viewer.scoped)
    query = asked.who(group, customers.listed(today, Filters()))
    if total is None:
        total = asked.count(conn, group)
    descending = sort not in ("name", "newest")
    rows = customers.piece(conn, query, sort, descending, viewer=viewer, offset=offset, limit=limit)
    return Page(rows, total, False)


def export(conn: Connection, *, viewer: Viewer, rule: str, today: date) -> Iterator[dict[str, Any]]:
    """Every customer who fits, by name, as dicts as `customers.export` gives. Raises at once: Refused, Invalid."""
    viewer.require(Permission.SEGMENTS_READ)
    viewer.require(Permission.CUSTOMERS_EXPORT)
    group = checked(conn, viewer, rule)
    bounds, _made = scores.bounds(conn)
    asked = Question(today, bounds, scoped=viewer.scoped)
    total = asked.count(conn, group)
    if total > customers.MOST_EXPORTED:
        most = f"{customers.MOST_EXPORTED:,}"
        raise Invalid(_("{n} rows are more than one file holds ({most}).").format(n=total, most=most))
    c = schema.customers.c
    query = asked.who(group, customers.listed(today, Filters()).add_columns(c.custom, c.custom_personal))
    return customers.stepwise(conn, query.order_by(*customers.order("name", False), c.id))


def fitting(
    found: Mapping[int, Group], today: date, bounds: Bounds, *, among: Sequence[int] | None = None
) -> Select[Any]:
    """Rows (customer_id, number) of who fits each of these rules by number, of these customers or of all."""
    ids = None if among is None else literal(list(among), ARRAY(BigInteger))
    asked = Question(today, bounds, once=True, among=ids)
    numbers = [case((asked.fits(rule), literal(number, BigInteger))) for number, rule in found.items()]
    base = asked.base(schema.customers.c.id.label("member_id"), *(v.label(k) for k, v in asked.values.items()))
    if ids is not None:
        base = base.where(schema.customers.c.id == func.any(ids))
    each = base.offset(0).subquery()  # a fence, as in `explore`
    if len(numbers) == 1:
        alone = select(each.c.member_id.label("customer_id"), numbers[0].label("number")).subquery()
        return select(alone.c.customer_id, alone.c.number).where(alone.c.number.is_not(None))
    every = select(each.c.member_id.label("customer_id"), func.unnest(array(numbers)).label("number")).subquery()
    return select(every.c.customer_id, every.c.number).where(every.c.number.is_not(None))


def who(conn: Connection, *, viewer: Viewer, rule: str, today: date, limit: int) -> tuple[int, ...]:
    """The numbers of the customers who fit a rule, in order, at most `limit`. Raises Invalid and Refused."""
    viewer.require(Permission.SEGMENTS_READ)
    viewer.require(Permission.CUSTOMERS_READ)
    return numbers(conn, checked(conn, viewer, rule), today, limit)


def numbers(conn: Connection, rule: Group, today: date, limit: int) -> tuple[int, ...]:
    """The same of a rule that was checked before."""
    bounds, _made = scores.bounds(conn)
    c = schema.customers.c
    found = Question(today, bounds).who(rule, each_customer(c.id).where(c.archived_at.is_(None)))
    return tuple(conn.scalars(found.order_by(c.id).limit(limit)))


def combinations(conn: Connection, viewer: Viewer, found: Sequence[Group], today: date) -> dict[int, int]:
    """How many customers fit exactly which of some rules: bit i of the key is set for who fits the one at place i."""
    bounds, _made = scores.bounds(conn)
    known = remembering.ask(conn, viewer, today, bounds, found, lambda sight: sight.together(found))
    if known is not None:
        return known
    asked = Question(today, bounds, once=True, scoped=viewer.scoped)
    bits = [case((asked.fits(rule), literal(1 << i, BigInteger)), else_=0) for i, rule in enumerate(found)]
    values: list[Any] = [value.label(name) for name, value in asked.values.items()]
    each_customer = asked.base(*values or [true()]).offset(0).subquery()  # a fence, as in `explore`
    mask = sum(bits[1:], bits[0]).label("mask")
    rows = conn.execute(select(mask, func.count()).select_from(each_customer).group_by(mask))
    return {int(row[0]): int(row[1]) for row in rows}


def members(conn: Connection, asking: Viewer, rule: str, today: date) -> Select[Any]:
    """A query of the ids of the customers who fit a rule, to be joined by others. Raises Invalid and Refused."""
    group = checked(conn, asking, rule)
    bounds, _made = scores.bounds(conn)
    known = remembering.ask(conn, asking, today, bounds, (group,), lambda sight: sight.ids(group, MOST_BY_NUMBER))
    if known is not None:
        return select(func.unnest(array_bytes.bound(conn, known)).label("customer_id"))
    c = schema.customers.c
    everyone = each_customer(c.id.label("customer_id")).where(c.archived_at.is_(None))
    return Question(today, bounds, scoped=asking.scoped).who(group, everyone)


def checked(conn: Connection, asking: Viewer, rule: str) -> Group:
    """The rule of this JSON, which the viewer may use, with those of the segments it names. Raises Invalid, Refused."""
    written = parse_text(rule, custom_fields.countable(conn, viewer=asking, rules=(rule,)))
    group = nested.expanded(conn, viewer=asking, rule=written)
    nested.require_seen(asking, group)
    return group


def kept(conn: Connection, asking: Viewer, rule: str, *, segment_id: int | None, shared: bool) -> Group:
    """The rule of this JSON as a segment holds it, which may be saved so. Raises Invalid and Refused."""
    written = parse_text(rule, custom_fields.countable(conn, viewer=asking, rules=(rule,)))
    nested.require_seen(asking, nested.expanded(conn, viewer=asking, rule=written, segment_id=segment_id))
    if shared:
        nested.require_shared(conn, written)
    return written


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
    """Field → its values that occur among the viewer's customers, at most MOST_CHOICES each; all categories sold.

    Tags are at most tags.MOST_LISTED.
    """
    viewer.require(Permission.SEGMENTS_READ)
    found: dict[str, list[str]] = {}
    asked = []
    for key in fields:
        field = FIELDS.get(key)
        if field is None or field.ids or field.kind not in LISTED:
            raise Invalid(_("“{field}” has no list of values.").format(field=key))
        found[key] = list(field.choices)
        if field.kind is Kind.SEVERAL:
            found[key] = list(tags.offered(conn, viewer=viewer).values())
        elif not field.choices:
            asked.append(_occurring(field))
    if asked:
        for key, value in conn.execute(union_all(*asked)):
            found[key].append(value)
    sorted_already = {key for key in found if FIELDS[key].choices or FIELDS[key].kind is Kind.SEVERAL}
    return {k: v if k in sorted_already else sorted(v, key=_place) for k, v in found.items()}


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
    """(field, value) → what it is called, for the ids in a rule: owners, products, campaigns, segments one may see."""
    viewer.require(Permission.SEGMENTS_READ)
    wanted: dict[str, set[int]] = {key: set() for key in ("owner", "bought_product", "received", "segment", "listed")}
    for c in conditions(parse_text(rule, custom_fields.countable(conn, viewer=viewer, rules=(rule,)))):
        if c.field.kind is Kind.STEP:
            wanted["received"].add(c.values[0])
        elif c.field.ids:
            wanted["received" if c.field.kind is Kind.CAMPAIGN else c.field.key] |= set(c.values)
    tables: dict[str, Any] = {"owner": schema.users, "bought_product": schema.products, "received": schema.campaigns}
    tables |= {"segment": schema.segments, "listed": schema.segments}
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
        if field.startswith((PREFIX, CLUSTERS)):
            return str(value)
        if field == "funnel":
            return steps.get(value, f"#{value}")
        words = FIELDS[field].words or {}
        if value in words:
            return _(words[value])
        if not FIELDS[field].ids:
            return str(value)
        unknown = _("no. {n}, which you do not see").format(n=value) if field == "segment" else f"#{value}"
        key = "received" if FIELDS[field].kind is Kind.CAMPAIGN else field
        return known.get((key, value), unknown)

    return name
