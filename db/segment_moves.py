"""Who is in a kept segment, who joined and left, and how its size went: what the worker keeps.

Everything is told of the customers that the viewer sees now: the size of a day is today's less who joined since, with
who left since. So it is exact for each viewer, and a customer who was handed over takes their past along.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Connection, Date, Select, case, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from db import clock, saved_segments, schema, settings
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.words import _

MOST_LISTED = 500
KEEP_DAYS = 400
"""For how long it is kept who joined and left."""
RECENT_DAYS = 7
COURSES = (30, 90, 365)
"""Days over which the size can be seen."""

_m, _v, _s = schema.segment_members.c, schema.segment_moves.c, schema.segment_states.c


@dataclass(frozen=True)
class State:
    """How current the members are: as of `as_of`, and whether that is now. Moves are known since `began_at`.

    `problem` is why they are not kept: "unreadable", "refused", "slow", or "archived"; "new" before the first time.
    """

    as_of: datetime | None
    current: bool
    began_at: datetime | None
    problem: str


@dataclass(frozen=True)
class People:
    """A page of customers: id, name, at, and for those who joined or left `cause`; how many there are in all."""

    rows: pd.DataFrame
    total: int


def state(conn: Connection, *, viewer: Viewer, segment_id: int, today: date) -> State:
    """How current the members of a segment are. Raises NotFound."""
    one = saved_segments.get(conn, viewer=viewer, segment_id=segment_id)
    row = conn.execute(select(schema.segment_states).where(_s.segment_id == segment_id)).one_or_none()
    if row is None:
        return State(None, False, None, "new")
    if one.frozen:
        return State(row.kept_at, False, None, "")
    if one.archived_at or row.problem:
        return State(row.kept_at, False, row.began_at, row.problem or "archived")
    if row.day != today or row.version != one.version:
        return State(row.kept_at, False, row.began_at, "")
    waiting = conn.execute(select(func.waiting_since(), func.segments_waiting_since())).one()
    since = min((at for at in waiting if at is not None), default=None)
    return State(since or clock.now(), since is None, row.began_at, "")


state.volatile = True  # type: ignore[attr-defined]  # what waits moves no generation of its own


def members(conn: Connection, *, viewer: Viewer, segment_id: int, offset: int = 0, limit: int = MOST_LISTED) -> People:
    """A page of the members that are kept, by number: id, name, at (since when). Raises NotFound, Invalid."""
    saved_segments.get(conn, viewer=viewer, segment_id=segment_id)
    viewer.require(Permission.CUSTOMERS_READ)
    c = schema.customers.c
    of = schema.segment_members.join(schema.customers, c.id == _m.customer_id)
    query = select(c.id, c.name, _m.since.label("at")).select_from(of)
    query = query.where(_m.segment_id == segment_id, c.archived_at.is_(None))
    total = conn.scalar(query.with_only_columns(func.count())) or 0
    return People(_page(conn, query.order_by(c.id), ["id", "name", "at"], offset, limit), total)


def moves(
    conn: Connection,
    *,
    viewer: Viewer,
    segment_id: int,
    today: date,
    joined: bool,
    days: int = RECENT_DAYS,
    offset: int = 0,
    limit: int = MOST_LISTED,
) -> People:
    """A page of the customers who joined (or left) within the last days, and have not turned back since; latest first.

    `cause` is "data", "day" or "rule". Raises NotFound, Invalid.
    """
    saved_segments.get(conn, viewer=viewer, segment_id=segment_id)
    viewer.require(Permission.CUSTOMERS_READ)
    if not 1 <= days <= KEEP_DAYS:
        raise Invalid(_("A number of days from 1 to {n} is expected.").format(n=KEEP_DAYS))
    c = schema.customers.c
    net = func.sum(case((_v.joined, 1), else_=-1))
    latest = func.array_agg(aggregate_order_by(_v.cause, _v.id.desc()))[1]
    turned = (
        select(_v.customer_id, func.max(_v.at).label("at"), latest.label("cause"), func.max(_v.id).label("last"))
        .where(_v.segment_id == segment_id, _v.at >= _start(conn, today, days))
        .group_by(_v.customer_id)
        .having(net == (1 if joined else -1))
        .subquery()
    )
    of = select(c.id, c.name, turned.c.at, turned.c.cause).join_from(
        turned, schema.customers, c.id == turned.c.customer_id
    )
    total = conn.scalar(of.with_only_columns(func.count())) or 0
    ordered = of.order_by(turned.c.at.desc(), turned.c.last.desc())
    return People(_page(conn, ordered, ["id", "name", "at", "cause"], offset, limit), total)


def course(conn: Connection, *, viewer: Viewer, segment_id: int, today: date, days: int = COURSES[0]) -> pd.DataFrame:
    """Columns day, size (at its end), joined, left; a row for each of the last days since the record began.

    Raises NotFound, Invalid.
    """
    one = saved_segments.get(conn, viewer=viewer, segment_id=segment_id)
    if not 1 <= days <= KEEP_DAYS:
        raise Invalid(_("A number of days from 1 to {n} is expected.").format(n=KEEP_DAYS))
    empty = pd.DataFrame({"day": [], "size": [], "joined": [], "left": []})
    began = conn.scalar(select(_s.began_at).where(_s.segment_id == segment_id))
    if began is None or one.frozen:
        return empty
    zone = settings.get(conn).time_zone
    c = schema.customers.c
    of = schema.segment_members.join(schema.customers, c.id == _m.customer_id)
    size = conn.scalar(select(func.count()).select_from(of).where(_m.segment_id == segment_id)) or 0
    first = max(began.astimezone(ZoneInfo(zone)).date(), today - timedelta(days=days - 1))
    day = cast(func.timezone(zone, _v.at), Date)
    mine = schema.segment_moves.join(schema.customers, c.id == _v.customer_id)
    asked = (
        select(day.label("day"), func.count().filter(_v.joined), func.count().filter(~_v.joined))
        .select_from(mine)
        .where(_v.segment_id == segment_id, _v.at >= _instant(first, zone))
        .group_by(day)
    )
    moved = {row[0]: (int(row[1]), int(row[2])) for row in conn.execute(asked)}
    rows: list[tuple[date, int, int, int]] = []
    at = today
    while at >= first:
        joined, left = moved.get(at, (0, 0))
        rows.append((at, size, joined, left))
        size, at = size - joined + left, at - timedelta(days=1)
    return pd.DataFrame(rows[::-1], columns=["day", "size", "joined", "left"])


# Whose segment it is decides: never cached for another.
_of_whom: tuple[Any, ...] = (state, members, moves, course)
for _query in _of_whom:
    _query.personal = True


def discard_old(conn: Connection, *, today: date) -> int:
    """Forget who joined and left longer ago than KEEP_DAYS, as the worker; gives the rows removed."""
    zone = settings.get(conn).time_zone
    until = _instant(today - timedelta(days=KEEP_DAYS), zone)
    states = schema.segment_states
    gone = conn.execute(schema.segment_moves.delete().where(_v.at < until)).rowcount
    conn.execute(states.update().where(_s.began_at < until).values(began_at=until))
    return gone


def _page(conn: Connection, query: Select[Any], columns: list[str], offset: int, limit: int) -> pd.DataFrame:
    rows = conn.execute(query.offset(max(0, offset)).limit(max(1, min(limit, MOST_LISTED))))
    return pd.DataFrame([tuple(row) for row in rows], columns=columns)


def _start(conn: Connection, today: date, days: int) -> datetime:
    return _instant(today - timedelta(days=days - 1), settings.get(conn).time_zone)


def _instant(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
