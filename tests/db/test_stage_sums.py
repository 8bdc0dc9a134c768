"""The sums of the stages: kept up with what changes, of one day, and as exact as counting the customers themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, insert, select, text, update

from db import clock, connection, customer, derived, overview, schema
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER, Viewer
from db.undo import undo
from tests import conftest, make

S = schema.stage_sums.c


@pytest.fixture
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"stage_sums_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def today() -> date:
    return clock.today()


def ago(days: int) -> date:
    return today() - timedelta(days=days)


def refreshed() -> None:
    with begin(WORKER, write=True) as conn:
        while derived.refresh(conn):
            pass
        assert derived.check(conn) == derived.Drift((), (), 0)


def touched(conn: Connection, customer_id: int) -> None:
    conn.execute(insert(schema.touched_customers).values(customer_id=customer_id, touched_at=clock.now()))


def sums(viewer: Viewer = WORKER) -> dict[tuple[int, str, str], tuple[Any, ...]]:
    columns = (S.owner_id, S.region, S.stage, S.customers, S.revenue, S.buyers, S.repeat_buyers)
    with begin(viewer) as conn:
        return {tuple(row[:3]): tuple(row[3:]) for row in conn.execute(select(*columns))}


def figures(viewer: Viewer, region: str = "") -> tuple[Any, ...]:
    with begin(viewer) as conn:
        found = overview.overview(conn, viewer=viewer, today=today(), currency="USD", region=region)
        rate = found.figures["repeat_rate"]
        return found.stages.values.tolist(), found.figures["active"].value, rate.value, rate.of


def reads(viewer: Viewer) -> list[str]:
    """The statements of the whole period's overview that read a row for each customer."""
    sent: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    with begin(viewer) as conn:
        event.listen(conn, "before_cursor_execute", note)
        overview.overview(conn, viewer=viewer, today=today(), currency="USD")
    return [statement for statement in sent if "customer_metrics" in statement]


def company(people: make.People) -> dict[str, int]:
    """Ann: first purchase N, repeat buyer A (two orders), archived buyer Z, prospect P. Bo: at risk R. Cho: lost L."""
    owners = {"N": "ann", "A": "ann", "Z": "ann", "P": "ann", "R": "bo", "L": "cho"}
    ids = {}
    with connection.begin_owner() as conn:
        for name, owner in owners.items():
            put_away = clock.now() if name == "Z" else None
            region = "West" if name == "P" else "East"
            owner_id = getattr(people, owner).user_id
            ids[name] = make.customer(conn, owner_id, name=name, region=region, archived_at=put_away)
            touched(conn, ids[name])
        orders = (("N", 30), ("A", 31), ("A", 2), ("Z", 1), ("Z", 1), ("R", 90), ("L", 91))
        for name, days in orders:
            make.order(conn, ids[name], ago(days), "10.00")
    return ids


def test_each_customer_stands_in_one_sum_and_everybody_sees_their_own(people: make.People) -> None:
    company(people)
    refreshed()
    ann, bo, cho = (getattr(people, name).user_id for name in ("ann", "bo", "cho"))
    of_ann = {
        (ann, "East", "first"): (1, Decimal(10), 1, 0),
        (ann, "East", "repeat"): (1, Decimal(20), 2, 2),  # A, and the buyer Z who is archived
        (ann, "West", "prospect"): (1, Decimal(0), 0, 0),
    }
    of_bo = {(bo, "East", "at_risk"): (1, Decimal(10), 1, 0)}
    of_cho = {(cho, "East", "lost"): (1, Decimal(10), 1, 0)}
    assert sums(people.ann) == of_ann
    assert sums(people.mia) == of_ann | of_bo
    assert sums(people.cho) == of_cho
    for viewer in (people.root, people.ana, people.mark, WORKER):
        assert sums(viewer) == of_ann | of_bo | of_cho


def test_the_overview_says_the_same_from_the_sums_and_from_the_customers(people: make.People) -> None:
    company(people)
    refreshed()
    asked = [(viewer, region) for viewer in people.everyone for region in ("", "East", "West", "' OR true --")]
    from_sums = [figures(*each) for each in asked]
    for viewer in (people.root, people.mia, people.ann):
        assert reads(viewer) == []
    with connection.begin_owner() as conn:
        conn.execute(delete(schema.stage_sums))
    assert [figures(*each) for each in asked] == from_sums
    assert len(reads(people.root)) == 2


def test_sums_of_another_day_are_not_believed_and_are_made_anew(people: make.People) -> None:
    company(people)
    refreshed()
    right = sums()
    with connection.begin_owner() as conn:  # as they stood the day before: L was at risk
        conn.execute(update(schema.stage_sums).values(as_of=ago(1), customers=77))
        generation = conn.scalar(text("SELECT n FROM generations WHERE area = 'metrics'"))
    assert figures(people.root)[0][1][:2] == ["first", 1], "counted anew"
    with begin(WORKER, write=True) as conn:
        assert derived.refresh(conn) == 0
    assert sums() == right
    with begin(people.root) as conn:
        assert conn.scalar(text("SELECT n FROM generations WHERE area = 'metrics'")) == generation + 1
        assert set(conn.scalars(select(S.as_of))) == {today()}


def test_what_people_do_moves_a_customer_between_sums_and_its_undo_moves_it_back(people: make.People) -> None:
    ids = company(people)
    refreshed()
    before = sums()
    ann, bo = people.ann.user_id, people.bo.user_id
    with begin(people.mia, write=True) as conn:
        assigned = customer.assign(conn, actor=people.mia, customer_ids=[ids["A"]], owner_id=bo)
    with begin(people.ann, write=True) as conn:
        archived = customer.archive(conn, actor=people.ann, customer_id=ids["N"])
    refreshed()
    after = sums()
    assert after[(bo, "East", "repeat")] == (1, Decimal(20), 1, 1)
    assert after[(ann, "East", "repeat")] == (0, Decimal(0), 1, 1), "Z, whose orders stay"
    assert after[(ann, "East", "first")] == (0, Decimal(0), 1, 0), "what was sold does not become unsold"
    for actor, set_id in ((people.mia, assigned), (people.ann, archived)):
        with begin(actor, write=True) as conn:
            undo(conn, actor=actor, change_set_id=set_id, source="screen")
    refreshed()
    assert sums() == before
    with connection.begin_owner() as conn:
        make.order(conn, ids["L"], today(), "5.00")
        touched(conn, ids["L"])
    refreshed()
    cho = people.cho.user_id
    assert {key: row for key, row in sums().items() if key[0] == cho} == {
        (cho, "East", "repeat"): (1, Decimal(15), 1, 1)
    }
    with begin(WORKER, write=True) as conn:
        kept = sums()
        derived.rebuild(conn)
    assert sums() == kept
