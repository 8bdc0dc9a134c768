"""The figures of a period against the equally long period before it, from the daily roll-up and the orders' days."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd
from sqlalchemy import ColumnElement, Connection, Date, Select, and_, case, func, literal, select

from db import schema
from db.errors import Invalid
from db.lifecycle import number_in_force, stage_column
from db.metrics import NOT_KNOWN_DAYS, Stage
from db.permissions import Permission, Viewer
from db.words import _

MOST_DAYS = 3_660
"""Longest period, in days."""
EARLIEST, LATEST = date(1900, 1, 1), date(2199, 12, 31)
"""Days beyond these are a slip of the keyboard, and their arithmetic leaves what a date can hold."""


@dataclass(frozen=True)
class Period:
    """Days from `start` to `end`, both included."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start < EARLIEST or self.end > LATEST:
            raise Invalid(_("Choose days from {first} to {last}.").format(first=EARLIEST, last=LATEST))
        if self.end < self.start:
            raise Invalid(_("The period ends before it starts."))
        if self.days > MOST_DAYS:
            raise Invalid(_("A period has at most {n} days.").format(n=f"{MOST_DAYS:,}"))

    @property
    def days(self) -> int:
        """Length in days."""
        return (self.end - self.start).days + 1

    @property
    def before(self) -> Period:
        """The equally long period that ends the day before this one starts (cut at EARLIEST)."""
        day_before = max(self.start - timedelta(days=1), EARLIEST)
        return Period(max(self.start - timedelta(days=self.days), EARLIEST), day_before)

    @property
    def bucket(self) -> str:
        """What a chart of this period steps by: day up to 45 days, ISO week up to 400, else month."""
        return "day" if self.days <= 45 else "week" if self.days <= 400 else "month"

    @cached_property
    def bucket_of_days(self) -> list[date]:
        """For each day of the period the first day, within it, of its bucket."""
        starts: list[date] = []
        for n in range(self.days):
            day = self.start + timedelta(days=n)
            begins = n == 0 or {"day": True, "week": day.weekday() == 0, "month": day.day == 1}[self.bucket]
            starts.append(day if begins else starts[-1])
        return starts

    @cached_property
    def buckets(self) -> list[date]:
        """The first days of all buckets, in order."""
        return list(dict.fromkeys(self.bucket_of_days))


@dataclass(frozen=True)
class Figure:
    """A value of the period and of the one before; None is "not known", never zero."""

    value: Decimal | int | float | None
    before: Decimal | int | float | None = None
    of: int | None = None


@dataclass(frozen=True)
class Overview:
    """Everything the screen shows of one period, from one snapshot.

    `figures` by metric key. `series`: bucket (its first day), revenue, orders, new, active, before (revenue of the
    bucket in the same place of the period before; NaN where the data does not reach), basket. `stages`: stage,
    customers, revenue. `campaigns`: id, campaign, kind, starts_on, ends_on, reached, redeemers. `first_day` and
    `last_day` bound the data that the viewer may see, `data_since` is the first day of all data (what was before is not
    known); `waiting_since` is the oldest change the roll-ups do not hold yet (None: they are up to date).
    """

    period: Period
    currency: str
    figures: dict[str, Figure]
    other_currency_orders: int
    series: pd.DataFrame
    stages: pd.DataFrame
    campaigns: pd.DataFrame
    first_day: date | None
    last_day: date | None
    data_since: date | None
    waiting_since: datetime | None


def span(conn: Connection, *, viewer: Viewer) -> tuple[date | None, date | None]:
    """First and last day with orders that the viewer may see; (None, None) without any."""
    viewer.require(Permission.OVERVIEW_READ)
    day = schema.daily_sales.c.day
    # Two index look-ups; min and max in one select would read the whole range under a policy.
    first = select(day).order_by(day).limit(1).scalar_subquery()
    last = select(day).order_by(day.desc()).limit(1).scalar_subquery()
    row = conn.execute(select(first, last)).one()
    return row[0], row[1]


