"""The hourly sums of waits and intervals: as counted when asked, on later days too, and never of other data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

import pytest
from sqlalchemy import func, select

from db import clock, connection, derived, repeat_sums, repeats, schema
from db.connection import begin
from db.embedded import Server
from db.overview import known_from
from db.permissions import WORKER, Viewer
from tests import conftest, make

TODAY = date(2026, 11, 20)


@pytest.fixture
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"repeat_sums_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def bought(owner_id: int, days: list[date], *, archived: bool = False) -> int:
    with connection.begin_owner() as conn:
        made = make.customer(conn, owner_id, archived_at=clock.now() if archived else None)
        for day in days:
            make.order(conn, made, day)
    return made


def shop(people: make.People, seed: int) -> None:
    """Days before 1970 and to come, the same day several times, and someone archived; kept as of now."""
    random = Random(seed)
    owners = [getattr(people, name).user_id for name in ("ann", "bo", "cho")]
    bought(owners[0], [date(1969, 12, 31), date(1970, 1, 1)] if seed else [TODAY - timedelta(days=300)])
    for n in range(20):
        days = [TODAY - timedelta(days=random.randrange(-3, 260)) for _n in range(random.randrange(9))]
        bought(random.choice(owners), days + days[:1], archived=n == 7)
    bought(owners[1], [])
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_is_what_is_counted_when_asked_on_any_later_day(
    people: make.People, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeat_sums, "PACKED", 4)
    shop(people, seed)
    with begin(people.root) as conn:
        known = known_from(conn.scalar(select(func.data_since())))
        for today in (TODAY, TODAY + timedelta(days=40)):
            for months in (1, 5, 36):
                start = repeats.month_before(today, months - 1)
                for step in range(1, repeats.MOST_STEPS + 1):
                    kept = repeats._kept(conn, known, start, today, step)
                    rows, unknown = repeats._live(conn, people.root, known, start, today, step, "")
                    assert kept
                    assert (sorted(kept[0]), kept[1]) == (sorted(rows), unknown)


def waits(viewer: Viewer) -> repeats.Waits:
    with begin(viewer) as conn:
        return repeats.waits(conn, viewer=viewer, today=TODAY)


def test_who_sees_all_gets_the_sums_and_the_others_count_their_own(people: make.People) -> None:
    shop(people, 0)
    assert all(waits(viewer).made_at for viewer in (people.root, people.ana, people.mark))
    assert not any(waits(viewer).made_at for viewer in (people.ann, people.mia, people.cho))
    with begin(people.mia) as conn:
        assert conn.scalar(select(func.count()).select_from(schema.wait_sums)) == 0


def test_sums_of_data_that_began_later_or_none_are_not_used(people: make.People) -> None:
    assert waits(people.root).made_at is None
    shop(people, 0)
    before = waits(people.root)
    earlier = bought(people.ann.user_id, [TODAY - timedelta(days=900)])
    with connection.begin_owner() as conn:
        make.kept(conn, earlier)
        conn.execute(schema.touched_customers.insert().values(customer_id=earlier, touched_at=clock.now()))
    with begin(WORKER, write=True) as conn:
        while derived.refresh(conn):
            pass
    after = waits(people.root)
    assert after.made_at is None
    assert (after.known_from or TODAY) < (before.known_from or TODAY)
    with begin(WORKER, write=True) as conn:
        repeats.add_up(conn)
    again = waits(people.root)
    assert again.made_at
    assert again.rows.equals(after.rows)
    assert again.unknown == after.unknown
