"""The list of customers: find, filter, sort, page, export. One customer is in db/customer.py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, Text, and_, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from db import customer_filters, schema, text
from db.customer_filters import EVERYBODY, Filters
from db.errors import Invalid
from db.metrics import stage_column
from db.permissions import Permission, Viewer
from db.words import _

PAGE = 50
MOST_HITS = 1000
"""A search counts and lists at most this many customers; beyond it the total is "more than"."""
MOST_EXPORTED = 1_000_000
MOST_VALUES = 500
"""Values of one filter that are offered: regions, sources, teams."""
LAST_CHARACTER = "\U0010ffff"
ENOUGH_HITS = 5
MOST_NEEDLE = 200
MOST_INITIALS = 6
MOST_TRIGRAMS = 24
"""Characters of a word that are looked up by trigrams: more cost time and hardly narrow."""
_NOT_IN_NUMBERS = re.compile(r"[^\d\s()+.\-/#]")

SORTS = ("name", "revenue", "orders", "last_order", "newest")


@dataclass(frozen=True)
class Page:
    """Rows id, name, company, phone, email, region, city, owner, stage, orders, revenue, last_order_on.

    `total` is exact up to MOST_HITS in a search; `more` says that only the first MOST_HITS were looked at.
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
        # Blanks at both ends too, so that every Chinese character stands between two.
        "search_text": " ".join(["", *filter(None, (text.spaced(p) for p in parts)), ""]),
    }


def page(
    conn: Connection,
    *,
    viewer: Viewer,
    today: date,
    filters: Filters = EVERYBODY,
    sort: str = "name",
    descending: bool = False,
    offset: int = 0,
    limit: int = PAGE,
) -> Page:
    """One page of the list. A search without `sort` other than name is ranked: exact, beginning, inside."""
    viewer.require(Permission.CUSTOMERS_READ)
    if sort not in SORTS:
        raise Invalid(_("The list cannot be sorted by “{sort}”.").format(sort=sort))
    ranked = sort == "name" and not descending
    if viewer.masked and sort == "name":
        sort = "newest"  # all names are alike to them: everybody would be sorted in vain
    offset, limit = max(0, offset), max(1, min(limit, 500))
    found = listed(today, filters)
    hits, more = _hits(conn, viewer, "" if filters.archived else filters.search)
    ordered = order(sort, descending)
    if hits is not None:
        if not hits:
            return Page(frame(conn, found.where(literal(False))), 0, False)
        found = found.where(schema.customers.c.id.in_(list(hits)))
        if ranked:
            ranks = sorted(hits, key=lambda i: (hits[i], i))
            ordered = [func.array_position(literal(ranks, ARRAY(BigInteger)), schema.customers.c.id)]
    own = schema.customers.c.id
    # Without figures in the question the customers alone answer it: neither count nor order needs the metrics.
    narrow = select(own).where(*customer_filters.of_customer(filters, today)) if not filters.figures else None
    counted = narrow if narrow is not None and hits is None else found.with_only_columns(own)
    total = conn.scalar(select(func.count()).select_from(counted.subquery())) or 0
    if hits is not None:
        rows = frame(conn, found.order_by(*ordered, own).offset(offset).limit(limit))
    elif narrow is not None and sort in ("name", "newest"):
        listed_ids = conn.scalars(narrow.order_by(*ordered, own).offset(offset).limit(limit)).all()
        rows = frame(conn, found.where(own.in_(listed_ids)).order_by(*ordered, own))
    else:
        rows = piece(conn, found, sort, descending, viewer=viewer, offset=offset, limit=limit)
    return Page(rows, total, more)


def search(conn: Connection, *, viewer: Viewer, today: date, words: str, limit: int = 20) -> Page:
    """The best hits of a search, as `page` ranks them."""
    return page(conn, viewer=viewer, today=today, filters=Filters(search=words), limit=limit)


