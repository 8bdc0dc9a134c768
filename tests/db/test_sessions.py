"""Sessions: begun, redeemed once, checked in one statement, ended; who the viewer of a session is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, event, insert, select, update

from db import clock, connection, schema, sessions
from db.connection import begin
from db.errors import Invalid, NotFound, Refused
from db.permissions import GATE, NOBODY, Role, Viewer
from tests import make

START = datetime.fromisoformat("2026-11-20T15:00:00+00:00")


def at(monkeypatch: pytest.MonkeyPatch, after: timedelta) -> None:
    monkeypatch.setenv("KEHU_NOW", (START + after).isoformat())


@pytest.fixture
def gate(people: make.People) -> Iterator[Connection]:
    with begin(GATE, write=True) as conn:
        yield conn


def test_ticket_is_good_once_and_for_a_minute(
    gate: Connection, people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = sessions.start(gate, user_id=people.ann.user_id)
    cookie = sessions.redeem(gate, ticket=started.ticket)
    assert cookie is not None
    assert cookie.expires_at == START + sessions.LIFE
    assert sessions.redeem(gate, ticket=started.ticket) is None

    late = sessions.start(gate, user_id=people.ann.user_id)
    at(monkeypatch, sessions.TICKET_LIFE)
    assert sessions.redeem(gate, ticket=late.ticket) is None
    assert sessions.redeem(gate, ticket="") is None


def test_only_hashes_are_stored(gate: Connection, people: make.People) -> None:
    first = sessions.start(gate, user_id=people.ann.user_id)
    cookie = sessions.redeem(gate, ticket=first.ticket)
    second = sessions.start(gate, user_id=people.ann.user_id)
    assert cookie
    stored = str(gate.execute(select(schema.app_sessions)).all())
    assert sessions.digest(cookie.token) in stored
    assert sessions.digest(second.ticket) in stored
    for secret in (cookie.token, first.ticket, second.ticket):
        assert secret not in stored


def test_check_is_one_statement_and_gives_all_a_run_needs(gate: Connection, people: make.People) -> None:
    started = sessions.start(gate, user_id=people.mia.user_id, user_agent="Test\x00Browser", address="127.0.0.1")
    seen: list[str] = []
    event.listen(connection.engine(), "before_cursor_execute", lambda *a: seen.append(a[2]))
    found = sessions.check(gate, session_id=started.session_id)
    assert len(seen) == 1
    assert found is not None
    assert found.viewer == people.mia
    assert found.name == "Mia"
    assert dict(found.generations).keys() == set(schema.AREAS)
    assert found.settings.time_zone == clock.DEFAULT_ZONE
    assert found.today == START.date()
    assert not found.in_cookie
    assert not found.stale


def test_viewer_of_every_role(gate: Connection, people: make.People) -> None:
    for viewer in people.everyone:
        found = sessions.check(gate, session_id=sessions.start(gate, user_id=viewer.user_id).session_id)
        assert found is not None
        assert found.viewer == viewer


def test_manager_sees_team_even_of_the_deactivated_and_alone_without_a_team(
    people: make.People, owner: Connection
) -> None:
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "bo").values(active=False))
        owner.execute(update(schema.users).where(schema.users.c.username == "max").values(team_id=None))
    with begin(GATE, write=True) as gate:
        mia = sessions.check(gate, session_id=sessions.start(gate, user_id=people.mia.user_id).session_id)
        lonely = sessions.check(gate, session_id=sessions.start(gate, user_id=people.max.user_id).session_id)
    assert mia is not None
    assert mia.viewer.owner_ids == people.mia.owner_ids
    assert lonely is not None
    assert lonely.viewer.owner_ids == (NOBODY, people.max.user_id)


def test_role_change_holds_at_the_next_check(people: make.People, owner: Connection) -> None:
    with begin(GATE, write=True) as gate:
        session_id = sessions.start(gate, user_id=people.ann.user_id).session_id
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "ann").values(role="analyst"))
    with begin(GATE) as gate:
        found = sessions.check(gate, session_id=session_id)
    assert found is not None
    assert found.viewer.role is Role.ANALYST
    assert found.viewer.owner_ids == ()


def test_by_token_and_after_replacement(gate: Connection, people: make.People) -> None:
    first = sessions.start(gate, user_id=people.ann.user_id)
    old = sessions.redeem(gate, ticket=first.ticket)
    assert old
    found = sessions.check(gate, token=old.token)
    assert found is not None
    assert found.in_cookie
    assert found.id == first.session_id
    second = sessions.start(gate, user_id=people.bo.user_id)
    new = sessions.redeem(gate, ticket=second.ticket, replaces=old.token)
    assert new
    assert sessions.check(gate, token=old.token) is None, "one browser has one session"
    assert sessions.check(gate, token=new.token)
    for nothing in ("", "x", first.ticket):
        assert sessions.check(gate, token=nothing) is None
    assert sessions.check(gate) is None


@pytest.mark.parametrize(
    ("visits", "then", "alive"),
    [
        ([], sessions.IDLE - timedelta(minutes=1), True),
        ([], sessions.IDLE, False),
        ([sessions.IDLE - timedelta(minutes=1)], sessions.IDLE + timedelta(hours=1), True),
        ([timedelta(hours=11) * n for n in range(1, 31)], sessions.LIFE - timedelta(minutes=1), True),
        ([timedelta(hours=11) * n for n in range(1, 31)], sessions.LIFE, False),
    ],
)
def test_idle_and_absolute_end(
    gate: Connection,
    people: make.People,
    monkeypatch: pytest.MonkeyPatch,
    visits: list[timedelta],
    then: timedelta,
    *,
    alive: bool,
) -> None:
    session_id = sessions.start(gate, user_id=people.ann.user_id).session_id
    for visit in visits:
        at(monkeypatch, visit)
        sessions.touch(gate, session_id=session_id)
    at(monkeypatch, then)
    assert (sessions.check(gate, session_id=session_id) is not None) is alive


def test_seen_at_is_written_once_a_minute(
    gate: Connection, people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = sessions.start(gate, user_id=people.ann.user_id).session_id
    for seconds, expected in ((59, 0), (60, 60), (90, 60), (121, 121)):
        at(monkeypatch, timedelta(seconds=seconds))
        found = sessions.check(gate, session_id=session_id)
        assert found is not None
        assert found.stale is (seconds in (60, 121))
        sessions.touch(gate, session_id=session_id)
        seen = gate.scalar(select(schema.app_sessions.c.seen_at))
        assert seen == START + timedelta(seconds=expected)
    assert gate.scalar(select(schema.users.c.seen_at).where(schema.users.c.username == "ann")) == START + timedelta(
        seconds=121
    )


def test_revoked_deactivated_and_epoch(people: make.People, owner: Connection) -> None:
    def alive(session_id: int) -> bool:
        with begin(GATE) as gate:
            return sessions.check(gate, session_id=session_id) is not None

    def new() -> int:
        with begin(GATE, write=True) as gate:
            return sessions.start(gate, user_id=people.ann.user_id).session_id

    one, two = new(), new()
    with begin(GATE, write=True) as gate:
        sessions.revoke(gate, session_id=one)
    assert (alive(one), alive(two)) == (False, True)
    with begin(GATE, write=True) as gate:
        sessions.end_all(gate, actor=people.ann)
    assert not alive(two)
    three = new()
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "ann").values(active=False))
    assert not alive(three)
    with begin(GATE, write=True) as gate, pytest.raises(NotFound):
        sessions.start(gate, user_id=people.ann.user_id)


def test_my_sessions_and_ending_one(gate: Connection, people: make.People) -> None:
    first = sessions.start(gate, user_id=people.ann.user_id, user_agent="Firefox").session_id
    second = sessions.start(gate, user_id=people.ann.user_id).session_id
    others = sessions.start(gate, user_id=people.bo.user_id).session_id
    assert [d.id for d in sessions.mine(gate, viewer=people.ann)] == [second, first]
    sessions.end(gate, actor=people.ann, session_id=first)
    assert [d.id for d in sessions.mine(gate, viewer=people.ann)] == [second]
    for not_mine in (first, others, 10**9):
        with pytest.raises(NotFound):
            sessions.end(gate, actor=people.ann, session_id=not_mine)
    assert sessions.check(gate, session_id=others)


def test_only_user_managers_sign_out_others(gate: Connection, people: make.People) -> None:
    session_id = sessions.start(gate, user_id=people.ann.user_id).session_id
    with pytest.raises(Refused):
        sessions.end_all(gate, actor=people.mia, user_id=people.ann.user_id)
    assert sessions.check(gate, session_id=session_id)
    sessions.end_all(gate, actor=people.root, user_id=people.ann.user_id)
    assert sessions.check(gate, session_id=session_id) is None


def test_language(gate: Connection, people: make.People) -> None:
    sessions.set_language(gate, actor=people.ann, language="zh_CN")
    found = sessions.check(gate, session_id=sessions.start(gate, user_id=people.ann.user_id).session_id)
    assert found is not None
    assert found.language == "zh_CN"
    with pytest.raises(Invalid):
        sessions.set_language(gate, actor=people.ann, language="tlh")


def test_demo_users_only_in_a_demo(people: make.People, owner: Connection) -> None:
    stamps = {"created_at": START, "updated_at": START}

    def listed() -> list[str]:
        with begin(GATE) as gate:
            return [p.username for p in sessions.demo_users(gate)]

    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username.in_(["ann", "bo", "root"])).values(demo=True))
    assert listed() == []
    for value in (False, "true", 1):
        with owner.begin():
            owner.execute(schema.settings.delete())
            owner.execute(insert(schema.settings).values(key="demo", value=value, **stamps))
        assert listed() == [], f"{value!r} is not true"
    with owner.begin():
        owner.execute(update(schema.settings).values(value=True))
    assert listed() == ["ann", "root"]
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "ann").values(active=False))
    assert listed() == ["bo", "root"]


def test_gate_sees_no_customers(gate: Connection) -> None:
    with pytest.raises(Exception, match="permission denied"):
        gate.execute(select(schema.customers.c.id))


def test_nobody_else_sees_sessions(people: make.People) -> None:
    for viewer in people.everyone:
        with pytest.raises(Refused), begin(viewer) as conn:
            conn.execute(select(schema.app_sessions.c.id))
    with pytest.raises(Refused), begin(people.root) as conn:
        conn.execute(select(schema.users.c.password_hash))
    assert Viewer(people.ann.user_id, "ann", Role.SALES, (people.ann.user_id,)) == people.ann
