"""The bridge: one snapshot per run, one cache that keeps viewers apart and never serves what a write has changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from components import data
from db import changes, clock, connection, custom_fields, customer, interactions, schema, sessions, users
from db.connection import begin, bounded
from db.errors import Refused, Unavailable
from db.permissions import GATE, Permission, Viewer
from db.sessions import Session
from tests import make

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> Iterator[None]:
    CALLS.clear()
    yield
    CALLS.clear()


def count(conn: Connection, *, viewer: Viewer, region: str = "") -> int:
    CALLS.append("count")
    customers = schema.customers
    query = select(func.count()).select_from(customers).where(customers.c.region == region)
    return int(conn.scalar(query) or 0)


def names(conn: Connection, *, viewer: Viewer) -> list[str]:
    CALLS.append("names")
    return list(conn.scalars(select(schema.customers.c.name).order_by(schema.customers.c.id)))


def mine(conn: Connection, *, viewer: Viewer) -> int:
    CALLS.append("mine")
    return viewer.user_id


def transaction(conn: Connection, *, viewer: Viewer, n: int) -> str:
    CALLS.append("transaction")
    return str(conn.scalar(text("SELECT txid_current_snapshot()::text || pg_backend_pid()::text")))


def add(conn: Connection, *, actor: Viewer, name: str) -> int:
    set_id = changes.start(
        conn, actor=actor, command="customer.add", permission=Permission.CUSTOMERS_EDIT, source="screen"
    )
    row = {"name": name, "owner_id": actor.user_id}
    return changes.insert(conn, set_id, "customers", [row])[0]


def add_and_fail(conn: Connection, *, actor: Viewer) -> None:
    add(conn, actor=actor, name="never")
    raise Refused("no")


def session_of(viewer: Viewer) -> Session:
    with begin(GATE, write=True) as conn:
        started = sessions.start(conn, user_id=viewer.user_id)
    found = data.check(session_id=started.session_id)
    assert found is not None
    return found


def read(viewer: Viewer, query: Any, **params: Any) -> Any:
    """One run of this viewer with one read."""
    with data.run("test"), data.snapshot(session_of(viewer)):
        return data.read(query, viewer=viewer, **params)


def test_equal_reads_of_one_scope_share_the_cache(people: make.People) -> None:
    assert [read(people.ann, count) for _ in range(3)] == [0, 0, 0]
    assert CALLS == ["count"]
    read(people.ann, count, region="North")
    assert CALLS == ["count", "count"], "parameters are part of the key"
    read(people.mark, count)
    read(people.ana, count)
    assert len(CALLS) == 4, "two roles of one database role may still differ in what they may do"


def test_two_people_of_one_scope_share_what_does_not_depend_on_them(people: make.People) -> None:
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    with connection.begin_owner() as conn:
        twin = insert(schema.users).values(username="twin", role="analyst", **stamps).returning(schema.users.c.id)
        other = Viewer(conn.execute(twin).scalar_one(), "twin", people.ana.role)
    assert read(people.ana, count) == read(other, count) == 0
    assert CALLS == ["count"]
    assert (read(people.ana, mine), read(other, mine)) == (people.ana.user_id, other.user_id)


def test_viewers_never_see_one_anothers_rows(people: make.People) -> None:
    with connection.begin_owner() as conn:
        make.customer(conn, people.ann.user_id, name="Ann's")
        make.customer(conn, people.bo.user_id, name="Bo's")
        make.customer(conn, name="nobody's")
    seen = {viewer.username: read(viewer, names) for viewer in people.everyone}
    assert seen["ann"] == ["Ann's"]
    assert seen["bo"] == ["Bo's"]
    assert seen["cho"] == []
    assert seen["mia"] == ["Ann's", "Bo's", "nobody's"]
    assert seen["max"] == ["nobody's"]
    assert seen["root"] == ["Ann's", "Bo's", "nobody's"]
    assert all(name.startswith("#") for name in seen["ana"])
    assert {viewer.username: read(viewer, names) for viewer in people.everyone} == seen


def test_what_moves_without_a_generation_is_never_cached(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "volatile", True, raising=False)
    assert [read(people.ann, names) for _ in range(2)] == [[], []]
    assert CALLS == ["names", "names"]
    assert getattr(users.everyone, "volatile", False), "visits and locks move no generation"


def campaigns(conn: Connection, *, viewer: Viewer) -> int:
    CALLS.append("campaigns")
    return int(conn.scalar(select(func.count()).select_from(schema.campaigns)) or 0)


def nothing(conn: Connection, *, viewer: Viewer) -> int:
    CALLS.append("nothing")
    return 1


def branching(conn: Connection, *, viewer: Viewer) -> int:
    """Teams as long as there is no campaign, customers from then on."""
    CALLS.append("branching")
    if conn.scalar(select(func.count()).select_from(schema.campaigns)):
        return int(conn.scalar(select(func.count()).select_from(schema.customers)) or 0)
    return -int(conn.scalar(select(func.count()).select_from(schema.teams)) or 0)


def fields(conn: Connection, *, viewer: Viewer) -> int:
    """Fields that another question of this snapshot may have asked for already."""
    CALLS.append("fields")
    return len(custom_fields.in_use(conn, viewer=viewer))


def bump(*areas: str) -> None:
    with connection.begin_owner() as conn:
        conn.exec_driver_sql("SELECT move_generations(%(areas)s::text[])", {"areas": list(areas)})


def asked(viewer: Viewer, *queries: Any) -> list[str]:
    """What is really asked when these are read in one run."""
    CALLS.clear()
    with data.run("test"), data.snapshot(session_of(viewer)):
        for query in queries:
            data.read(query, viewer=viewer)
    return list(CALLS)


def test_a_saved_customer_renews_what_was_read_of_customers_and_nothing_else(people: make.People) -> None:
    assert asked(people.ann, names, campaigns) == ["names", "campaigns"]
    with begin(people.ann, write=True) as conn:
        add(conn, actor=people.ann, name="New")
    assert asked(people.ann, names, campaigns) == ["names"]
    assert asked(people.ann, names, campaigns) == []
    bump("campaigns")
    assert asked(people.ann, names, campaigns) == ["campaigns"]
    bump("settings", "tasks", "segments", "views")
    assert asked(people.ann, names, campaigns) == []


def test_a_corrected_name_leaves_what_was_counted_and_a_call_leaves_both(people: make.People) -> None:
    ann = people.ann
    with begin(ann, write=True) as conn:
        one = add(conn, actor=ann, name="New")
    asked(ann, names, count)
    with begin(ann, write=True) as conn:
        opened = customer.get(conn, viewer=ann, customer_id=one, today=date(2026, 11, 20))
        customer.save(conn, actor=ann, customer_id=one, version=opened.version, values={"name": "Newer"})
    assert asked(ann, names, count) == ["names"]
    with begin(ann, write=True) as conn:
        interactions.log(conn, actor=ann, customer_id=one, kind="call", body="x")
    assert asked(ann, names, count) == []
    with begin(ann, write=True) as conn:
        customer.save(conn, actor=ann, customer_id=one, version=opened.version + 1, values={"region": "North"})
    assert asked(ann, names, count) == ["names", "count"]
    assert read(ann, count, region="North") == 1


def test_who_has_read_no_table_depends_on_all(people: make.People) -> None:
    assert asked(people.root, nothing, nothing) == ["nothing"]
    for area in schema.AREAS:
        bump(area)
        assert asked(people.root, nothing) == ["nothing"]


def test_an_answer_depends_on_what_its_own_branch_read(people: make.People) -> None:
    root = people.root
    assert read(root, branching) == -2
    bump("customers", "profiles")
    assert asked(root, branching) == [], "not read on this branch"
    with connection.begin_owner() as conn:
        running = {"name": "Spring", "starts_on": date(2026, 3, 1), "ends_on": date(2026, 3, 31)}
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        conn.execute(insert(schema.campaigns).values(**running, **stamps))
    bump("campaigns")
    assert read(root, branching) == 0
    with connection.begin_owner() as conn:
        make.customer(conn)
    bump("customers", "profiles")
    assert read(root, branching) == 1
    # Back on the first branch nothing of the second is given out, whatever was read in between.
    with connection.begin_owner() as conn:
        conn.execute(delete(schema.campaigns))
    bump("campaigns")
    assert read(root, branching) == -2
    bump("users")
    assert asked(root, branching) == ["branching"]


def test_what_a_snapshot_gives_to_all_is_read_by_each(people: make.People) -> None:
    ann = people.ann
    assert asked(ann, custom_fields.in_use, fields) == ["fields"]
    with data.run("test"), data.snapshot(session_of(ann)):
        data.read(custom_fields.in_use, viewer=ann)
    bump("fields")
    assert asked(ann, fields) == ["fields"]
    assert asked(ann, fields) == []


def test_people_who_ask_for_the_first_time_at_once_ask_once_each_at_most(people: make.People) -> None:
    sessions_of = [session_of(people.ana) for _ in range(4)]
    data._read_by.clear()

    def visit(session: Session) -> int:
        with data.run("test"), data.snapshot(session):
            return int(data.read(campaigns, viewer=people.ana))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(visit, sessions_of)) == [0] * 4
    assert 1 <= len(CALLS) <= 4
    assert asked(people.ana, campaigns) == []


def named_alike(conn: Connection, *, viewer: Viewer, key: str, made: str, name: str) -> list[str]:
    CALLS.append("named_alike")
    return [key, made, name]


def test_parameters_may_have_any_names(people: make.People) -> None:
    given = {"key": "a", "made": "b", "name": "c"}
    assert [read(people.ann, named_alike, **given) for _ in range(2)] == [["a", "b", "c"]] * 2
    assert CALLS == ["named_alike"]


def test_results_are_copies(people: make.People) -> None:
    with connection.begin_owner() as conn:
        make.customer(conn, people.ann.user_id, name="One")
    read(people.ann, names).append("spoilt")
    assert read(people.ann, names) == ["One"]


def test_a_write_is_seen_at_once_by_the_same_run_and_by_others(people: make.People) -> None:
    here = session_of(people.ann)
    with data.run("test"), data.snapshot(here):
        assert data.read(names, viewer=people.ann) == []
        data.write(add, actor=people.ann, name="New")
        assert data.read(names, viewer=people.ann) == ["New"]
        with pytest.raises(Refused):
            data.write(add_and_fail, actor=people.ann)
        assert data.read(names, viewer=people.ann) == ["New"]
    assert read(people.mia, names) == ["New"]
    assert read(people.ann, names) == ["New"]


def test_a_write_of_another_process_is_seen_by_the_next_run(people: make.People) -> None:
    assert read(people.ann, names) == []
    with begin(people.ann, write=True) as conn:
        add(conn, actor=people.ann, name="Elsewhere")
    assert read(people.ann, names) == ["Elsewhere"]


def test_reads_of_one_run_share_one_snapshot_and_none_is_opened_for_hits(people: make.People) -> None:
    session = session_of(people.ann)
    with data.run("test"), data.snapshot(session):
        first = data.read(transaction, viewer=people.ann, n=1)
        with begin(people.ann, write=True) as conn:
            add(conn, actor=people.ann, name="meanwhile")
        assert data.read(transaction, viewer=people.ann, n=2) == first
        assert data.read(names, viewer=people.ann) == []
    with data.run("test") as run, data.snapshot(session):
        data.read(transaction, viewer=people.ann, n=1)
        assert run.queries == data.queries() == 0
        data.read(transaction, viewer=people.ann, n=3)
        assert run.queries == data.queries() == 1, "neither BEGIN nor SET counts"
    assert data.queries() == 1
    with data.run("test"), data.snapshot(session):
        data.read(transaction, viewer=people.ann, n=3)
        assert connection.engine().pool.checkedout() == 0  # type: ignore[attr-defined]
    assert connection.engine().pool.checkedout() == 0  # type: ignore[attr-defined]


def test_language_and_day_are_part_of_the_key(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    from db import words

    try:
        for language in words.LANGUAGES:
            words.use(language)
            read(people.ann, count)
    finally:
        words.use(None)
    assert len(CALLS) == 2
    monkeypatch.setenv("KEHU_NOW", "2026-11-21T00:00:00+00:00")
    read(people.ann, count)
    assert len(CALLS) == 3


def test_cache_can_be_switched_off(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEHU_NO_CACHE", "1")
    read(people.ann, count)
    read(people.ann, count)
    assert len(CALLS) == 2


def test_nothing_is_read_or_written_outside_a_checked_run(people: make.People) -> None:
    with pytest.raises(RuntimeError, match="checked session"):
        data.read(names, viewer=people.ann)
    with pytest.raises(RuntimeError, match="checked session"):
        data.write(add, actor=people.ann, name="x")
    with data.run("test"), pytest.raises(RuntimeError, match="checked session"):
        data.read(names, viewer=people.ann)
    with data.run("test"), data.snapshot(session_of(people.ann)):
        with pytest.raises(RuntimeError, match="as the viewer"):
            data.read(names, viewer=people.root)
        with pytest.raises(RuntimeError, match="as the viewer"):
            data.write(add, actor=people.root, name="x")
    assert read(people.root, names) == []


def test_own_sessions_are_read_as_the_gate(people: make.People) -> None:
    session = session_of(people.ann)
    with data.run("test"), data.snapshot(session):
        assert [d.id for d in data.read(sessions.mine, viewer=people.ann)] == [session.id]
        data.write(sessions.end, actor=people.ann, session_id=session.id)
        assert data.read(sessions.mine, viewer=people.ann) == ()


def test_a_run_is_one_line_without_values(people: make.People, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="kehu.runs")
    with data.run("customers"), data.snapshot(session_of(people.ann)):
        data.read(count, viewer=people.ann, region="a secret word")
    [record] = [r for r in caplog.records if r.name == "kehu.runs"]
    assert record.__dict__["user"] == people.ann.user_id
    assert record.__dict__["screen"] == "customers"
    assert record.__dict__["queries"] > 0
    assert "secret" not in str(record.__dict__)


def slow(conn: Connection, *, viewer: Viewer) -> int:
    conn.exec_driver_sql("SET LOCAL statement_timeout = 50")
    return conn.exec_driver_sql("SELECT 1 FROM pg_sleep(5)").scalar_one()


def forbidden(conn: Connection, *, viewer: Viewer) -> int:
    return conn.exec_driver_sql("SELECT count(*) FROM public.app_sessions").scalar_one()


def cut_off(conn: Connection, *, viewer: Viewer) -> int:
    """As a restart of the database does it to everybody."""
    mine = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with connection.engine().connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": mine})
    return conn.exec_driver_sql("SELECT 1").scalar_one()


def cut_off_within(conn: Connection, *, viewer: Viewer) -> int:
    with bounded(conn, 1_000):
        return cut_off(conn, viewer=viewer)


def broken(conn: Connection, *, viewer: Viewer) -> int:
    return conn.exec_driver_sql("SELECT 1 / 0").scalar_one()


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        (slow, Unavailable, "took longer than allowed"),
        (cut_off, Unavailable, "does not answer"),
        (cut_off_within, Unavailable, "does not answer"),
        (forbidden, Refused, "no right to these rows"),
        (broken, DBAPIError, "division by zero"),
    ],
)
def test_what_stops_one_read_is_said_and_the_next_goes_on(
    people: make.People, query: Any, error: type[Exception], said: str
) -> None:
    session = session_of(people.ann)
    with data.run("test"):
        with data.snapshot(session):
            with pytest.raises(error, match=said):
                data.read(query, viewer=people.ann)
            assert data.read(count, viewer=people.ann) == 0
            with pytest.raises(error, match=said):
                data.read(query, viewer=people.ann)
        with data.snapshot(session):
            data.write(add, actor=people.ann, name="after")
            with pytest.raises(error, match=said):
                data.read(query, viewer=people.ann)
            assert data.read(names, viewer=people.ann) == ["after"]


def test_the_connection_is_lost_after_the_last_read(people: make.People) -> None:
    with data.run("test"), data.snapshot(session_of(people.ann)):
        assert data.read(count, viewer=people.ann) == 0
        assert data.read(transaction, viewer=people.ann, n=1)
        with connection.engine().connect() as other:
            everybody = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            others = "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            other.execute(text(everybody + others))
    assert read(people.ann, names) == []
