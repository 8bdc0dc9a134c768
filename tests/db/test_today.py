"""The salesperson's day: who has fallen quiet, by every sign that counts, and with whom one has just worked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert

from db import clock, connection, customer, derived, interactions, schema, tasks, today
from db.connection import begin
from db.embedded import Server
from db.permissions import Viewer
from db.undo import undo
from tests import conftest, make

ZONE = "Pacific/Auckland"
TODAY = date(2026, 11, 21)
LONG_AGO = TODAY - timedelta(days=today.QUIET_DAYS + 1)
LAST_DAY = TODAY - timedelta(days=today.QUIET_DAYS)


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"today_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        with connection.begin_owner() as conn:
            conn.execute(insert(schema.settings).values(key="time_zone", value=ZONE, **stamps))
        yield make.people()


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def quiet(viewer: Viewer, **values: Any) -> list[str]:
    with begin(viewer) as conn:
        return list(today.quiet(conn, viewer=viewer, today=TODAY, zone=ZONE, **values)["name"])


def recent(viewer: Viewer, **values: Any) -> list[str]:
    with begin(viewer) as conn:
        return list(today.recent(conn, viewer=viewer, **values)["name"])


def test_quiet_are_those_who_bought_and_of_whom_nothing_is_heard(people: make.People) -> None:
    ann, bo = people.ann.user_id, people.bo.user_id
    with connection.begin_owner() as conn:
        found = {}
        for name, owner_id, orders in (
            ("small", ann, [(LONG_AGO, "10")]),
            ("large", ann, [(LONG_AGO, "90"), (date(2026, 1, 1), "900")]),
            ("bought", ann, [(LONG_AGO, "5"), (LAST_DAY, "5")]),
            ("never", ann, []),
            ("called", ann, [(LONG_AGO, "7")]),
            ("called long ago", ann, [(LONG_AGO, "6")]),
            ("noted", ann, [(LONG_AGO, "7")]),
            ("planned", ann, [(LONG_AGO, "7")]),
            ("archived", ann, [(LONG_AGO, "7")]),
            ("bo's", bo, [(LONG_AGO, "7")]),
        ):
            found[name] = make.customer(conn, owner_id, name=name)
            for day, amount in orders:
                make.order(conn, found[name], day, amount)
        derived.rebuild(conn)
    ago = {"called": LAST_DAY, "called long ago": LONG_AGO}
    for name, day in ago.items():
        at = datetime(day.year, day.month, day.day, 0, 30, tzinfo=ZoneInfo(ZONE))
        do(interactions.log, people.ann, customer_id=found[name], kind="call", body="x", happened_at=at)
    do(customer.add_note, people.ann, customer_id=found["noted"], body="x")
    do(tasks.add, people.ann, customer_id=found["planned"], title="x")
    do(customer.archive, people.ann, customer_id=found["archived"])
    assert quiet(people.ann) == ["large", "small", "called long ago"]
    assert quiet(people.ann, limit=1) == ["large"]
    assert quiet(people.mia) == []
    assert quiet(people.mia, owner_id=bo) == ["bo's"]
    assert quiet(people.root, owner_id=ann) == quiet(people.ann)
    assert quiet(people.ann, owner_id=bo) == [], "not hers to see"


def test_recent_are_those_one_worked_with_oneself_each_once_newest_first(people: make.People) -> None:
    def added(actor: Viewer, name: str) -> int:
        return int(do(customer.add, actor, values={"name": name})[0])

    one, _two, gone = (added(people.cho, name) for name in ("one", "two", "gone"))
    added(people.bo, "bo's")
    do(customer.add_note, people.cho, customer_id=one, body="x")
    assert recent(people.cho) == ["one", "gone", "two"]
    do(customer.archive, people.cho, customer_id=gone)
    assert recent(people.cho) == ["one", "two"]
    assert recent(people.cho, limit=1) == ["one"]
    assert recent(people.max) == []
    do(customer.assign, people.max, customer_ids=[one], owner_id=people.max.user_id)
    assert recent(people.cho) == ["two"], "out of sight"
    assert recent(people.max) == ["one"]
    set_id = do(customer.add_note, people.cho, customer_id=_two, body="x")
    do(undo, people.cho, change_set_id=set_id, source="screen")
    assert recent(people.cho) == ["two"]
    assert recent(people.root) == []
