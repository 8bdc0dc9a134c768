"""Rules of segments as expressions of statements, over customers and their metrics and what they look up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

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
)
from sqlalchemy import column as named_column

from db import funnel, lookups, schema
from db.comparisons import OPPOSITE, compared
from db.fields import FIELDS, Bounds, Kind
from db.rules import Condition, Group, Span

VALUED = (Kind.CHOICE, Kind.NUMBER, Kind.COUNT)
"""The kinds of fields that have a value for each customer, where they have no column."""


def each_customer(*columns: Any) -> Select[Any]:
    """Columns of all customers beside their metrics, where there are any."""
    m = schema.customer_metrics.c
    joined = schema.customers.outerjoin(schema.customer_metrics, m.customer_id == schema.customers.c.id)
    return select(*columns).select_from(joined)


class Question:
    """Rules as expressions over customers and their metrics, and what they look up in other tables.

    A look-up is joined as a set of its own, each customer once: as a sub-select within an expression it would be run
    for every customer as soon as it is too large for memory, and not materialized by each of a query's workers.
    """

    def __init__(
        self,
        today: date,
        bounds: Bounds,
        *,
        once: bool = False,
        scoped: bool = False,
        among: ColumnElement[Any] | None = None,
    ) -> None:
        """With `once` rules speak of `values` by name: a query around `base` that computes each of them once.

        With `scoped` the planner is kept from beginning with who is in a set: of few customers it expects one, and
        would read the view of the metrics through for each of them. `among` are the ids, an array, of the only
        customers who are asked about.
        """
        self.today, self.bounds, self._once, self._scoped, self._among = today, bounds, once, scoped, among
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
        return self._joined(each_customer(*columns)).where(schema.customers.c.archived_at.is_(None))

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
        opposite = _opposite(c)
        if opposite:
            return not_(self._holds(opposite))
        if c.field.key == "bought_category" and c.span == Span():
            bought = schema.customer_categories
            self._found[(bought.name,)] = bought
            return self._named(func.coalesce(bought.c.categories.overlap(list(c.values)), False))
        if c.field.kind is Kind.PERIOD:
            days = self._found[(schema.order_days.name,)] = schema.order_days
            return self._named(func.coalesce(orders_within(days.c.days, c.span, self.today) > 0, False))
        if c.field.column is None and c.field.kind not in VALUED:
            found = self._looked_up((c.field.key, c.op, c.values, c.span), lambda: looked_up(c, self.today).distinct())
            number = found.c.customer_id
            return self._named(func.coalesce(number, 0) != 0 if self._scoped else number.is_not(None))
        column = self._named(self.column(c), f"{c.field.key} {c.span}" if c.field.kind is Kind.COUNT else c.field.key)
        if c.op in ("empty", "not empty"):
            return column.is_(None) if c.op == "empty" else column.is_not(None)
        return func.coalesce(compared(c, column, self.today), False)

    def column(self, c: Condition) -> ColumnElement[Any]:
        """The value of the condition's field, which stands in a table beside or is looked up where it has no column."""
        field = c.field
        if field.column:
            if field.beside is not None:
                self._found[(field.beside.name,)] = field.beside
            return field.column(self.today, self.bounds)
        found = self._looked_up((field.key, c.span), lambda: lookups.values(field.key, c.span, self.today))
        otherwise = 0 if field.kind is Kind.COUNT else field.otherwise
        return found.c.value if otherwise is None else func.coalesce(found.c.value, otherwise)

    def _looked_up(self, key: tuple[Any, ...], rows: Callable[[], Select[Any]]) -> CTE | Table:
        """A set joined once for all the conditions that ask for it."""
        if key not in self._found:
            looked_up = rows()
            if self._among is not None:
                looked_up = looked_up.where(next(iter(looked_up.selected_columns)) == func.any(self._among))
            self._found[key] = looked_up.cte(f"found_{len(self._found)}").prefix_with("MATERIALIZED")
        return self._found[key]

    def _named(self, value: ColumnElement[Any], name: str = "") -> ColumnElement[Any]:
        if not self._once:
            return value
        called = name or f"found {len(self.values)}"
        self.values[called] = value
        return named_column(called, value.type)


def _opposite(c: Condition) -> Condition | None:
    """The condition of which this one is the opposite, if it is one."""
    looked_up = c.op == "empty" and c.field.kind is Kind.SEVERAL and c.field.column is None
    op = "not empty" if looked_up else OPPOSITE.get(c.op)
    return Condition(c.field, op, c.values, c.span) if op else None


def column_of(name: str, today: date, bounds: Bounds) -> ColumnElement[Any]:
    """The expression of a field that has a column."""
    expression = FIELDS[name].column
    assert expression
    return expression(today, bounds)


def looked_up(c: Condition, today: date) -> Select[Any]:
    """The customers of a purchase, a campaign or a step, of tags or of contacts, of a frozen list."""
    if c.field.kind in (Kind.SEVERAL, Kind.CONTACT):
        return lookups.customers(c, today)
    if c.field.kind is Kind.LISTED:
        listed = schema.segment_members.c
        return select(listed.customer_id).where(listed.segment_id.in_(list(c.values)))
    if c.field.kind is Kind.STEP:
        campaign_id, step = c.values
        return funnel.members(campaign_id, step)
    if c.field.kind is Kind.CAMPAIGN:
        return lookups.of_campaigns(c, today)
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
    return joined.where(*lookups.within(o.placed_on, c.span, today))


def orders_within(days: ColumnElement[Any], span: Span, today: date) -> ColumnElement[int]:
    """How many of the days of a customer's orders, which are in order, lie in a period: two binary searches."""
    start, end = span.ends(today)
    until = func.width_bucket(literal(end, Date), days) if end else func.cardinality(days)
    if not start or start == date.min:
        return until
    return until - func.width_bucket(literal(start - timedelta(days=1), Date), days)
