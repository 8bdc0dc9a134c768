"""The list of customers: find, filter, sort, page, export. One customer is in db/customer.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any

import pandas as pd
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    column,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db import custom_filters, customer_columns, customer_filters, schema, segment_filter, text
from db import search as finding
from db.customer_filters import EVERYBODY, Filters
from db.errors import Invalid
from db.lifecycle import stage_column
from db.permissions import Permission, Viewer
from db.words import _

PAGE = 50
FEW = 2_000
"""Customers that were found by their custom fields or a segment and are then looked up by their numbers."""
MOST_EXPORTED = 1_000_000
MOST_VALUES = 500
"""Values of one filter that are offered: regions, sources, teams."""

SORTS = ("name", "revenue", "orders", "last_order", "newest")


@dataclass(frozen=True)
class Page:
    """Rows id, name, company, phone, email, region, city, owner, stage, orders, revenue, last_order_on.

    `total` is exact up to search.MOST_HITS in a search; `more` says that there are more. `left_out`: looking inside
    words took too long and was stopped. `similar`: little was found, some of it only written or sounding nearly so.
    `by`: as in search.Hits, who was found by a contact or a tag.
    """

    rows: pd.DataFrame
    total: int
    more: bool = False
    left_out: bool = False
    similar: bool = False
    by: Mapping[int, tuple[str, str]] = field(default_factory=dict)


def keys(row: Mapping[str, Any]) -> dict[str, str]:
    """The derived columns that lists sort and searches match by, from name, company, e-mail and phone."""
    name = text.clean(row.get("name"))
    phone = text.digits(row.get("phone"))
    parts = (*spoken(name), *named(row.get("company")), text.spaced(row.get("email")), phone)
    return {
        "sort_key": text.sort_key(name),
        "name_key": text.match_key(name),
        "pinyin_key": text.pinyin(name),
        "initials_key": text.initials(name),
        "email_key": text.match_key(row.get("email")),
        "phone_key": phone,
        "phone_reversed": phone[::-1],
        # Blanks at both ends too, so that every Chinese character stands between two.
        "search_text": " ".join(["", *filter(None, parts), ""]),
    }


def spoken(name: str | None) -> tuple[str, ...]:
    """What a search finds a name by, as a word or inside: the name, its pinyin, that of the given name."""
    return text.spaced(name), text.pinyin(name), text.given_pinyin(name)


def named(company: str | None) -> tuple[str, ...]:
    """As `spoken`, of a company: its name, pinyin and, in Chinese, initials."""
    pinyin = text.pinyin(company)
    return text.spaced(company), pinyin, text.initials(company) if pinyin else ""


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
    """One page of the list. A search without `sort` other than name is ranked, as db/search.py does."""
    viewer.require(Permission.CUSTOMERS_READ)
    filters = _resolved(conn, viewer, today, filters)
    if sort not in SORTS:
        raise Invalid(_("The list cannot be sorted by “{sort}”.").format(sort=sort))
    ranked = sort == "name" and not descending
    if viewer.masked and sort == "name":
        sort = "newest"  # all names are alike to them: everybody would be sorted in vain
    offset, limit = max(0, offset), max(1, min(limit, 500))
    hits = finding.find(conn, viewer=viewer, words=_searched_for(filters))
    if hits is not None:
        ordered = [] if ranked else order(sort, descending)
        listed_hits = _searched(
            conn, hits, viewer, today=today, filters=filters, ordered=ordered, offset=offset, limit=limit
        )
        return replace(listed_hits, by=hits.by)
    found = listed(today, filters, scoped=viewer.scoped)
    ordered = order(sort, descending)
    own = schema.customers.c.id
    # Without figures in the question the customers alone answer it: neither count nor order needs the metrics.
    of_customer = customer_filters.of_customer(filters, today, scoped=viewer.scoped)
    narrow = select(own).where(*of_customer) if not filters.figures else None
    every = narrow if narrow is not None else found.with_only_columns(own)
    looked_through = bool(filters.own or filters.segment)
    few = conn.scalars(every.limit(FEW + 1)).all() if looked_through else ()
    total = len(few) if looked_through and len(few) <= FEW else _count(conn, every)
    if looked_through and total <= FEW:
        # No index finds them: in the order of one they would be looked for among all.
        found = listed(today, filters, scoped=viewer.scoped, ids=few)
        narrow = None if narrow is None else narrow.where(own == func.any(literal(list(few), ARRAY(BigInteger))))
    if narrow is not None and sort in ("name", "newest"):
        listed_ids = conn.scalars(narrow.order_by(*ordered, own).offset(offset).limit(limit)).all()
        rows = _known(conn, viewer, today, listed_ids, archived=filters.archived)
    elif filters.segment:
        # The index of a figure would be read from its end, past most customers, to the first members.
        rows = frame(conn, found.order_by(*ordered, own).offset(offset).limit(limit))
    else:
        rows = piece(conn, found, sort, descending, viewer=viewer, offset=offset, limit=limit)
    return Page(rows, total)


def _searched(
    conn: Connection,
    hits: finding.Hits,
    viewer: Viewer,
    *,
    today: date,
    filters: Filters,
    ordered: list[ColumnElement[Any]],
    offset: int,
    limit: int,
) -> Page:
    """A page of what a search found; without an order by rank and then by the last purchase."""
    customer_filters.check(filters)
    own, latest = schema.customers.c.id, schema.customer_metrics.c.last_order_on.desc().nulls_last()
    if not hits.ranks:
        return Page(_known(conn, viewer, today, []), 0, left_out=hits.left_out)
    if hits.matching is not None:
        return _among_many(conn, hits, viewer, today, filters, ordered, offset, limit)
    if filters != Filters(search=filters.search) or ordered:
        ids, ranks = literal(list(hits.ranks), ARRAY(BigInteger)), literal(list(hits.ranks.values()), ARRAY(Integer))
        ranked = func.unnest(ids, ranks).table_valued("id", "rank", name="ranked").render_derived()
        found = listed(today, filters, scoped=viewer.scoped).join(ranked, ranked.c.id == own)
        total = _count(conn, found.with_only_columns(own))
        rows = frame(conn, found.order_by(*(ordered or [ranked.c.rank, latest]), own).offset(offset).limit(limit))
        return Page(rows, total, hits.more, left_out=hits.left_out, similar=hits.similar)
    # All of them are in sight: only those of the page are read whole.
    best_ids = finding.best(conn, hits, scoped=viewer.scoped, offset=offset, limit=limit)
    rows = _known(conn, viewer, today, best_ids)
    return Page(rows, len(hits.ranks), hits.more, left_out=hits.left_out, similar=hits.similar)


def _among_many(
    conn: Connection,
    hits: finding.Hits,
    viewer: Viewer,
    today: date,
    filters: Filters,
    ordered: list[ColumnElement[Any]],
    offset: int,
    limit: int,
) -> Page:
    """A page of a search with more hits than are ranked one by one: the database narrows all of them.

    Without an order, exact ones come first, then those among the latest buyers, then others as they are found.
    """
    own, found = schema.customers.c.id, listed(today, filters, scoped=viewer.scoped)
    assert hits.matching is not None
    assert hits.fitting is not None
    narrow = select(own).where(*customer_filters.of_customer(filters, today, scoped=viewer.scoped))
    narrow = found.with_only_columns(own) if filters.figures else narrow
    fitting = narrow.where(hits.matching)
    if ordered:
        total = _count(conn, fitting.limit(finding.MOST_HITS + 1))
        rows = frame(conn, found.where(hits.matching).order_by(*ordered, own).offset(offset).limit(limit))
        return Page(rows, min(total, finding.MOST_HITS), total > finding.MOST_HITS)
    plain = filters == Filters(search=filters.search)
    some = list(hits.ranks) if plain else conn.scalars(fitting.limit(finding.MOST_HITS + 1)).all()
    buyers = finding.latest_buyers(scoped=viewer.scoped)
    latest = narrow.where(hits.fitting).join(buyers, buyers.c.id == own)
    recent = conn.scalars(latest.order_by(buyers.c.day.desc(), own))
    place = {customer_id: n for n, customer_id in enumerate(recent)}
    every = dict.fromkeys([*place, *some])
    best = sorted(every, key=lambda i: (hits.ranks.get(i, finding.Rank.BEGINNING), place.get(i, len(place))))
    ids = best[: finding.MOST_HITS][offset : offset + limit]
    rows = _known(conn, viewer, today, ids)
    return Page(rows, min(len(every), finding.MOST_HITS), plain or len(every) > finding.MOST_HITS)


def _known(
    conn: Connection, viewer: Viewer, today: date, ids: Sequence[int], *, archived: bool = False
) -> pd.DataFrame:
    """The rows of `listed` of customers that fit the filters, as is known, in the order of the ids."""
    result = conn.execute(_rows_of(today, viewer.scoped, archived), {"ids": list(ids)})
    place = {customer_id: n for n, customer_id in enumerate(ids)}
    rows = sorted(result.fetchall(), key=lambda row: place[row.id])
    return pd.DataFrame(rows, columns=list(result.keys()))


@lru_cache(maxsize=16)
def _rows_of(today: date, scoped: bool, archived: bool) -> Select[Any]:
    """`listed` for the customers `ids`. Through the view of a scoped role each figure would be asked for by itself."""
    ids = bindparam("ids", type_=ARRAY(BigInteger))
    figures: FromClause[Any] = schema.customer_metrics
    if scoped:
        mine = func.customer_figures_scoped(ids)
        figures = mine.table_valued(
            *(column(c.name, c.type) for c in schema.customer_metrics.c if c.name in _FIGURES), name="customer_metrics"
        )
    on_lists = customer_filters.of_customer(Filters(archived=archived), today)
    return _list(today, figures).where(schema.customers.c.id == func.any(ids), *on_lists)


_FIGURES = ("customer_id", "first_order_on", "last_order_on", "orders", "revenue", "usual_days")


def _count(conn: Connection, query: Select[Any]) -> int:
    return conn.scalar(select(func.count()).select_from(query.subquery())) or 0


def search(conn: Connection, *, viewer: Viewer, today: date, words: str, limit: int = 20) -> Page:
    """The best hits of a search, as `page` ranks them."""
    return page(conn, viewer=viewer, today=today, filters=Filters(search=words), limit=limit)


def export(
    conn: Connection, *, viewer: Viewer, today: date, filters: Filters, tagged: bool = False
) -> Iterator[dict[str, Any]]:
    """Every row of the list, by name, as dicts of the columns of Page, source, created_at and the custom values; with
    `tagged` their tags, too. In steps of 5,000 rows.

    Raises Refused and Invalid at once, not with the first row. Invalid when there are more than MOST_EXPORTED: nothing
    is cut silently.
    """
    viewer.require(Permission.CUSTOMERS_EXPORT)
    found, more = matching(conn, viewer, today, filters)
    if more:
        raise Invalid(
            _("This search has more than {most} hits. Narrow it, then export.").format(most=f"{finding.MOST_HITS:,}")
        )
    total = _count(conn, found)
    if total > MOST_EXPORTED:
        raise Invalid(_("{n} rows are more than one file holds ({most}).").format(n=total, most=f"{MOST_EXPORTED:,}"))
    c = schema.customers.c
    beside: list[ColumnElement[Any]] = [c.source, c.created_at, c.custom, c.custom_personal]
    if tagged:
        beside.append(customer_columns.tags().label("tags"))
    return stepwise(conn, found.add_columns(*beside).order_by(*order("name", False), c.id))


def matching(conn: Connection, viewer: Viewer, today: date, filters: Filters) -> tuple[Select[Any], bool]:
    """`listed` with the search, and whether that found more than MOST_HITS: then these are not all. Raises Invalid."""
    viewer.require(Permission.CUSTOMERS_READ)
    filters = _resolved(conn, viewer, today, filters)
    found, own = listed(today, filters, scoped=viewer.scoped), schema.customers.c.id
    hits = finding.find(conn, viewer=viewer, words=_searched_for(filters))
    if hits is None:
        return found, False
    if hits.matching is None:
        return found.where(own.in_(list(hits.ranks))), hits.more
    wide = found.where(hits.matching)
    return wide, _count(conn, wide.with_only_columns(own).limit(finding.MOST_HITS + 1)) > finding.MOST_HITS


def _resolved(conn: Connection, viewer: Viewer, today: date, filters: Filters) -> Filters:
    """The filters with what they look up. Raises Invalid, Refused and NotFound, in a sentence each."""
    filters = custom_filters.resolved(conn, viewer=viewer, filters=filters)
    return segment_filter.resolved(conn, viewer=viewer, today=today, filters=filters)


def _searched_for(filters: Filters) -> str:
    """What db/search.py is asked: it looks among those on the lists, the archived ones are looked through."""
    return "" if filters.archived else filters.search


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


def occurring(conn: Connection, *, viewer: Viewer) -> dict[str, list[str]]:
    """`region` and `source` → as `regions` and `sources`, in one statement."""
    viewer.require(Permission.CUSTOMERS_READ)
    found: dict[str, list[str]] = {"region": [], "source": []}
    every = union_all(*(_steps(schema.customers.c[name], literal(name)) for name in found))
    for name, value in conn.execute(every):
        found[name].append(value)
    return {name: sorted(values) for name, values in found.items()}


def _occurring(conn: Connection, column: ColumnElement[str]) -> list[str]:
    return sorted(value for _name, value in conn.execute(_steps(column, literal(""))))


def _steps(column: ColumnElement[str], name: ColumnElement[str]) -> Select[Any]:
    """The name and each value there is, at most MOST_VALUES."""
    steps = select(func.min(column).label("value")).where(column > "").cte(recursive=True)
    following = select(func.min(column)).where(column > steps.c.value).scalar_subquery()
    steps = steps.union_all(select(following).where(steps.c.value.is_not(None)))
    values = select(steps.c.value).where(steps.c.value.is_not(None)).limit(MOST_VALUES).subquery()
    return select(name.label("name"), values.c.value)


def teams(conn: Connection, *, viewer: Viewer) -> dict[int, str]:
    """Team id → name, for who sees the customers of several; a scoped role sees those of one at most: none."""
    return whose(conn, viewer=viewer)["team"]


def owners(conn: Connection, *, viewer: Viewer) -> dict[int, str]:
    """Owner id → name of the people whose customers this viewer may see; 0 is nobody."""
    return whose(conn, viewer=viewer)["owner"]


def whose(conn: Connection, *, viewer: Viewer) -> dict[str, dict[int, str]]:
    """`owner` and `team` → as `owners` and `teams`, by name, in one statement."""
    viewer.require(Permission.USERS_READ)
    u, t = schema.users.c, schema.teams.c
    people = select(literal("owner").label("kind"), u.id, u.name).where(u.role.in_(("sales", "manager")))
    if viewer.scoped:
        every: Any = people.where(u.id.in_(viewer.owner_ids)).subquery()
    else:
        some = select(literal("team"), t.id, t.name).order_by(t.name).limit(MOST_VALUES).subquery()
        every = union_all(people, select(some)).subquery()
    found: dict[str, dict[int, str]] = {"owner": {}, "team": {}}
    for kind, number, name in conn.execute(select(every).order_by(every.c.name)):
        found[kind][number] = name
    return found


def listed(today: date, filters: Filters, *, scoped: bool = False, ids: Sequence[int] | None = None) -> Select[Any]:
    """The rows of Page under the filters, in no order; with the metrics joined, so that it can be narrowed further.

    `ids` are the only customers that are looked up, where they are known: through the view of a scoped role figures are
    found by their customer alone. The words of the search are no part of it, but of an archived list. Raises Invalid.
    """
    customer_filters.check(filters)
    narrowed = customer_filters.of_customer(filters, today, scoped=scoped)
    every = _list(today, schema.customer_metrics)
    if ids is not None:
        known = func.any(literal(list(ids), ARRAY(BigInteger)))
        every = _list(today, schema.customer_metrics, schema.customer_metrics.c.customer_id == known)
        narrowed = [*narrowed, schema.customers.c.id == known]
    return every.where(*narrowed, *customer_filters.of_figures(filters, today))


def _list(today: date, figures: FromClause[Any], *known: ColumnElement[bool]) -> Select[Any]:
    c, m, u = schema.customers.c, figures.c, schema.users.c
    of_customer = and_(m.customer_id == c.id, *known)
    return select(
        c.id,
        c.name,
        c.company,
        c.phone,
        c.email,
        c.region,
        c.city,
        u.name.label("owner"),
        stage_column(today, figures).label("stage"),
        func.coalesce(m.orders, 0).label("orders"),
        func.coalesce(m.revenue, 0).label("revenue"),
        m.last_order_on,
    ).select_from(schema.customers.outerjoin(figures, of_customer).join(schema.users, u.id == c.owner_id))


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


def rows_of(conn: Connection, today: date, ids: Sequence[int], *, viewer: Viewer) -> pd.DataFrame:
    """Rows of `listed` of these customers, in this order; who is out of sight or archived is left out."""
    rows = frame(conn, listed(today, Filters(), scoped=viewer.scoped, ids=ids))
    place = {customer_id: i for i, customer_id in enumerate(ids)}
    return rows.sort_values("id", key=lambda column: column.map(place), ignore_index=True)


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
