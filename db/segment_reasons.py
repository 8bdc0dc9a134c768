"""One customer before a rule: which of its conditions hold for them, with their own values; analytics/reasons.py says
which of these decide."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

from sqlalchemy import BigInteger, ColumnElement, Connection, func, literal
from sqlalchemy.dialects.postgresql import ARRAY

from db import saved_segments, schema, scores, segments
from db.changes import LARGEST_ID
from db.comparisons import OPPOSITE
from db.errors import NotFound
from db.fields import Bounds, Kind
from db.permissions import Permission, Viewer
from db.rules import Condition, Group, conditions
from db.segment_question import VALUED, Question, orders_within
from db.words import _

Tree: TypeAlias = "int | tuple[str, tuple[Tree, ...]]"

MOST_SEGMENTS = 100
"""So many kept segments are looked through for one customer."""
MOST_CONDITIONS = 400
"""So many conditions are asked in one statement, of several segments together."""


@dataclass(frozen=True)
class Weighed:
    """A rule held against one customer.

    `conditions` are its different ones, in order: that of several places once, and one that says the opposite of an
    earlier one not again. `holds` and `values` are theirs: the value is the customer's own, None where it is not known;
    of what is looked up in other tables it is a number of orders, or whether it was found. `tree` is the rule with its
    conditions as their numbers; of an opposite there is "none" of the earlier one.
    """

    customer_id: int
    name: str
    fits: bool
    conditions: tuple[Condition, ...]
    holds: tuple[bool, ...]
    values: tuple[Any, ...]
    tree: Tree


def weigh(conn: Connection, *, viewer: Viewer, rule: str, customer_id: int, today: date) -> Weighed:
    """Each condition of a rule (JSON) for one customer, in one statement.

    Raises Invalid and Refused as `segments.count` does, NotFound for a customer who is in no segment of this viewer.
    """
    viewer.require(Permission.SEGMENTS_READ)
    viewer.require(Permission.CUSTOMERS_READ)
    group = segments.checked(conn, viewer, rule)
    bounds, _made = scores.bounds(conn)
    different, tree = numbered(group)
    asked = _OfOne(today, bounds, customer_id)
    c = schema.customers.c
    columns = [asked.fits(group).label("fits"), c.name.label("name")]
    columns += [asked.fits(each).label(f"holds_{i}") for i, each in enumerate(different)]
    columns += [asked.value(each).label(f"value_{i}") for i, each in enumerate(different)]
    row = None
    if 0 < customer_id <= LARGEST_ID:
        row = conn.execute(asked.base(*columns).where(c.id == customer_id)).mappings().one_or_none()
    if row is None:
        problem = _(
            "There is no customer {id} that you may see, or they are archived: who is archived is in no segment."
        )
        raise NotFound(problem.format(id=customer_id))
    numbers = range(len(different))
    holds = tuple(bool(row[f"holds_{i}"]) for i in numbers)
    values = tuple(row[f"value_{i}"] for i in numbers)
    return Weighed(customer_id, row["name"], bool(row["fits"]), different, holds, values, tree)


def numbered(rule: Group) -> tuple[tuple[Condition, ...], Tree]:
    """The different conditions of a rule, and the rule as a tree of their numbers."""
    numbers: dict[Condition, int] = {}
    different: list[Condition] = []

    def of(each: Condition | Group) -> Tree:
        if isinstance(each, Group):
            return each.match, tuple(of(part) for part in each.rules)
        opposite = _opposite(each)
        if opposite in numbers:
            return "none", (numbers[opposite],)
        if each not in numbers:
            numbers[each] = len(different)
            different.append(each)
        return numbers[each]

    tree = of(rule)
    return tuple(different), tree


_BACK = {of: op for op, of in OPPOSITE.items()} | {"empty": "not empty", "not empty": "empty"}


def _opposite(c: Condition) -> Condition | None:
    op = OPPOSITE.get(c.op) or _BACK.get(c.op)
    return Condition(c.field, op, c.values, c.span) if op else None


@dataclass(frozen=True)
class Kept:
    """A segment and whether one customer is in it; `id` is 0 for a ready-made one, of which `code` tells which."""

    id: int
    code: str
    name: str
    inside: bool


def kept(conn: Connection, *, viewer: Viewer, customer_id: int, today: date) -> list[Kept]:
    """The segments that the viewer may see, saved ones first, then the ready-made ones, each with whether one customer
    is in it; none for a customer whom the viewer may not see, or who is archived.

    Those whose rule cannot be read, or looks at what is hidden from the viewer, are left out; of very many the last.
    """
    viewer.require(Permission.SEGMENTS_READ)
    viewer.require(Permission.CUSTOMERS_READ)
    saved = saved_segments.saved(conn, viewer=viewer, limit=MOST_SEGMENTS)
    found = [(s.id, "", s.name, s.rule) for s in saved if not s.problem]
    found += [(0, code, name, rule) for code, (name, rule) in saved_segments.ready().items()]
    bounds, _made = scores.bounds(conn)
    asked = _OfOne(today, bounds, customer_id)
    columns: list[ColumnElement[Any]] = []
    chosen, n = [], 0
    for number, code, name, rule in found:
        n += len(conditions(rule)) + 1
        whole = segments._countable(conn, viewer, rule)
        if n <= MOST_CONDITIONS and whole:
            columns.append(asked.fits(whole).label(f"fits_{len(columns)}"))
            chosen.append((number, code, name))
    if not (columns and 0 < customer_id <= LARGEST_ID):
        return []
    row = conn.execute(asked.base(*columns).where(schema.customers.c.id == customer_id)).one_or_none()
    return [Kept(*one, inside=fits) for one, fits in zip(chosen, row, strict=True)] if row else []


kept.personal = True  # type: ignore[attr-defined]  # each user's own segments


class _OfOne(Question):
    """Rules about one customer: what is looked up in other tables is looked up for them alone."""

    def __init__(self, today: date, bounds: Bounds, customer_id: int) -> None:
        super().__init__(today, bounds, among=literal([customer_id], ARRAY(BigInteger)))

    def value(self, c: Condition) -> ColumnElement[Any]:
        """What the condition looks at; of what is looked up whether it was found, of a period the number of orders."""
        if c.field.kind is Kind.PERIOD:
            self.fits(c)
            return func.coalesce(orders_within(schema.order_days.c.days, c.span, self.today), 0)
        if c.field.column is None and c.field.kind not in VALUED:
            return self.fits(Condition(c.field, OPPOSITE.get(c.op, c.op), c.values, c.span))
        return self.column(c)
