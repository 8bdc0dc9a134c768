"""Customers found by what is kept around them: their contact people and their tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, or_, select, union_all
from sqlalchemy.dialects.postgresql import distinct_on

from db import schema, tags, text
from db.needles import LAST_CHARACTER, LEAST_DIALLED, MOST_NEEDLE, Needle

CONTACT = "contact"
TAG = "tag"


@dataclass(frozen=True)
class Around:
    """Customer id → (0 for the whole of a contact's value, 1 for its beginning, 2 for a tag), best first.

    `by`: customer id → (CONTACT or TAG, the person's name or the tag). Where more fit than were asked for, `matching`
    is whether a customer is among all of them, and `fitting` the same, looked up customer by customer.
    """

    ranks: Mapping[int, int] = field(default_factory=dict)
    by: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    matching: ColumnElement[bool] | None = None
    fitting: ColumnElement[bool] | None = None


def find(conn: Connection, *, masked: bool, wanted: Needle, typed: str, most: int) -> Around:
    """Who has such a contact or tag and is not archived, `most` at most. `masked` roles find by tags alone."""
    ranges = list(_ranges(wanted, typed, masked=masked))
    branches = [_branch(*one, most) for one in ranges]
    found = union_all(*(select(b.subquery()) for b in branches)).subquery().c
    best = (
        select(found.id, found.rank, found.by, found.value, func.max(found.seen).over().label("seen"))
        .ext(distinct_on(found.id))
        .order_by(found.id, found.rank, found.by)
        .subquery()
        .c
    )
    query = select(*best).order_by(best.rank, best.id).limit(most + 1)
    rows = conn.execute(query).all()
    kept = rows[:most]
    matching = fitting = None
    if rows and (len(rows) > most or rows[0].seen > most):
        ids = [select(column.table.c.customer_id).where(between(column, begins)) for column, begins, _by in ranges]
        matching = schema.customers.c.id.in_(union_all(*ids))
        fitting = or_(*(_one(column, begins) for column, begins, _by in ranges))
    return Around({r.id: r.rank for r in kept}, {r.id: (r.by, r.value) for r in kept}, matching, fitting)


def _one(column: Any, begins: str) -> ColumnElement[bool]:
    """Whether this customer has such a row; an EXISTS would be made a join with everybody's."""
    of = column.table.c.customer_id
    one = select(of).where(between(column, begins), of == schema.customers.c.id).correlate(schema.customers).limit(1)
    return one.scalar_subquery().is_not(None)


def between(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    """A range of the b-tree: LIKE would not be used under row-level security, since it is not leakproof."""
    return and_(column >= prefix, column < prefix + LAST_CHARACTER)


def _ranges(wanted: Needle, typed: str, *, masked: bool) -> Iterator[tuple[Any, str, str]]:
    """The stored columns, what they may begin with, and what that is."""
    for key in dict.fromkeys((tags.key(typed)[:MOST_NEEDLE], wanted.text)):
        yield schema.customer_tags.c.tag_key, key, TAG
    if masked:
        return
    p = schema.contacts.c
    if wanted.number:
        if len(wanted.dialled) >= LEAST_DIALLED:
            yield p.phone_key, wanted.dialled, CONTACT
            yield p.phone_reversed, wanted.dialled[::-1], CONTACT
        return
    yield p.name_key, wanted.text, CONTACT
    if not text.has_han(wanted.text):
        yield p.email_key, wanted.text, CONTACT
        if wanted.tight and "@" not in wanted.text:
            yield p.pinyin_key, wanted.tight, CONTACT


def _branch(column: Any, begins: str, by: str, most: int) -> Select[Any]:
    """`seen` is how many rows the branch gave: one more than `most` says that there are others."""
    c, of = schema.customers.c, column.table
    rank: ColumnElement[int] = literal(2)
    if by == CONTACT:
        rank = func.least(literal(1), func.abs(func.length(column) - len(begins)))
    value = of.c.tag if by == TAG else of.c.name
    first = (
        select(of.c.customer_id.label("id"), rank.label("rank"), literal(by).label("by"), value.label("value"))
        .select_from(of.join(schema.customers, c.id == of.c.customer_id))
        .where(between(column, begins), c.archived_at.is_(None))
        .order_by(column)
        .limit(most + 1)
        .subquery()
    )
    return select(first, func.count().over().label("seen"))
