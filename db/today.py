"""The salesperson's day beside the tasks: customers who have fallen quiet, and those one has just worked with."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Connection, func, literal, select, true

from db import schema
from db.customers import frame
from db.permissions import Permission, Viewer

QUIET_DAYS = 60
MOST_QUIET = 8
MOST_LOOKED_AT = 500
"""Of the customers without an order for so long, those with the highest revenue are looked at for talks and notes."""
MOST_RECENT = 8
_SETS = 60
"""The last commands of one's own among which customers are looked for; of each, the first few customers."""
_OF_A_SET = 3


def quiet(
    conn: Connection,
    *,
    viewer: Viewer,
    today: date,
    zone: str,
    owner_id: int | None = None,
    limit: int = MOST_QUIET,
) -> pd.DataFrame:
    """Customers of one owner (by default the viewer) who used to buy and are forgotten, highest revenue first.

    No order, no talk and no note for QUIET_DAYS, and no open task. Columns: id, name, phone, revenue, last_order_on.
    """
    viewer.require(Permission.TASKS_READ)
    c, m = schema.customers.c, schema.customer_metrics.c
    since = today - timedelta(days=QUIET_DAYS)
    lapsed = (
        select(c.id, c.name, c.phone, m.revenue, m.last_order_on)
        .select_from(schema.customers.join(schema.customer_metrics, m.customer_id == c.id))
        .where(c.owner_id == (viewer.user_id if owner_id is None else owner_id), c.archived_at.is_(None))
        .where(m.orders > 0, m.last_order_on < since)
        .order_by(m.revenue.desc(), c.id)
        .limit(MOST_LOOKED_AT)
        .subquery()
        .c
    )
    talks, notes, tasks = schema.interactions.c, schema.notes.c, schema.tasks.c
    begins = datetime.combine(since, time(), ZoneInfo(zone))
    # OFFSET keeps each a question about one customer: as joins they would read every talk of the owner's customers.
    signs = (
        select(literal(1)).where(talks.customer_id == lapsed.id, talks.happened_at >= begins),
        select(literal(1)).where(notes.customer_id == lapsed.id, notes.created_at >= begins),
        select(literal(1)).where(tasks.customer_id == lapsed.id, tasks.done_at.is_(None)),
    )
    found = select(*lapsed).where(*(~sign.offset(0).exists() for sign in signs))
    return frame(conn, found.order_by(lapsed.revenue.desc(), lapsed.id).limit(max(1, min(limit, MOST_LOOKED_AT))))


def recent(conn: Connection, *, viewer: Viewer, limit: int = MOST_RECENT) -> pd.DataFrame:
    """The customers the viewer changed or talked to last, newest first: id, name, phone, command, made_at."""
    viewer.require(Permission.TASKS_READ)
    c, s, h = schema.customers.c, schema.change_sets.c, schema.changes.c
    sets = (
        select(s.id, s.command, s.made_at)
        .where(s.actor_id == viewer.user_id, s.undoes_id.is_(None))
        .order_by(s.id.desc())
        .limit(_SETS)
        .subquery("sets")
    )
    of_set = (
        select(h.customer_id)
        .where(h.change_set_id == sets.c.id, h.customer_id.is_not(None))
        .limit(_OF_A_SET)
        .lateral("of_set")
    )
    touched = (
        select(
            of_set.c.customer_id,
            sets.c.command,
            sets.c.made_at,
            func.row_number().over(partition_by=of_set.c.customer_id, order_by=sets.c.id.desc()).label("turn"),
            sets.c.id.label("set_id"),
        )
        .select_from(sets.join(of_set, true()))
        .subquery("touched")
        .c
    )
    found = (
        select(c.id, c.name, c.phone, touched.command, touched.made_at)
        .select_from(schema.customers.join(touched.turn.table, touched.customer_id == c.id))
        .where(touched.turn == 1, c.archived_at.is_(None))
        .order_by(touched.set_id.desc(), c.id)
    )
    return frame(conn, found.limit(max(1, min(limit, _SETS))))
