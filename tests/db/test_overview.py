"""The overview: every figure of small data counted by hand, and of random data counted the slow way."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, text

from db import clock, connection, derived, schema
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid
from db.metrics import METRICS, NOT_KNOWN_DAYS
from db.overview import MOST_DAYS, Overview, Period, known_from, overview, span
from db.permissions import WORKER, Viewer
from tests import conftest, make

TODAY = date(2026, 4, 10)
MARCH = {"start": date(2026, 3, 1), "end": date(2026, 3, 31)}


def on(month: int, day: int) -> date:
    return date(2026, month, day)


# Whose, where, orders: day, amount, currency.
USD, EUR = "USD", "EUR"
CUSTOMERS: dict[str, tuple[str, str, list[tuple[date, str, str]]]] = {
    "A": (
        "ann",
        "East",
        [(on(1, 5), "10", USD), (on(3, 2), "20", USD), (on(3, 10), "30", USD), (on(3, 30), "40", USD)],
    ),
    "B": ("ann", "North", [(on(3, 1), "5", USD), (on(3, 31), "5", USD)]),
    "C": ("bo", "East", [(on(2, 10), "100", USD)]),
    "D": ("bo", "East", [(on(3, 15), "7", EUR), (on(3, 16), "3", USD)]),
    "E": ("cho", "", [(on(1, 1), "1", USD)]),
    "F": ("ann", "East", []),
    "G": ("ann", "East", [(on(3, 5), "11", USD)]),  # archived: what was sold stays sold
}


@dataclass(frozen=True)
class Data:
    """The people, and what the overview said while the database was empty and while it held one order."""

    people: make.People
    empty: Overview
    single: Overview


def seen(viewer: Viewer, *, today: date = TODAY, **options: Any) -> Overview:
    with begin(viewer) as conn:
        return overview(conn, viewer=viewer, today=today, currency="USD", **options)


def rebuilt() -> None:
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    name = f"overview_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        empty = seen(people.root)
        with connection.begin_owner() as conn:
            make.order(conn, make.customer(conn, people.ann.user_id), TODAY, "9.99")
        rebuilt()
        single = seen(people.ann)
        with connection.begin_owner() as conn:
            conn.execute(text("TRUNCATE orders, customers, customer_metrics, daily_sales CASCADE"))
            _fill(conn, people)
        rebuilt()
        yield Data(people, empty, single)


def _fill(conn: Connection, people: make.People) -> None:
    ids = {}
    for name, (owner, region, orders) in CUSTOMERS.items():
        archived = clock.now() if name == "G" else None
        owner_id = getattr(people, owner).user_id
        ids[name] = make.customer(conn, owner_id, name=name, region=region, archived_at=archived)
        for day, amount, currency in orders:
            make.order(conn, ids[name], day, amount, currency=currency)
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    campaigns = {
        name: conn.scalar(
            insert(schema.campaigns)
            .values(name=name, kind="A", starts_on=starts, ends_on=ends, **stamps)
            .returning(schema.campaigns.c.id)
        )
        for name, starts, ends in (
            ("Spring", on(3, 1), on(4, 30)),
            ("Ended", on(3, 1), on(3, 30)),
            ("Later", on(4, 1), on(4, 30)),
            ("Last day", on(2, 1), on(3, 31)),
        )
    }
    for who, received, redeemed in (("A", on(3, 2), on(3, 10)), ("C", on(3, 5), on(4, 2)), ("B", on(4, 5), None)):
        member = {"customer_id": ids[who], "campaign_id": campaigns["Spring"], "received_on": received}
        conn.execute(insert(schema.campaign_members).values(**member, first_redeemed_on=redeemed))


def figures(found: Overview) -> dict[str, tuple[Any, Any, int | None]]:
    return {key: (f.value, f.before, f.of) for key, f in found.figures.items()}


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_every_figure_of_march(data: Data) -> None:
    """Before is 29 January to 28 February; the data begin on 1 January, so that new is known from 29 January."""
    found = seen(data.people.root, **MARCH)
    assert found.period.before == Period(on(1, 29), on(2, 28))
    assert figures(found) == {
        "customers": (6, None, None),
        "active": (4, 1, None),  # A B D G, before C
        "new": (3, 1, None),  # B D G, before C
        "revenue": (Decimal(114), Decimal(100), None),  # 90 + 10 + 3 + 11
        "orders": (8, 1, None),
        "basket": (Decimal(114) / 7, Decimal(100), 7),  # the order in euros is in neither part
        "repeat_rate": (0.75, 0.0, 4),  # A B D of four
        "retention": (0.0, None, 1),  # C did not return
    }
    assert found.figures.keys() == METRICS.keys()
    assert (found.other_currency_orders, found.currency) == (1, "USD")
    assert (found.first_day, found.last_day, found.data_since) == (on(1, 1), on(3, 31), on(1, 1))
    assert found.waiting_since is None


def test_one_region_alone(data: Data) -> None:
    found = seen(data.people.root, **MARCH, region="East")
    assert figures(found) == {
        "customers": (4, None, None),  # A C D F
        "active": (3, 1, None),  # A D G
        "new": (2, 1, None),
        "revenue": (Decimal(104), Decimal(100), None),
        "orders": (6, 1, None),
        "basket": (Decimal(104) / 5, Decimal(100), 5),
        "repeat_rate": (2 / 3, 0.0, 3),
        "retention": (0.0, None, 1),
    }
    assert found.campaigns.set_index("campaign").loc["Spring", ["reached", "redeemers"]].tolist() == [2, 1]
    nowhere = seen(data.people.root, **MARCH, region="' OR true --")
    assert figures(nowhere)["active"] == (0, 0, None)
    assert figures(nowhere)["basket"] == (None, None, 0)
    assert figures(nowhere)["repeat_rate"] == (None, None, 0)
    assert figures(nowhere)["retention"] == (None, None, 0)


def test_each_viewer_counts_their_own(data: Data) -> None:
    people = data.people
    of_ann = figures(seen(people.ann, **MARCH))
    assert of_ann["customers"][0] == 3
    assert of_ann["active"][:2] == (3, 0)
    assert of_ann["revenue"][:2] == (Decimal(111), Decimal(0))
    # Bo's own first order is of February; that the data began in January makes all before it known.
    of_bo = figures(seen(people.bo, **MARCH))
    assert (of_bo["active"], of_bo["new"], of_bo["retention"]) == ((1, 1, None), (1, 1, None), (0.0, None, 1))
    assert figures(seen(people.mia, **MARCH))["revenue"][0] == Decimal(114)
    of_cho = seen(people.cho)
    assert of_cho.period == Period(on(1, 1), on(1, 1))
    assert figures(of_cho)["active"] == (1, None, None)
    assert figures(of_cho)["new"] == (None, None, None)  # it is the first day of all data
    for viewer in (people.ana, people.mark, people.root):
        assert figures(seen(viewer, **MARCH)) == figures(seen(people.root, **MARCH))
    assert seen(people.ann, **MARCH).campaigns["reached"].tolist() == [1, 0]
    with begin(people.ann) as conn:
        assert span(conn, viewer=people.ann) == (on(1, 5), on(3, 31))


def test_stages_by_the_day_of_the_last_order(data: Data) -> None:
    """On 10 April: 30 days ago is 11 March, 90 days ago is 10 January."""
    stages = seen(data.people.root, **MARCH).stages
    assert stages.values.tolist() == [
        ["prospect", 1, Decimal(0)],  # F
        ["first", 0, Decimal(0)],
        ["repeat", 3, Decimal(113)],  # A B D
        ["loyal", 0, Decimal(0)],
        ["at_risk", 1, Decimal(100)],  # C
        ["lost", 1, Decimal(1)],  # E
    ]


def test_campaigns_that_run_on_the_last_day(data: Data) -> None:
    found = seen(data.people.root, **MARCH).campaigns
    assert list(found.columns) == ["id", "campaign", "kind", "starts_on", "ends_on", "reached", "redeemers"]
    # B received it after the period, C redeemed it after the period.
    assert found[["campaign", "reached", "redeemers"]].values.tolist() == [["Spring", 2, 1], ["Last day", 0, 0]]


def test_days_of_a_month(data: Data) -> None:
    series = seen(data.people.root, **MARCH).series
    assert list(series.columns) == ["bucket", "revenue", "orders", "new", "active", "before", "basket"]
    assert series["bucket"].tolist() == [on(3, day) for day in range(1, 32)]
    days = series.set_index("bucket")
    assert days.loc[on(3, 5), ["revenue", "orders", "new", "active", "before", "basket"]].tolist() == [
        11,
        1,
        1,
        1,
        0,
        11,
    ]
    assert days.loc[on(3, 13), "before"] == 100  # 31 days after 10 February
    euros = days.loc[on(3, 15)]
    assert (euros["revenue"], euros["orders"], euros["new"], euros["active"]) == (0, 1, 1, 1)
    assert math.isnan(euros["basket"])
    assert days.loc[on(3, 4), ["revenue", "orders", "new", "active"]].tolist() == [0, 0, 0, 0]
    assert (series["revenue"].sum(), series["orders"].sum(), series["new"].sum()) == (114, 8, 3)


def test_weeks_are_iso_weeks_cut_at_the_periods_edges(data: Data) -> None:
    found = seen(data.people.root, start=on(1, 1), end=on(3, 31))
    series = found.series
    assert series["bucket"].tolist() == [on(1, 1), *(on(1, 5) + timedelta(weeks=n) for n in range(13))]
    assert [b.weekday() for b in series["bucket"][1:]] == [0] * 13
    weeks = series.set_index("bucket")
    assert weeks.loc[on(1, 1), "revenue"] == 1  # Thursday to Sunday
    assert weeks.loc[on(3, 30), ["revenue", "orders", "active"]].tolist() == [45, 2, 2]
    assert weeks.loc[on(3, 9), ["orders", "active"]].tolist() == [2, 2]
    # Not known until every day of the week is.
    assert series["new"].isna().tolist() == [True] * 5 + [False] * 9
    assert series["before"].isna().all()
    assert [f.before for f in found.figures.values()] == [None] * 8
    assert found.figures["retention"].value is None
    assert found.figures["new"].value is None
    years = seen(data.people.root, start=date(2026, 12, 1), end=date(2027, 1, 20)).series["bucket"].tolist()
    assert years[4:7] == [date(2026, 12, 28), date(2027, 1, 4), date(2027, 1, 11)]


def test_months_of_a_long_period(data: Data) -> None:
    series = seen(data.people.root, start=date(2025, 2, 10), end=on(3, 31)).series
    assert series["bucket"].tolist()[:2] == [date(2025, 2, 10), date(2025, 3, 1)]
    assert len(series) == 14
    assert series["revenue"].tolist()[-3:] == [11, 100, 114]
    assert series["active"].tolist()[-3:] == [2, 1, 4]


def test_what_changed_and_is_not_counted_yet_is_told(data: Data) -> None:
    with begin(WORKER, write=True) as conn:
        conn.execute(insert(schema.touched_customers).values(customer_id=1, touched_at=clock.now()))
    try:
        for viewer in data.people.everyone:
            assert seen(viewer, **MARCH).waiting_since == clock.now()
    finally:
        with begin(WORKER, write=True) as conn:
            conn.execute(schema.touched_customers.delete())


# --- nothing, one, and impossible periods ----------------------------------------------------------------------------


def test_an_empty_database(data: Data) -> None:
    found = data.empty
    assert (found.first_day, found.last_day, found.data_since) == (None, None, None)
    assert found.period == Period(TODAY, TODAY)
    assert figures(found) == {
        "customers": (0, None, None),
        "active": (0, None, None),
        "new": (0, None, None),
        "revenue": (Decimal(0), None, None),
        "orders": (0, None, None),
        "basket": (None, None, 0),
        "repeat_rate": (None, None, 0),
        "retention": (None, None, None),
    }
    assert found.series[["bucket", "revenue", "orders", "new", "active"]].values.tolist() == [[TODAY, 0, 0, 0, 0]]
    assert found.series[["before", "basket"]].isna().all(axis=None)
    assert found.stages["customers"].tolist() == [0] * 6
    assert found.campaigns.empty
    assert known_from(None) is None


def test_a_single_order(data: Data) -> None:
    found = data.single
    assert found.period == Period(TODAY, TODAY)
    known = {k: v[0] for k, v in figures(found).items()}
    assert known == {
        "customers": 1,
        "active": 1,
        "new": None,
        "revenue": Decimal("9.99"),
        "orders": 1,
        "basket": Decimal("9.99"),
        "repeat_rate": 0.0,
        "retention": None,
    }
    assert len(found.series) == 1
    assert math.isnan(found.series["new"][0])
    assert known_from(TODAY) == TODAY + timedelta(days=NOT_KNOWN_DAYS)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (on(3, 2), on(3, 1), "ends before it starts"),
        (date(2000, 1, 1), date(2000, 1, 1) + timedelta(days=MOST_DAYS), "at most 3,660 days"),
        (date.min, date.min + timedelta(days=3), "Choose days from 1900-01-01 to 2199-12-31"),
        (date.max - timedelta(days=3), date.max, "Choose days from"),
        (date(1, 1, 1), on(3, 1), "Choose days from"),
    ],
)
def test_impossible_periods_are_a_sentence(data: Data, start: date, end: date, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        seen(data.people.root, start=start, end=end)


def test_periods_at_the_edge_of_what_is_possible(data: Data) -> None:
    root = data.people.root
    for start, end in (
        (date(1900, 1, 1), date(1900, 1, 3)),
        (date(2199, 12, 30), date(2199, 12, 31)),
        (on(3, 31) - timedelta(days=MOST_DAYS - 1), on(3, 31)),
        (date(2028, 2, 29), date(2028, 2, 29)),
    ):
        found = seen(root, start=start, end=end)
        assert found.period == Period(start, end)
        assert found.series["bucket"].tolist()[0] == start
    # What is left out is where the data begin and end.
    assert seen(root).period == Period(on(1, 1), on(3, 31))
    assert seen(root, start=on(3, 1)).period == Period(on(3, 1), on(3, 31))
    assert seen(root, end=on(2, 1)).period == Period(on(1, 1), on(2, 1))
    assert seen(root, start=on(5, 1)).period == Period(on(5, 1), on(5, 1))
    assert seen(root, end=date(2025, 5, 1)).period == Period(date(2025, 5, 1), date(2025, 5, 1))
    assert seen(root, end=date(2199, 12, 31)).period.days == MOST_DAYS


def test_buckets_by_length() -> None:
    for days, bucket in ((1, "day"), (45, "day"), (46, "week"), (400, "week"), (401, "month"), (MOST_DAYS, "month")):
        assert Period(on(1, 1), on(1, 1) + timedelta(days=days - 1)).bucket == bucket


def test_few_statements(data: Data) -> None:
    statements: list[str] = []
    event.listen(connection.engine(), "before_cursor_execute", lambda *a: statements.append(a[2]))
    for viewer in (data.people.ann, data.people.root):
        with begin(viewer) as conn:
            statements.clear()
            overview(conn, viewer=viewer, today=TODAY, currency="USD", **MARCH)  # type: ignore[arg-type]
            assert len(statements) <= 12


# --- the slow way ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """One order as the slow count sees it."""

    customer: int
    owner: int
    region: str
    day: date
    amount: Decimal
    currency: str


def slowly(orders: list[Order], found: Overview, since: date) -> dict[str, Any]:
    """The figures and series of a viewer's orders, counted one by one."""
    period, before = found.period, found.period.before
    now = [o for o in orders if period.start <= o.day <= period.end]
    then = [o for o in orders if before.start <= o.day <= before.end]
    first = {c: min(o.day for o in orders if o.customer == c) for c in {o.customer for o in orders}}
    comparable = since <= before.start
    own = [o for o in now if o.currency == "USD"]
    customers = {o.customer for o in now}
    repeated = {c for c in customers if sum(o.customer == c for o in now) > 1}
    earlier = {o.customer for o in then}
    known = since + timedelta(days=NOT_KNOWN_DAYS)
    buckets: dict[date, list[Order]] = {}
    for bucket, following in zip(found.series["bucket"], [*found.series["bucket"][1:], date.max], strict=True):
        buckets[bucket] = [o for o in now if bucket <= o.day < following]
    return {
        "active": len(customers),
        "new": len([c for c in first if period.start <= first[c] <= period.end]) if period.start >= known else None,
        "revenue": sum((o.amount for o in own), Decimal(0)),
        "orders": len(now),
        "basket": sum(o.amount for o in own) / len(own) if own else None,
        "repeat_rate": len(repeated) / len(customers) if customers else None,
        "retention": len(earlier & customers) / len(earlier) if earlier and comparable else None,
        "series": [
            (b, sum(float(o.amount) for o in os if o.currency == "USD"), len(os), len({o.customer for o in os}))
            for b, os in buckets.items()
        ],
    }


