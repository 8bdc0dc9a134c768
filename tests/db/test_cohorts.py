"""Cohorts: the sums that the worker keeps, a segment's from its members, the people behind a cell, and rights."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from db import clock, cohorts, connection, derived, rules, schema, segments
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, Refused
from db.explorer import last_of, month_before, narrowed, of_cohort, of_unknown
from db.permissions import WORKER, Viewer
from tests import conftest, make

TODAY = date(2026, 11, 20)
SEP, OCT, NOV = date(2026, 9, 1), date(2026, 10, 1), date(2026, 11, 1)
EVERYONE = '{"all":[]}'


@pytest.fixture
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"cohorts_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def refreshed() -> None:
    with begin(WORKER, write=True) as conn:
        while derived.refresh(conn):
            pass
        assert derived.check(conn) == derived.Drift((), (), 0)


def touched(conn: Connection, *ids: int) -> None:
    conn.execute(insert(schema.touched_customers), [{"customer_id": i, "touched_at": clock.now()} for i in ids])
    for i in ids:
        make.kept(conn, i)


def asked(viewer: Viewer, **question: Any) -> cohorts.Cohorts:
    with begin(viewer) as conn:
        return cohorts.cohorts(conn, viewer=viewer, today=TODAY, **question)


def cells(found: cohorts.Cohorts) -> dict[tuple[date, date], tuple[int, int, Decimal]]:
    return {
        (row.cohort, row.month): (row.customers, row.orders, Decimal(str(row.revenue)))
        for row in found.rows.itertuples()
    }


def company(people: make.People) -> dict[str, int]:
    """Data begin on 20 July: first purchases are known from 17 August on, hence all those of a month from September on.

    Old (Ann) bought in July and in October; Ann's S1 and S2 first in September, Bo's S3 too, Cho's O1 in October;
    Z in September, archived.
    """
    owners = {"old": "ann", "S1": "ann", "S2": "ann", "S3": "bo", "O1": "cho", "Z": "ann", "none": "ann"}
    bought = {
        "old": ((date(2026, 7, 20), "1"), (date(2026, 10, 3), "2")),
        "S1": ((date(2026, 9, 1), "10"), (date(2026, 9, 30), "5.50"), (date(2026, 11, 1), "20")),
        "S2": ((date(2026, 9, 15), "4"),),
        "S3": ((date(2026, 9, 2), "7"), (date(2026, 10, 31), "8")),
        "O1": ((date(2026, 10, 9), "3"), (date(2026, 11, 19), "3"), (date(2026, 11, 19), "4")),
        "Z": ((date(2026, 9, 3), "99"),),
    }
    ids = {}
    with connection.begin_owner() as conn:
        for name, owner in owners.items():
            put_away = clock.now() if name == "Z" else None
            region = "West" if name in ("S2", "S3") else "East"
            ids[name] = make.customer(
                conn, getattr(people, owner).user_id, name=name, region=region, archived_at=put_away
            )
        for name, orders in bought.items():
            for day, amount in orders:
                make.order(conn, ids[name], day, amount)
        make.order(conn, ids["S2"], date(2026, 10, 2), "50", currency="EUR")  # counted as an order, never as revenue
        touched(conn, *ids.values())
    refreshed()
    return ids


def test_each_cell_holds_who_bought_in_that_month_with_their_orders_and_revenue(people: make.People) -> None:
    company(people)
    found = asked(people.root)
    assert cells(found) == {
        (SEP, SEP): (3, 4, Decimal("26.5")),  # S1 twice, S2, S3; Z is archived
        (SEP, OCT): (2, 2, Decimal("8.0")),  # S2 in euros, S3
        (SEP, NOV): (1, 1, Decimal("20.0")),
        (OCT, OCT): (1, 1, Decimal("3.0")),
        (OCT, NOV): (1, 2, Decimal("7.0")),
    }
    assert found.first_known == SEP  # August began before 17 August; old's first purchase lies in July
    assert found.months == (SEP, OCT, NOV)
    assert found.unknown == 1
    assert asked(people.root, months=2).months == (OCT, NOV)
    assert asked(people.root, months=2).unknown == 0


def test_everybody_sees_the_cohorts_of_their_own_customers(people: make.People) -> None:
    company(people)
    sizes = {
        name: {c: n for (c, m), (n, _o, _r) in cells(asked(getattr(people, name))).items() if c == m}
        for name in ("ann", "bo", "cho", "mia", "max", "ana", "mark")
    }
    assert sizes == {
        "ann": {SEP: 2},
        "bo": {SEP: 1},
        "cho": {OCT: 1},
        "mia": {SEP: 3},
        "max": {OCT: 1},
        "ana": {SEP: 3, OCT: 1},
        "mark": {SEP: 3, OCT: 1},
    }
    with pytest.raises(Refused):
        asked(WORKER)


def test_a_segment_of_everyone_is_everyone_and_a_part_adds_up_from_its_members(people: make.People) -> None:
    company(people)
    for viewer in people.everyone:
        assert cells(asked(viewer, rule=EVERYONE)) == cells(asked(viewer))
    west = '{"all":[{"field":"region","op":"in","value":["West"]}]}'
    assert cells(asked(people.mark, rule=west)) == {
        (SEP, SEP): (2, 2, Decimal("11.0")),
        (SEP, OCT): (2, 2, Decimal("8.0")),
    }
    nobody = asked(people.root, rule='{"any":[]}')
    assert cells(nobody) == {}
    assert nobody.months == (SEP, OCT, NOV)


def test_a_masked_role_cannot_count_by_a_name_and_hostile_rules_get_a_sentence(people: make.People) -> None:
    company(people)
    by_name = '{"all":[{"field":"name","op":"contains","value":"S1"}]}'
    if "name" in segments.FIELDS:
        with pytest.raises(Refused):
            asked(people.mark, rule=by_name)
    for hostile in ("'; DROP TABLE orders --", "[]", '{"all":[{"field":"x"}]}', "{", "null"):
        with pytest.raises(Invalid):
            asked(people.root, rule=hostile)
    for months in (0, -1, cohorts.MOST_MONTHS + 1):
        with pytest.raises(Invalid):
            asked(people.root, months=months)


def test_the_people_behind_a_cell_are_as_many_as_it_says_and_only_the_viewers(people: make.People) -> None:
    ids = company(people)
    west = '{"any":[{"field":"region","op":"in","value":["West"]}]}'
    for viewer in people.everyone:
        for rule in ("", EVERYONE, west):
            for (cohort, month), (n, _orders, _revenue) in cells(asked(viewer, rule=rule)).items():
                behind = of_cohort(rule, cohort=cohort, month=month)
                with begin(viewer) as conn:
                    assert segments.count(conn, viewer=viewer, rule=behind, today=TODAY) == n
    with begin(people.ann) as conn:
        behind = of_cohort("", cohort=SEP, month=NOV)
        found = segments.preview(conn, viewer=people.ann, rule=behind, today=TODAY)
    assert list(found.rows["id"]) == [ids["S1"]]
    with begin(people.ann) as conn:
        early = of_unknown("", start=date(2025, 12, 1), first_known=SEP)
        found = segments.preview(conn, viewer=people.ann, rule=early, today=TODAY)
    assert list(found.rows["id"]) == [ids["old"]]


def test_what_changes_moves_the_sums_by_the_difference(people: make.People) -> None:
    ids = company(people)
    c = schema.customers.c
    with connection.begin_owner() as conn:
        conn.execute(update(schema.customers).where(c.id == ids["S1"]).values(owner_id=people.bo.user_id))
        conn.execute(update(schema.customers).where(c.id == ids["Z"]).values(archived_at=None))
        conn.execute(update(schema.customers).where(c.id == ids["S3"]).values(archived_at=clock.now()))
        conn.execute(delete(schema.orders).where(schema.orders.c.customer_id == ids["O1"]))
        make.order(conn, ids["none"], date(2026, 11, 5), "6")
        touched(conn, *ids.values())
    refreshed()
    assert cells(asked(people.ann)) == {
        (SEP, SEP): (2, 2, Decimal("103.0")),  # S2 and Z
        (SEP, OCT): (1, 1, Decimal("0.0")),
        (NOV, NOV): (1, 1, Decimal("6.0")),
    }
    assert cells(asked(people.bo)) == {(SEP, SEP): (1, 2, Decimal("15.5")), (SEP, NOV): (1, 1, Decimal("20.0"))}
    assert cells(asked(people.cho)) == {}


def test_the_check_finds_a_wrong_month_and_a_wrong_sum(people: make.People) -> None:
    ids = company(people)
    m, s = schema.customer_months, schema.cohort_sums
    with connection.begin_owner() as conn:
        conn.execute(update(m).where(m.c.customer_id == ids["S1"]).values(orders=[1, 1]))
    with begin(WORKER) as conn:
        drift = derived.check(conn)
    assert (drift.customers, drift.cohorts) == ((ids["S1"],), ((people.ann.user_id, SEP, SEP),))
    assert drift.found
    with connection.begin_owner() as conn:
        conn.execute(delete(s))
    with begin(WORKER, write=True) as conn:
        assert len(derived.check(conn).cohorts) > 3
        derived.rebuild(conn)
        assert not derived.check(conn).found


def test_an_empty_database_has_no_cohort_and_knows_none(people: make.People) -> None:
    found = asked(people.root)
    assert (cells(found), found.months, found.first_known, found.unknown) == ({}, (), None, 0)


def naive(conn: Connection, owners: tuple[int, ...]) -> dict[tuple[date, date], tuple[int, int, Decimal]]:
    """From the raw orders, one by one."""
    c, o = schema.customers.c, schema.orders.c
    rows = conn.execute(
        select(o.customer_id, o.placed_on, o.amount, o.currency)
        .join(schema.customers, c.id == o.customer_id)
        .where(c.archived_at.is_(None), c.owner_id.in_(owners))
    ).all()
    first: dict[int, date] = {}
    for row in rows:
        first[row.customer_id] = min(first.get(row.customer_id, date.max), row.placed_on.replace(day=1))
    who, orders, revenue = defaultdict(set), defaultdict(int), defaultdict(Decimal)
    for row in rows:
        key = first[row.customer_id], row.placed_on.replace(day=1)
        who[key].add(row.customer_id)
        orders[key] += 1
        revenue[key] += row.amount if row.currency == "USD" else 0
    return {key: (len(who[key]), orders[key], revenue[key]) for key in who}


@pytest.mark.parametrize("seed", range(4))
def test_after_any_changes_all_is_as_counted_from_the_raw_orders(people: make.People, seed: int) -> None:
    random = Random(seed)
    owners = [getattr(people, name).user_id for name in ("ann", "bo", "cho")]
    start = date(2025, 12, 1)
    with connection.begin_owner() as conn:
        earliest = make.customer(conn, owners[0])
        make.order(conn, earliest, start - timedelta(days=60))
        ids = [earliest, *(make.customer(conn, random.choice(owners)) for _n in range(12))]
        touched(conn, *ids)
    for _round in range(4):
        with connection.begin_owner() as conn:
            for _step in range(12):
                who = random.choice(ids)
                table = schema.customers
                match random.randrange(5):
                    case 0:
                        row = {"owner_id": random.choice(owners)}
                        conn.execute(update(table).where(table.c.id == who).values(row))
                    case 1:
                        row = {"archived_at": random.choice((None, clock.now()))}
                        conn.execute(update(table).where(table.c.id == who).values(row))
                    case 2 if who != earliest:
                        conn.execute(delete(schema.orders).where(schema.orders.c.customer_id == who))
                    case _:
                        on = start + timedelta(days=random.randrange(350))
                        make.order(conn, who, on, str(random.randrange(1, 99)), currency=random.choice(("USD", "EUR")))
                touched(conn, who)
        refreshed()
        for viewer, of in ((people.root, tuple(owners)), (people.mia, tuple(owners[:2])), (people.cho, (owners[2],))):
            with connection.begin_owner() as conn:
                expected = {key: v for key, v in naive(conn, of).items() if key[0] >= start}
            assert cells(asked(viewer)) == expected
            assert cells(asked(viewer, rule=EVERYONE)) == expected


def test_calendar_months_and_rules_within_rules() -> None:
    assert [month_before(date(2026, 2, 28), n) for n in (0, 1, 2, 14, -1)] == [
        date(2026, 2, 1),
        date(2026, 1, 1),
        date(2025, 12, 1),
        date(2024, 12, 1),
        date(2026, 3, 1),
    ]
    assert last_of(date(2024, 2, 1)) == date(2024, 2, 29)
    leaf = {"field": "orders", "op": ">", "value": 1}
    assert narrowed("", leaf) == '{"all":[{"field":"orders","op":">","value":1}]}'
    assert narrowed('{"any":[]}', leaf).startswith('{"all":[{"any":[]},')
    deep = '{"all":[{"any":[{"all":[{"any":[{"all":[]}]}]}]}]}'
    assert rules.parse_text(narrowed(deep, leaf))
