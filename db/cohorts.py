"""Cohorts: customers by the month of their first purchase, and what they bought in the months from then on.

Customers who are not archived, as segments count them. Everyone's come from the sums that the worker keeps, those of a
segment from its members' months. When a first purchase lies in the time in which the data begin, it may well be no
first one: such cohorts are not known, and only how many customers stand in them is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Date, Integer, Numeric, Select, column, func, select, true

from db import schema, segments
from db.errors import Invalid
from db.explorer import month_before
from db.overview import known_from
from db.permissions import Permission, Viewer
from db.words import _

MOST_MONTHS = 36
"""Cohorts of one table; each is a row of it, and as many columns."""


@dataclass(frozen=True)
class Cohorts:
    """`rows`: cohort, month (first days), customers, orders, revenue; months without a purchase have no row.

    `months` are the known cohorts, in order; `first_known` is the first there can be (None without any data). `unknown`
    customers have their first purchase in the months before that, of those that were asked for. `waiting_since` is the
    oldest change that is not added up yet.
    """

    rows: pd.DataFrame
    months: tuple[date, ...]
    first_known: date | None
    unknown: int
    waiting_since: datetime | None


def cohorts(conn: Connection, *, viewer: Viewer, today: date, months: int = 12, rule: str = "") -> Cohorts:
    """The cohorts of the last `months` months, this one included, of everyone or of a rule's members (JSON).

    Raises Invalid and Refused.
    """
    viewer.require(Permission.SEGMENTS_READ)
    if not 1 <= months <= MOST_MONTHS:
        raise Invalid(_("Choose 1 to {n} months of cohorts.").format(n=MOST_MONTHS))
    start = month_before(today, months - 1)
    if rule:
        query = _of_members(segments.members(conn, viewer, rule, today), start)
    else:
        s = schema.cohort_sums.c
        sums = (func.sum(s.customers), func.sum(s.orders), func.sum(s.revenue))
        query = select(s.cohort, s.month, *sums).where(s.cohort >= start).group_by(s.cohort, s.month)
    found = pd.DataFrame(
        conn.execute(query).fetchall(), columns=["cohort", "month", "customers", "orders", "revenue"]
    ).astype({"customers": int, "orders": int})
    since: date | None = conn.scalar(select(func.data_since()))
    known = known_from(since)
    first_known = month_before(known - timedelta(days=1), -1) if known else None
    asked = [month_before(today, n) for n in reversed(range(months))]
    kept = tuple(month for month in asked if first_known and month >= first_known)
    first = found["cohort"] == found["month"]
    unknown = int(found.loc[first & ~found["cohort"].isin(kept), "customers"].sum())
    rows = found[found["cohort"].isin(kept)].sort_values(["cohort", "month"], ignore_index=True)
    return Cohorts(rows, kept, first_known, unknown, conn.scalar(select(func.waiting_since())))


def _of_members(members: Select[Any], start: date) -> Select[Any]:
    """The months of these customers added up, where the first is not before `start`."""
    m, who = schema.customer_months.c, members.subquery()
    each = func.unnest(m.months, m.orders, m.revenue).table_valued(
        column("month", Date), column("orders", Integer), column("revenue", Numeric)
    )
    u = each.render_derived("each").c
    cohort = m.months[1]
    return (
        select(cohort.label("cohort"), u.month, func.count(), func.sum(u.orders), func.sum(u.revenue))
        .select_from(schema.customer_months.join(who, who.c.customer_id == m.customer_id).join(u.month.table, true()))
        .where(cohort >= start)
        .group_by(cohort, u.month)
    )