def test_random_data_in_random_periods_is_counted_as_one_would_by_hand(data: Data) -> None:
    rng = random.Random(26)
    people = data.people
    first = date(2024, 1, 1)
    orders: list[Order] = []
    with connection.begin_owner() as conn:
        conn.execute(text("TRUNCATE orders, customers, customer_metrics, daily_sales, campaign_members CASCADE"))
        for _n in range(40):
            owner, region = rng.choice([people.ann, people.bo, people.cho]).user_id, rng.choice(["", "East", "North"])
            customer_id = make.customer(conn, owner, region=region)
            for _m in range(rng.choice([0, 1, 2, 5, 12])):
                day = first + timedelta(days=int(rng.triangular(0, 800, 700)))
                amount, currency = f"{rng.uniform(-5, 90):.2f}", rng.choice(["USD", "USD", "USD", "EUR"])
                make.order(conn, customer_id, day, amount, currency=currency, hour=rng.randrange(24))
                orders.append(Order(customer_id, owner, region, day, Decimal(amount), currency))
    rebuilt()
    since = min(o.day for o in orders)
    for _n in range(60):
        start = first + timedelta(days=rng.randrange(-100, 850))
        length = rng.choice([1, 2, 7, 30, 45, 46, 100, 365, 400, 401, 700])
        viewer, region = rng.choice([people.ann, people.mia, people.root, people.ana]), rng.choice(["", "", "East"])
        found = seen(viewer, start=start, end=start + timedelta(days=length - 1), region=region)
        mine = [o for o in orders if (not viewer.scoped or o.owner in viewer.owner_ids) and region in ("", o.region)]
        wanted = slowly(mine, found, since)
        series = found.series[["bucket", "revenue", "orders", "active"]].itertuples(index=False, name=None)
        for (b, revenue, n, active), (bucket, slow_revenue, *counts) in zip(series, wanted.pop("series"), strict=True):
            assert (b, n, active) == (bucket, *counts)
            assert revenue == pytest.approx(slow_revenue)
        assert {key: found.figures[key].value for key in wanted} == pytest.approx(wanted), (
            viewer.username,
            start,
            length,
        )
    with connection.begin_owner() as conn:
        assert conn.scalar(select(text("count(*)")).select_from(schema.orders)) == len(orders)