def overview(
    conn: Connection,
    *,
    viewer: Viewer,
    today: date,
    currency: str,
    start: date | None = None,
    end: date | None = None,
    region: str = "",
) -> Overview:
    """The overview of the days from `start` to `end` and of one region or all.

    By default all days with orders, at most the last MOST_DAYS of them. Raises Invalid for an impossible period.
    """
    viewer.require(Permission.OVERVIEW_READ)
    first_day, last_day = span(conn, viewer=viewer)
    period = _period(start, end, first_day or today, last_day or today)
    before = period.before
    data_since: date | None = conn.scalar(select(func.data_since()))
    comparable = data_since is not None and data_since <= before.start
    sales = _sales(conn, before.start, period.end, region)
    now = _totals(s for s in sales if s.day >= period.start)
    then = _totals(s for s in sales if s.day < period.start)
    whole = first_day is None or last_day is None or (period.start <= first_day and last_day <= period.end)
    summed = _summed(conn, today, region)
    stages, everybody = summed or (_stages(conn, today, region), None)
    people = (everybody or _all_people(conn, region)) if whole else _people(conn, period, region)
    figures = {
        "customers": Figure(int(stages["customers"].sum())),
        "active": Figure(people.active, people.active_before if comparable else None),
        "new": Figure(
            _new(now, period, data_since),
            _new(then, before, data_since) if comparable else None,
        ),
        "revenue": Figure(now.revenue[currency], then.revenue[currency] if comparable else None),
        "orders": Figure(now.orders.total(), then.orders.total() if comparable else None),
        "basket": Figure(_basket(now, currency), _basket(then, currency) if comparable else None, now.orders[currency]),
        "repeat_rate": Figure(
            _share(people.repeat, people.active),
            _share(people.repeat_before, people.active_before) if comparable else None,
            people.active,
        ),
        "retention": Figure(
            _share(people.returned, people.active_before) if comparable else None,
            None,
            people.active_before if comparable else None,
        ),
    }
    return Overview(
        period=period,
        currency=currency,
        figures=figures,
        other_currency_orders=now.orders.total() - now.orders[currency],
        series=_series(sales, period, currency, data_since, people.head),
        stages=stages,
        campaigns=_campaigns(conn, period, region),
        first_day=first_day,
        last_day=last_day,
        data_since=data_since,
        waiting_since=conn.scalar(select(func.waiting_since())),
    )


def known_from(data_since: date | None) -> date | None:
    """The day from which a first order tells that a customer is new."""
    return data_since + timedelta(days=NOT_KNOWN_DAYS) if data_since else None


def _period(start: date | None, end: date | None, first_day: date, last_day: date) -> Period:
    """What is not said is where the viewer's data begin and end; the longest period when that is too long."""
    chosen_end = end or max(last_day, start or last_day)
    longest = max(chosen_end, EARLIEST + timedelta(days=MOST_DAYS)) - timedelta(days=MOST_DAYS - 1)
    return Period(start or max(min(first_day, chosen_end), longest), chosen_end)


class _Sales(NamedTuple):
    """The roll-up of a day and currency; `first` counts the customers whose first order of the bucket it holds."""

    day: date
    currency: str
    orders: int
    revenue: Decimal
    new: int
    first_of_day: int
    first_of_week: int
    first_of_month: int


@dataclass
class _Totals:
    """Sums over days, by currency where money or its orders are meant."""

    revenue: defaultdict[str, Decimal]
    orders: Counter[str]
    new: int


@dataclass(frozen=True)
class _People:
    """Distinct customers of a period and of the one before; `head` are those of the period's first week or month."""

    active: int
    repeat: int
    active_before: int = 0
    repeat_before: int = 0
    returned: int = 0
    head: int | None = None


