"""The figures of a period against the equally long period before it, from the daily roll-up and the orders' days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import pandas as pd
from sqlalchemy import ARRAY, ColumnElement, Connection, Date, Integer, and_, case, func, literal, select, type_coerce

from db import schema
from db.errors import Invalid
from db.metrics import NOT_KNOWN_DAYS, Stage, stage_column
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
    daily = _daily(conn, before.start, period.end, region)
    currencies = daily[daily["currency"] != currency]
    own = daily[daily["currency"] == currency]
    now, then = _within(own, period), _within(own, before)
    days = pd.date_range(period.start, period.end, freq="D")
    bucket_of = _bucket_of(days, period)
    people, active = _people(conn, period, before, region, sorted(set(bucket_of)))
    figures = {
        "customers": Figure(_customers(conn, region)),
        "active": Figure(people["active"], people["active_before"] if comparable else None),
        "new": Figure(
            _new(_within(daily, period), period, data_since),
            _new(_within(daily, before), before, data_since) if comparable else None,
        ),
        "revenue": Figure(_sum(now, "revenue"), _sum(then, "revenue") if comparable else None),
        "orders": Figure(
            int(_within(daily, period)["orders"].sum()),
            int(_within(daily, before)["orders"].sum()) if comparable else None,
        ),
        "basket": Figure(_ratio(now), _ratio(then) if comparable else None, int(now["orders"].sum())),
        "repeat_rate": Figure(
            _share(people["repeat"], people["active"]),
            _share(people["repeat_before"], people["active_before"]) if comparable else None,
            people["active"],
        ),
        "retention": Figure(
            _share(people["returned"], people["active_before"]) if comparable else None,
            None,
            people["active_before"] if comparable else None,
        ),
    }
    return Overview(
        period=period,
        currency=currency,
        figures=figures,
        other_currency_orders=int(_within(currencies, period)["orders"].sum()),
        series=_series(daily, own, period, data_since, pd.DataFrame({"day": days.date, "bucket": bucket_of}), active),
        stages=_stages(conn, today, region),
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


def _daily(conn: Connection, start: date, end: date, region: str) -> pd.DataFrame:
    d = schema.daily_sales.c
    query = (
        select(
            d.day,
            d.currency,
            func.sum(d.orders).label("orders"),
            func.sum(d.revenue).label("revenue"),
            func.sum(d.new_customers).label("new"),
        )
        .where(d.day.between(start, end), _of_region(d.region, region))
        .group_by(d.day, d.currency)
        .order_by(d.day)
    )
    rows = conn.execute(query)
    frame = pd.DataFrame(rows.fetchall(), columns=["day", "currency", "orders", "revenue", "new"])
    return frame.astype({"orders": "int64", "new": "int64"})


def _of_region(column: ColumnElement[str], region: str) -> ColumnElement[bool]:
    return column == region if region else literal(True)


def _within(frame: pd.DataFrame, period: Period) -> pd.DataFrame:
    return frame[(frame["day"] >= period.start) & (frame["day"] <= period.end)]


def _sum(frame: pd.DataFrame, column: str) -> Decimal:
    return sum(frame[column], Decimal(0))


def _ratio(frame: pd.DataFrame) -> Decimal | None:
    orders = int(frame["orders"].sum())
    return _sum(frame, "revenue") / orders if orders else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _new(frame: pd.DataFrame, period: Period, data_since: date | None) -> int | None:
    known = known_from(data_since)
    return int(frame["new"].sum()) if known is None or period.start >= known else None


def _people(
    conn: Connection, period: Period, before: Period, region: str, buckets: list[date]
) -> tuple[dict[str, int], dict[date, int]]:
    """Distinct customers of both periods, and of each bucket, in one pass over the orders' days.

    The counts are active, with two orders, both also of the period before, and returned (active in both).
    """
    o = schema.orders.c
    bucket = case((o.placed_on < period.start, 0), else_=_place(o.placed_on, period, buckets))  # 0: the period before
    once = (
        select(o.customer_id, bucket.label("bucket"), func.count().label("n"))
        .where(o.placed_on.between(before.start, period.end), _in_region(o.customer_id, region))
        .group_by(o.customer_id, bucket)
        .cte("once")
    )
    in_period = func.coalesce(func.sum(once.c.n).filter(once.c.bucket > 0), 0).label("now")
    in_before = func.coalesce(func.sum(once.c.n).filter(once.c.bucket == 0), 0).label("before")
    each = select(in_period, in_before).group_by(once.c.customer_id).subquery()
    now, then = each.c.now, each.c.before
    counts = {
        "active": now > 0,
        "repeat": now > 1,
        "active_before": then > 0,
        "repeat_before": then > 1,
        "returned": and_(now > 0, then > 0),
    }
    both = select(literal(0).label("bucket"), *(func.count().filter(c) for c in counts.values())).select_from(each)
    active = select(once.c.bucket, func.count(), *(literal(0) for _c in range(4))).where(once.c.bucket > 0)
    rows = {row[0]: row[1:] for row in conn.execute(both.union_all(active.group_by(once.c.bucket)))}
    people = dict(zip(counts, rows.pop(0), strict=True))
    return people, {buckets[i - 1]: row[0] for i, row in rows.items()}


def _place(day: ColumnElement[date], period: Period, buckets: list[date]) -> ColumnElement[int]:
    """The number, from 1, of the bucket that a day of the period lies in; plain arithmetic where the steps are even."""
    if period.bucket == "month":
        return func.width_bucket(day, literal(buckets, ARRAY(Date)))
    step = 7 if period.bucket == "week" else 1
    first = period.start - timedelta(days=period.start.weekday() if step == 7 else 0)
    return type_coerce(day - literal(first, Date), Integer) // step + 1


def _in_region(customer_id: ColumnElement[int], region: str) -> ColumnElement[bool]:
    c = schema.customers.c
    return customer_id.in_(select(c.id).where(c.region == region)) if region else literal(True)


def _customers(conn: Connection, region: str) -> int:
    c = schema.customers.c
    query = select(func.count()).select_from(schema.customers)
    return conn.scalar(query.where(c.archived_at.is_(None), _of_region(c.region, region))) or 0


def _series(
    daily: pd.DataFrame,
    own: pd.DataFrame,
    period: Period,
    data_since: date | None,
    frame: pd.DataFrame,
    active: dict[date, int],
) -> pd.DataFrame:
    """One row for each bucket of the period; days without orders are zeros, not gaps."""
    frame["orders"] = _on_days(frame["day"], daily, "orders")
    frame["new"] = _on_days(frame["day"], daily, "new")
    frame["revenue"] = _on_days(frame["day"], own, "revenue")
    frame["own_orders"] = _on_days(frame["day"], own, "orders")
    shifted = frame["day"] - timedelta(days=period.days)
    reached = data_since or date.max
    frame["before"] = _on_days(shifted, own, "revenue").where(pd.Series([day >= reached for day in shifted]))
    known = known_from(data_since) or date.min
    frame["new"] = frame["new"].where(pd.Series([day >= known for day in frame["day"]]))
    summed = frame.groupby("bucket")[["revenue", "orders", "own_orders", "new", "before"]].sum(skipna=False)
    summed["active"] = [active.get(bucket, 0) for bucket in summed.index]
    summed["basket"] = summed["revenue"] / summed["own_orders"].where(summed["own_orders"] > 0)
    whole = summed.astype({"orders": "int64", "active": "int64"}).reset_index()
    return whole[["bucket", "revenue", "orders", "new", "active", "before", "basket"]]


def _on_days(days: pd.Series, daily: pd.DataFrame, column: str) -> pd.Series:
    """The column's sum on each of the days, as float; zero on those without a row."""
    sums = daily.groupby("day")[column].sum().to_dict()
    return pd.Series([float(sums.get(day, 0)) for day in days], index=days.index)


