"""The list of customers: find, filter, sort, page, export. One customer is in db/customer.py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, Text, and_, cast, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from db import schema, text
from db.errors import Invalid
from db.metrics import Stage, stage_column
from db.permissions import Permission, Viewer
from db.words import _

PAGE = 50
MOST_HITS = 1000
"""A search counts and lists at most this many customers; beyond it the total is "more than"."""
MOST_EXPORTED = 1_000_000
LAST_CHARACTER = "\U0010ffff"
ENOUGH_HITS = 5

SORTS = ("name", "revenue", "orders", "last_order", "newest")


@dataclass(frozen=True)
class Filters:
    """What the list is narrowed by; the empty value of each means everything."""

    search: str = ""
    owner_id: int | None = None
    region: str = ""
    stage: str = ""


@dataclass(frozen=True)
class Page:
    """Rows id, name, company, phone, email, region, city, owner, stage, orders, revenue, last_order_on.

    `total` is exact up to MOST_HITS in a search, and `more` says that there are more.
    """

    rows: pd.DataFrame
    total: int
    more: bool


def keys(row: Mapping[str, Any]) -> dict[str, str]:
    """The derived columns that lists sort and searches match by, from name, company, e-mail and phone."""
    name = text.clean(row.get("name"))
    phone = text.digits(row.get("phone"))
    parts = (name, row.get("company"), row.get("email"), phone)
    return {
        "sort_key": text.sort_key(name),
        "name_key": text.match_key(name),
        "pinyin_key": text.pinyin(name),
        "initials_key": text.initials(name),
        "email_key": text.match_key(row.get("email")),
        "phone_key": phone,
        "phone_reversed": phone[::-1],
        "search_text": " ".join(filter(None, (text.spaced(p) for p in parts))),
    }


def page(
    conn: Connection,
    *,
    viewer: Viewer,
    today: date,
    filters: Filters = Filters(),  # noqa: B008  (frozen)
    sort: str = "name",
    descending: bool = False,
    offset: int = 0,
    limit: int = PAGE,
) -> Page:
    """One page of the list. A search without `sort` other than name is ranked: exact, beginning, inside."""
    viewer.require(Permission.CUSTOMERS_READ)
    if sort not in SORTS:
        raise Invalid(_("The list cannot be sorted by “{sort}”.").format(sort=sort))
    offset, limit = max(0, offset), max(1, min(limit, 500))
    hits = _hits(conn, viewer, filters.search)
    listed = _listed(today, filters)
    order = _order(sort, descending)
    if hits is not None:
        if not hits:
            return Page(_frame(conn, listed.where(literal(False))), 0, False)
        listed = listed.where(schema.customers.c.id.in_(list(hits)))
        if sort == "name" and not descending:
            ranks = sorted(hits, key=lambda i: hits[i])
            order = [func.array_position(literal(ranks, ARRAY(BigInteger)), schema.customers.c.id)]
    counted = select(func.count()).select_from(listed.with_only_columns(schema.customers.c.id).subquery())
    total = conn.scalar(counted) or 0
    rows = _frame(conn, listed.order_by(*order, schema.customers.c.id).offset(offset).limit(limit))
    return Page(rows, total, hits is not None and len(hits) > MOST_HITS)


def search(conn: Connection, *, viewer: Viewer, today: date, words: str, limit: int = 20) -> Page:
    """The best hits of a search, as `page` ranks them."""
    return page(conn, viewer=viewer, today=today, filters=Filters(search=words), limit=limit)


def export(conn: Connection, *, viewer: Viewer, today: date, filters: Filters) -> Iterator[dict[str, Any]]:
    """Every row of the list, by name, as dicts of the columns of Page; read in steps of 5,000 rows.

    Raises Invalid when there are more than MOST_EXPORTED: nothing is cut silently.
    """
    viewer.require(Permission.CUSTOMERS_EXPORT)
    hits = _hits(conn, viewer, filters.search)
    if hits is not None and len(hits) > MOST_HITS:
        raise Invalid(
            _("This search has more than {most} hits. Narrow it, then export.").format(most=f"{MOST_HITS:,}")
        )
    listed = _listed(today, filters)
    if hits is not None:
        listed = listed.where(schema.customers.c.id.in_(list(hits)))
    total = conn.scalar(select(func.count()).select_from(listed.subquery())) or 0
    if total > MOST_EXPORTED:
        raise Invalid(_("{n} rows are more than one file holds ({most}).").format(n=total, most=f"{MOST_EXPORTED:,}"))
    ordered = listed.order_by(*_order("name", False), schema.customers.c.id)
    with conn.execution_options(yield_per=5_000).execute(ordered) as rows:
        for row in rows.mappings():
            yield dict(row)


def regions(conn: Connection, *, viewer: Viewer) -> list[str]:
    """The regions of the viewer's customers, by name; steps through the index instead of reading every row."""
    viewer.require(Permission.CUSTOMERS_READ)
    c = schema.customers.c
    first = select(func.min(c.region).label("region")).where(c.region > "")
    steps = first.cte("steps", recursive=True)
    following = select(func.min(c.region)).where(c.region > steps.c.region).scalar_subquery()
    steps = steps.union_all(select(following).where(steps.c.region.is_not(None)))
    found = select(steps.c.region).where(steps.c.region.is_not(None))
    return sorted(conn.scalars(found))