def _sales(conn: Connection, start: date, end: date, region: str) -> list[_Sales]:
    d = schema.daily_sales.c
    sums = (d.orders, d.revenue, d.new_customers, d.first_of_day, d.first_of_week, d.first_of_month)
    query = (
        select(d.day, d.currency, *(func.sum(column) for column in sums))
        .where(d.day.between(start, end), _of_region(d.region, region))
        .group_by(d.day, d.currency)
    )
    return [_Sales(*row) for row in conn.execute(query)]


def _totals(sales: Iterable[_Sales]) -> _Totals:
    found = _Totals(defaultdict(Decimal), Counter(), 0)
    for s in sales:
        found.revenue[s.currency] += s.revenue
        found.orders[s.currency] += s.orders
        found.new += s.new
    return found


def _of_region(column: ColumnElement[str], region: str) -> ColumnElement[bool]:
    return column == region if region else literal(True)


def _basket(totals: _Totals, currency: str) -> Decimal | None:
    orders = totals.orders[currency]
    return totals.revenue[currency] / orders if orders else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _new(totals: _Totals, period: Period, data_since: date | None) -> int | None:
    known = known_from(data_since)
    return totals.new if known is None or period.start >= known else None


def _all_people(conn: Connection, region: str) -> _People:
    """Of a period that holds every order the viewer may see: as the metrics count them, without reading one."""
    m = schema.customer_metrics.c
    counts = (func.count().filter(m.orders > 0), func.count().filter(m.orders > 1))
    active, repeat = conn.execute(_narrowed(select(*counts), m.customer_id, region)).one()
    return _People(active, repeat)


def _people(conn: Connection, period: Period, region: str) -> _People:
    """In one pass over the days of each customer's orders; the head too, as the roll-up counts from the start of a week
    or month.
    """
    d = schema.order_days.c
    head_ends = period.buckets[1] if len(period.buckets) > 1 else period.end + timedelta(days=1)

    def until(last: date) -> ColumnElement[int]:
        """Orders up to a day: the days are in order, so it is a binary search."""
        return func.width_bucket(literal(last, Date), d.days)

    one = timedelta(days=1)
    searches = select(
        until(period.before.start - one).label("earlier"),
        until(period.start - one).label("before"),
        until(head_ends - one).label("head"),
        until(period.end).label("whole"),
    )
    counted = (
        _narrowed(searches, d.customer_id, region)
        .offset(0)  # a fence: the searches are made once for each customer, not for each count
        .subquery()
        .c
    )
    each = (
        select(
            (counted.whole - counted.before).label("now"),
            (counted.before - counted.earlier).label("then"),
            (counted.head - counted.before).label("head"),
        )
        .subquery()
        .c
    )
    conditions = {
        "active": each.now > 0,
        "repeat": each.now > 1,
        "active_before": each.then > 0,
        "repeat_before": each.then > 1,
        "returned": and_(each.now > 0, each.then > 0),
        "head": each.head > 0,
    }
    row = conn.execute(select(*(func.count().filter(c).label(name) for name, c in conditions.items()))).one()
    return _People(**row._mapping)


def _narrowed(query: Select, customer_id: ColumnElement[int], region: str) -> Select:
    """The query, of a region's customers: joined, since of IN over a role's view PostgreSQL always expects 200 rows."""
    c = schema.customers.c
    return query.join(schema.customers, c.id == customer_id).where(c.region == region) if region else query


