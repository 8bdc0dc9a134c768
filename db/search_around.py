"""Customers found by what is kept around them: their contact people and their tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_, select, union_all

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


def begun(wanted: Needle) -> dict[str, str]:
    """The keys of contacts that the kind of input may begin, and what they begin with."""
    if wanted.number:
        dialled = wanted.dialled
        return {"phone_key": dialled, "phone_reversed": dialled[::-1]} if len(dialled) >= LEAST_DIALLED else {}
    found = {"name_key": wanted.text}
    if not text.has_han(wanted.text):
        found["email_key"] = wanted.text
        if wanted.tight and "@" not in wanted.text:
            found["pinyin_key"] = wanted.tight
    return found


def tag_keys(wanted: Needle, typed: str) -> list[str]:
    """What a tag may begin with."""
    return list(dict.fromkeys((tags.key(typed)[:MOST_NEEDLE], wanted.text)))


def found(rows: Sequence[Row[Any]], *, masked: bool, wanted: Needle, typed: str, most: int) -> Around:
    """What the rows (id, rank, by, value, seen) of a function of db/rights_beginnings.py say, `most` at most."""
    kept = rows[:most]
    matching = fitting = None
    if rows and (len(rows) > most or rows[0].seen > most):
        ranges = list(_ranges(wanted, typed, masked=masked))
        ids = [select(column.table.c.customer_id).where(between(column, begins)) for column, begins in ranges]
        matching = schema.customers.c.id.in_(union_all(*ids))
        fitting = or_(*(_one(column, begins) for column, begins in ranges))
    return Around({r.id: r.rank for r in kept}, {r.id: (r.by, r.value) for r in kept}, matching, fitting)


def _ranges(wanted: Needle, typed: str, *, masked: bool) -> Iterator[tuple[Any, str]]:
    """The stored columns and what they may begin with; masked roles find by tags alone."""
    for key in tag_keys(wanted, typed):
        yield schema.customer_tags.c.tag_key, key
    if not masked:
        for key, begins in begun(wanted).items():
            yield schema.contacts.c[key], begins


def _one(column: Any, begins: str) -> ColumnElement[bool]:
    """Whether this customer has such a row; an EXISTS would be made a join with everybody's."""
    of = column.table.c.customer_id
    one = select(of).where(between(column, begins), of == schema.customers.c.id).correlate(schema.customers).limit(1)
    return one.scalar_subquery().is_not(None)


def between(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    """A range of the b-tree: LIKE would not be used under row-level security, since it is not leakproof."""
    return and_(column >= prefix, column < prefix + LAST_CHARACTER)