def owners(conn: Connection, *, viewer: Viewer) -> dict[int, str]:
    """Owner id → name of the people whose customers this viewer may see; 0 is nobody."""
    viewer.require(Permission.USERS_READ)
    u = schema.users.c
    query = select(u.id, u.name).where(u.role.in_(("sales", "manager")))
    if viewer.scoped:
        query = query.where(u.id.in_(viewer.owner_ids))
    return {user_id: name for user_id, name in conn.execute(query.order_by(u.name))}


def _listed(today: date, filters: Filters) -> Select[Any]:
    c, m, u = schema.customers.c, schema.customer_metrics.c, schema.users.c
    stage = stage_column(today).label("stage")
    query = (
        select(
            c.id,
            c.name,
            c.company,
            c.phone,
            c.email,
            c.region,
            c.city,
            u.name.label("owner"),
            stage,
            func.coalesce(m.orders, 0).label("orders"),
            func.coalesce(m.revenue, 0).label("revenue"),
            m.last_order_on,
        )
        .select_from(
            schema.customers.outerjoin(schema.customer_metrics, m.customer_id == c.id).join(
                schema.users, u.id == c.owner_id
            )
        )
        .where(c.archived_at.is_(None))
    )
    if filters.owner_id is not None:
        query = query.where(c.owner_id == filters.owner_id)
    if filters.region:
        query = query.where(c.region == filters.region)
    if filters.stage:
        if filters.stage not in list(Stage):
            raise Invalid(_("There is no stage “{stage}”.").format(stage=filters.stage))
        query = query.where(stage_column(today) == filters.stage)
    return query


def _order(sort: str, descending: bool) -> list[ColumnElement[Any]]:
    c, m = schema.customers.c, schema.customer_metrics.c
    column: ColumnElement[Any] = {
        "name": c.sort_key,
        "revenue": func.coalesce(m.revenue, 0),
        "orders": func.coalesce(m.orders, 0),
        "last_order": m.last_order_on,
        "newest": c.id,
    }[sort]
    return [column.desc().nulls_last() if descending else column.asc().nulls_last()]


def _frame(conn: Connection, query: Select[Any]) -> pd.DataFrame:
    result = conn.execute(query)
    return pd.DataFrame(result.fetchall(), columns=list(result.keys()))


def _hits(conn: Connection, viewer: Viewer, words: str) -> dict[int, int] | None:
    """Customer id → rank of a search (0 exact, 1 beginning, 2 inside), at most MOST_HITS + 1; None without words."""
    needle = text.match_key(words)[:200]
    if not needle:
        return None
    hits = _first_stage(conn, needle)
    if len(hits) < ENOUGH_HITS and not viewer.masked:
        for customer_id in _inside(conn, viewer, needle):
            hits.setdefault(customer_id, 2)
    return hits


def _first_stage(conn: Connection, needle: str) -> dict[int, int]:
    """Exact and beginning, by kind of input, each over its own b-tree."""
    c, k = schema.customers.c, schema.customer_keys.c
    branches = [_beginning(c.name_key, needle)]
    digits = text.digits(needle)
    if digits and not re.search(r"[^\d\s()+.\-/#]", needle):
        branches = [select(c.id, literal(0).label("rank")).where(c.id == int(digits[:18]), c.archived_at.is_(None))]
        branches.append(select(k.customer_id, literal(0)).where(k.value == digits))
        if len(digits) >= 3:
            branches += [_beginning(c.phone_key, digits), _beginning(c.phone_reversed, digits[::-1])]
    elif "@" in needle:
        branches = [_beginning(c.email_key, needle)]
    elif not text.has_han(needle):
        tight = needle.replace(" ", "").replace("'", "")
        branches += [_beginning(c.pinyin_key, tight), _beginning(c.email_key, needle)]
        if len(tight) <= 6:
            branches.append(_beginning(c.initials_key, tight))
    found = union_all(*(select(b.subquery()) for b in branches)).subquery()
    ranked = select(found.c[0], func.min(found.c[1])).group_by(found.c[0]).order_by(func.min(found.c[1]), found.c[0])
    return {customer_id: rank for customer_id, rank in conn.execute(ranked.limit(MOST_HITS + 1))}


def _beginning(column: ColumnElement[str], prefix: str) -> Select[Any]:
    """A range of the b-tree: LIKE would not be used under row-level security, since it is not leakproof."""
    c = schema.customers.c
    rank = func.least(literal(1), func.abs(func.length(column) - len(prefix))).label("rank")
    return (
        select(c.id, rank)
        .where(and_(column >= prefix, column < prefix + LAST_CHARACTER, c.archived_at.is_(None)))
        .order_by(column)
        .limit(MOST_HITS + 1)
    )


def _inside(conn: Connection, viewer: Viewer, needle: str) -> list[int]:
    """Customers that contain every word; the longest one is looked up by trigrams, the others narrow it down."""
    words = sorted(text.spaced(needle).split(" "), key=len, reverse=True) if " " in needle else [text.spaced(needle)]
    function = func.customers_containing_scoped if viewer.scoped else func.customers_containing_all
    first = function(_escaped(words[0][:24]), MOST_HITS + 1).table_valued("id").alias("inside")
    query = select(first.c.id)
    if len(words) > 1:
        c = schema.customers.c
        haystack = cast(c.search_text, Text)
        query = query.join(schema.customers, c.id == first.c.id).where(
            *(func.strpos(haystack, word) > 0 for word in words[1:])
        )
    return list(conn.scalars(query))


def _escaped(word: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", word)