def _series(
    sales: list[_Sales], period: Period, currency: str, data_since: date | None, head: int | None
) -> pd.DataFrame:
    """One row for each bucket of the period; days without orders are zeros, not gaps."""
    known, length = known_from(data_since) or date.min, timedelta(days=period.days)
    places = {start: i for i, start in enumerate(period.buckets)}
    rows: list[dict[str, Any]] = [
        {"bucket": start, "revenue": 0.0, "orders": 0, "own": 0, "new": 0.0, "active": 0, "before": 0.0}
        for start in period.buckets
    ]
    of_day = [rows[places[start]] for start in period.bucket_of_days]
    for i, row in enumerate(of_day):
        day = period.start + timedelta(days=i)
        if day < known:
            row["new"] = math.nan
        if data_since is None or day - length < data_since:
            row["before"] = math.nan
    first_of = f"first_of_{period.bucket}"
    for s in sales:
        own = float(s.revenue) if s.currency == currency else 0.0
        if s.day < period.start:
            of_day[(s.day + length - period.start).days]["before"] += own
            continue
        row = of_day[(s.day - period.start).days]
        row["revenue"] += own
        row["orders"] += s.orders
        row["own"] += s.orders if s.currency == currency else 0
        row["new"] += s.new
        row["active"] += getattr(s, first_of)
    if head is not None:
        rows[0]["active"] = head
    for row in rows:
        row["basket"] = row["revenue"] / row["own"] if row["own"] else math.nan
    return pd.DataFrame(rows)[["bucket", "revenue", "orders", "new", "active", "before", "basket"]]


def _summed(conn: Connection, today: date, region: str) -> tuple[pd.DataFrame, _People] | None:
    """The stages and all buyers from their sums; None where these are of another day or by other rules, or missing."""
    s = schema.stage_sums.c
    rows = conn.execute(
        select(
            s.stage,
            func.sum(s.customers).label("customers"),
            func.sum(s.revenue).label("revenue"),
            func.sum(s.buyers).label("buyers"),
            func.sum(s.repeat_buyers).label("repeat"),
            func.bool_and(and_(s.as_of == today, s.rules == number_in_force())).label("of_today"),
        )
        .where(_of_region(s.region, region))
        .group_by(s.stage)
    ).all()
    if not rows or not all(row.of_today for row in rows):
        return None
    people = _People(sum(row.buyers for row in rows), sum(row.repeat for row in rows))
    return _framed({row.stage: row for row in rows}), people


def _stages(conn: Connection, today: date, region: str) -> pd.DataFrame:
    c, m = schema.customers.c, schema.customer_metrics.c
    stage = stage_column(today).label("stage")
    rows = conn.execute(
        select(stage, func.count().label("customers"), func.coalesce(func.sum(m.revenue), 0).label("revenue"))
        .select_from(schema.customers.outerjoin(schema.customer_metrics, m.customer_id == c.id))
        .where(c.archived_at.is_(None), _of_region(c.region, region))
        .group_by(stage)
    )
    return _framed({row.stage: row for row in rows})


def _framed(found: dict[str, Any]) -> pd.DataFrame:
    """All stages in order, those that nobody is in too."""
    return pd.DataFrame(
        [
            {
                "stage": s.value,
                "customers": found[s.value].customers if s.value in found else 0,
                "revenue": found[s.value].revenue if s.value in found else Decimal(0),
            }
            for s in Stage
        ]
    )


def _campaigns(conn: Connection, period: Period, region: str) -> pd.DataFrame:
    """Campaigns that ran on the last day of the period, with what the viewer may see of their members until then."""
    c, m = schema.campaigns.c, schema.campaign_members.c
    rows = conn.execute(
        select(c.id, c.name.label("campaign"), c.kind, c.starts_on, c.ends_on)
        .where(c.starts_on <= period.end, c.ends_on >= period.end)
        .order_by(c.starts_on.desc(), c.id.desc())
    )
    running = pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))
    # By the numbers of these few: joined, the plan would go through the members of every campaign.
    counted = (
        select(m.campaign_id, func.count(), func.count(case((m.first_redeemed_on <= period.end, 1))))
        .where(m.campaign_id.in_([int(i) for i in running["id"]]), m.received_on <= period.end)
        .group_by(m.campaign_id)
    )
    counts = conn.execute(_narrowed(counted, m.customer_id, region))
    found = {campaign_id: (reached, redeemers) for campaign_id, reached, redeemers in counts}
    for i, name in enumerate(("reached", "redeemers")):
        running[name] = [found.get(campaign_id, (0, 0))[i] for campaign_id in running["id"]]
    return running