def export(conn: Connection, *, viewer: Viewer, today: date, filters: Filters) -> Iterator[dict[str, Any]]:
    """Every row of the list, by name, as dicts of the columns of Page; read in steps of 5,000 rows.

    Raises Refused and Invalid at once, not with the first row. Invalid when there are more than MOST_EXPORTED: nothing
    is cut silently.
    """
    viewer.require(Permission.CUSTOMERS_EXPORT)
    found, more = matching(conn, viewer, today, filters)
    if more:
        raise Invalid(_("This search has more than {most} hits. Narrow it, then export.").format(most=f"{MOST_HITS:,}"))
    total = conn.scalar(select(func.count()).select_from(found.subquery())) or 0
    if total > MOST_EXPORTED:
        raise Invalid(_("{n} rows are more than one file holds ({most}).").format(n=total, most=f"{MOST_EXPORTED:,}"))
    return stepwise(conn, found.order_by(*order("name", False), schema.customers.c.id))


def matching(conn: Connection, viewer: Viewer, today: date, filters: Filters) -> tuple[Select[Any], bool]:
    """`listed` with the search, and whether that found more than MOST_HITS: then these are not all. Raises Invalid."""
    viewer.require(Permission.CUSTOMERS_READ)
    found = listed(today, filters)
    hits, more = _hits(conn, viewer, "" if filters.archived else filters.search)
    return (found if hits is None else found.where(schema.customers.c.id.in_(list(hits)))), more


def stepwise(conn: Connection, query: Select[Any]) -> Iterator[dict[str, Any]]:
    """The rows of a query as dicts, read in steps."""
    with conn.execute(query, execution_options={"yield_per": 5_000}) as rows:
        for row in rows.mappings():
            yield dict(row)


def regions(conn: Connection, *, viewer: Viewer) -> list[str]:
    """The regions of the viewer's customers, by name; steps through the index instead of reading every row."""
    viewer.require(Permission.CUSTOMERS_READ)
    return _occurring(conn, schema.customers.c.region)


def sources(conn: Connection, *, viewer: Viewer) -> list[str]:
    """Where the viewer's customers came from, by name; as with regions."""
    viewer.require(Permission.CUSTOMERS_READ)
    return _occurring(conn, schema.customers.c.source)


def _occurring(conn: Connection, column: ColumnElement[str]) -> list[str]:
    steps = select(func.min(column).label("value")).where(column > "").cte("steps", recursive=True)
    following = select(func.min(column)).where(column > steps.c.value).scalar_subquery()
    steps = steps.union_all(select(following).where(steps.c.value.is_not(None)))
    return sorted(conn.scalars(select(steps.c.value).where(steps.c.value.is_not(None)).limit(MOST_VALUES)))


def teams(conn: Connection, *, viewer: Viewer) -> dict[int, str]:
    """Team id → name, for who sees the customers of several; a scoped role sees those of one at most: none."""
    viewer.require(Permission.USERS_READ)
    if viewer.scoped:
        return {}
    t = schema.teams.c
    return {team_id: name for team_id, name in conn.execute(select(t.id, t.name).order_by(t.name).limit(MOST_VALUES))}


def owners(conn: Connection, *, viewer: Viewer) -> dict[int, str]:
    """Owner id → name of the people whose customers this viewer may see; 0 is nobody."""
    viewer.require(Permission.USERS_READ)
    u = schema.users.c
    query = select(u.id, u.name).where(u.role.in_(("sales", "manager")))
    if viewer.scoped:
        query = query.where(u.id.in_(viewer.owner_ids))
    return {user_id: name for user_id, name in conn.execute(query.order_by(u.name))}


def listed(today: date, filters: Filters) -> Select[Any]:
    """The rows of Page under the filters, in no order; with the metrics joined, so that it can be narrowed further.

    The words of the search are no part of it, but of an archived list. Raises Invalid.
    """
    customer_filters.check(filters)
    c, m, u = schema.customers.c, schema.customer_metrics.c, schema.users.c
    stage = stage_column(today).label("stage")
    return (
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
        .where(*customer_filters.of_customer(filters, today), *customer_filters.of_figures(filters, today))
    )


def piece(
    conn: Connection, found: Select[Any], sort: str, descending: bool, *, viewer: Viewer, offset: int, limit: int
) -> pd.DataFrame:
    """Rows of `listed`, from `offset` on, in an order.

    For who sees everybody the first by a figure are read from its index, as long as they fill the piece, instead of
    sorting all; a scoped role reads figures through a view, which has no index.
    """
    m = schema.customer_metrics.c
    figures: dict[str, tuple[ColumnElement[Any], ColumnElement[bool]]] = {
        "revenue": (m.revenue, m.revenue > 0),
        "orders": (m.orders, m.orders > 0),
        "last_order": (m.last_order_on, m.last_order_on.is_not(None)),
    }
    if descending and sort in figures and not viewer.scoped:
        figure, known = figures[sort]
        first = found.where(known).order_by(figure.desc(), schema.customers.c.id).offset(offset).limit(limit)
        rows = frame(conn, first)
        if len(rows) == limit:
            return rows
    ordered = order(sort, descending)
    return frame(conn, found.order_by(*ordered, schema.customers.c.id).offset(offset).limit(limit))


