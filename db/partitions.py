"""The months of campaign_events: made ahead of time, and an eye on the DEFAULT partition that catches the rest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from sqlalchemy import Connection, func, select, text

from db.schema import campaign_events

MONTHS_AHEAD = 3


def make_ahead(conn: Connection, *, today: date) -> int:
    """Make the partitions of this month and of three more; gives how many were missing. The worker's right.

    PostgreSQL refuses a month of which the DEFAULT partition holds rows already: see `strays`.
    """
    years, month = divmod(today.month - 1 + MONTHS_AHEAD, 12)
    last = date(today.year + years, month + 1, 1)
    return int(conn.execute(select(func.make_event_months(today, last))).scalar_one())


def strays(conn: Connection) -> int:
    """Events that lie in no month's partition. Not 0 is an alarm: they slow every query and keep their month unmade.

    Asked range by range between the months that exist, so that no month's rows are read.
    """
    c = campaign_events.c
    found = 0
    for start, end in _gaps(_months(conn)):
        within = [*([c.occurred_on >= start] if start else []), *([c.occurred_on < end] if end else [])]
        found += conn.execute(select(func.count()).select_from(campaign_events).where(*within)).scalar_one()
    return found


def _months(conn: Connection) -> list[date]:
    """First days of the months that have a partition, in order."""
    names = conn.execute(
        text(
            "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'public.campaign_events'::regclass AND c.relname LIKE '%!_____!___' ESCAPE '!' "
            "ORDER BY 1"
        )
    ).scalars()
    return [date(int(name[-7:-3]), int(name[-2:]), 1) for name in names]


def _gaps(months: list[date]) -> Iterator[tuple[date | None, date | None]]:
    """The ranges [start, end) that no month covers; None is without end."""
    start: date | None = None
    for month in months:
        if start != month:
            yield start, month
        start = (month + timedelta(days=31)).replace(day=1)
    yield start, None