def _bucket_of(days: pd.DatetimeIndex, period: Period) -> list[date]:
    """The first day of each day's bucket that lies in the period."""
    if period.bucket == "day":
        return list(days.date)
    freq = "W-SUN" if period.bucket == "week" else "M"
    return [max(start, period.start) for start in days.to_period(freq).start_time.date]


def _stages(conn: Connection, today: date, region: str) -> pd.DataFrame:
    c, m = schema.customers.c, schema.customer_metrics.c
    stage = stage_column(today).label("stage")
    rows = conn.execute(
        select(stage, func.count().label("customers"), func.coalesce(func.sum(m.revenue), 0).label("revenue"))
        .select_from(schema.customers.outerjoin(schema.customer_metrics, m.customer_id == c.id))
        .where(c.archived_at.is_(None), _of_region(c.region, region))
        .group_by(stage)
    )
    found = {row.stage: row for row in rows}
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
    redeemed = case((m.first_redeemed_on <= period.end, 1))
    members = and_(m.campaign_id == c.id, m.received_on <= period.end, _in_region(m.customer_id, region))
    rows = conn.execute(
        select(
            c.id,
            c.name.label("campaign"),
            c.kind,
            c.starts_on,
            c.ends_on,
            func.count(m.id).label("reached"),
            func.count(redeemed).label("redeemers"),
        )
        .select_from(schema.campaigns.outerjoin(schema.campaign_members, members))
        .where(c.starts_on <= period.end, c.ends_on >= period.end)
        .group_by(c.id)
        .order_by(c.starts_on.desc(), c.id.desc())
    )
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))