def order(sort: str, descending: bool) -> list[ColumnElement[Any]]:
    """What a list of customers is ordered by; the caller adds the id."""
    c, m = schema.customers.c, schema.customer_metrics.c
    column: ColumnElement[Any] = {
        "name": c.sort_key,
        "revenue": func.coalesce(m.revenue, 0),
        "orders": func.coalesce(m.orders, 0),
        "last_order": m.last_order_on,
        "newest": c.id,
    }[sort]
    return [column.desc().nulls_last() if descending else column.asc().nulls_last()]


def frame(conn: Connection, query: Select[Any]) -> pd.DataFrame:
    """The rows of a query."""
    result = conn.execute(query)
    return pd.DataFrame(result.fetchall(), columns=list(result.keys()))


def _hits(conn: Connection, viewer: Viewer, words: str) -> tuple[dict[int, int] | None, bool]:
    """Customer id → rank of a search (0 exact, 1 beginning, 2 inside), at most MOST_HITS, and whether there are more.

    Without words there is no search: None.
    """
    needle = text.match_key(words)[:MOST_NEEDLE]
    if not needle:
        return None, False
    number = text.digits(needle) if not _NOT_IN_NUMBERS.search(needle) else ""
    hits = _of_number(conn, number) if number else _of_words(conn, needle)
    if len(hits) < ENOUGH_HITS and not viewer.masked:
        for customer_id in _inside(conn, viewer, number or needle):
            hits.setdefault(customer_id, 2)
    best = sorted(hits, key=lambda i: (hits[i], i))[:MOST_HITS]
    return {i: hits[i] for i in best}, len(hits) > MOST_HITS


def _of_number(conn: Connection, number: str) -> dict[int, int]:
    """Customer, household or other number, and the beginning or the end of a phone number."""
    c, k = schema.customers.c, schema.customer_keys.c
    branches = [
        select(c.id, literal(0).label("rank")).where(c.id == int(number[:18]), c.archived_at.is_(None)),
        select(k.customer_id, literal(0)).where(k.value == number),
    ]
    # A trunk or an international prefix (0, 00) is dialled, not stored.
    dialled = number.lstrip("0")
    if len(dialled) >= 3:
        branches += [_beginning(c.phone_key, dialled), _beginning(c.phone_reversed, dialled[::-1])]
    return _ranked(conn, branches)


def _of_words(conn: Connection, needle: str) -> dict[int, int]:
    """Exact and beginning, by kind of input, each over its own b-tree."""
    c = schema.customers.c
    branches = [_beginning(c.name_key, needle)]
    if "@" in needle:
        branches = [_beginning(c.email_key, needle)]
    elif not text.has_han(needle):
        branches.append(_beginning(c.email_key, needle))
        tight = needle.replace(" ", "").replace("'", "")
        if tight:
            branches.append(_beginning(c.pinyin_key, tight))
        if 0 < len(tight) <= MOST_INITIALS:
            branches.append(_beginning(c.initials_key, tight))
    return _ranked(conn, branches)


def _ranked(conn: Connection, branches: list[Select[Any]]) -> dict[int, int]:
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
    """Customers that contain every word; the longest one is looked up by trigrams, all of them are then compared."""
    words = [text.spaced(word) for word in needle.split(" ")]
    longest = max(words, key=len)[:MOST_TRIGRAMS]
    # A trigram of one Chinese character needs the blanks around it.
    before, after = (" " if text.has_han(end) else "" for end in (longest[:1], longest[-1:]))
    function = func.customers_containing_scoped if viewer.scoped else func.customers_containing_all
    found = function(_escaped(f"{before}{longest}{after}"), literal(words, ARRAY(Text)), MOST_HITS + 1)
    return list(conn.scalars(select(found.table_valued("id").c.id)))


def _escaped(word: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", word)
