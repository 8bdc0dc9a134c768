"""Users: added without a password, changed, kept out and let in again; never without an administrator."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, select

from db import clock, connection, passwords, schema, sessions, undo, users
from db.connection import begin
from db.errors import Conflict, Invalid, KehuError, NotFound, Refused
from db.permissions import GATE, NOBODY, Role, Viewer
from tests import make


def done(actor: Viewer, command: Callable[..., Any], **params: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **params)


def known(viewer: Viewer, username: str) -> users.User:
    with begin(viewer) as conn:
        return users.get(conn, viewer=viewer, username=username)


def session_of(user_id: int) -> int:
    with begin(GATE, write=True) as conn:
        return sessions.start(conn, user_id=user_id).session_id


def live(session_id: int) -> sessions.Session | None:
    with begin(GATE) as conn:
        return sessions.check(conn, session_id=session_id)


def test_a_new_user_chooses_a_password_by_a_link(people: make.People) -> None:
    user_id, set_id = done(
        people.root,
        users.add,
        username=" Zoë.Li ",
        name="李佐伊",
        role=Role.SALES,
        team="Team 1",
        email="Zoe@Example.COM",
    )
    found = known(people.root, "zoë.li")
    assert (found.id, found.name, found.team, found.role, found.active) == (
        user_id,
        "李佐伊",
        "Team 1",
        Role.SALES,
        True,
    )
    with begin(GATE, write=True) as gate:
        assert passwords.attempt(gate, username="zoë.li").password_hash is None
        token = passwords.create_link(gate, actor=people.root, user_id=user_id)
        assert passwords.redeem_link(gate, token=token, password="chosen by myself") == user_id
    mia = live(session_of(people.mia.user_id))
    assert mia is not None
    assert user_id in mia.viewer.owner_ids, "her manager sees her customers from now on"
    with pytest.raises(Conflict):
        done(people.root, undo.undo, change_set_id=set_id, source="screen")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"username": "ann"}, "username"),
        ({"username": " ANN"}, "username"),
        ({"username": ""}, "username"),
        ({"username": "two words"}, "username"),
        ({"username": "-"}, "username"),
        ({"username": "x" * 65}, "username"),
        ({"username": "new", "email": "no address"}, "email"),
        ({"username": "new", "name": "x" * 201}, "name"),
        ({"username": "new", "team": "x" * 201}, "team"),
    ],
)
def test_what_is_refused(people: make.People, values: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        done(people.root, users.add, **({"role": Role.SALES} | values))
    assert list(refused.value.fields) == [field]


@pytest.mark.parametrize("role", ["gate", "worker", "owner", ""])
def test_roles_of_processes_are_for_nobody(people: make.People, role: str) -> None:
    with pytest.raises(Invalid):
        done(people.root, users.add, username="new", role=role)
    with pytest.raises(Invalid):
        done(people.root, users.change, user_id=people.ann.user_id, role=role)


def test_only_administrators(people: make.People) -> None:
    for viewer in people.everyone:
        if viewer is people.root:
            continue
        for command, params in (
            (users.add, {"username": "new", "role": Role.ADMIN}),
            (users.change, {"user_id": viewer.user_id, "role": Role.ADMIN}),
            (users.set_active, {"user_id": people.root.user_id, "active": False}),
        ):
            with pytest.raises(Refused):
                done(viewer, command, **params)
        with pytest.raises(Refused), begin(viewer) as conn:
            users.everyone(conn, viewer=viewer)


def test_role_and_team_hold_from_the_next_click(people: make.People) -> None:
    ann = session_of(people.ann.user_id)
    set_id = done(people.root, users.change, user_id=people.ann.user_id, role=Role.MANAGER, team="Team 2")
    found = live(ann)
    assert found is not None
    assert found.viewer.role is Role.MANAGER
    assert set(found.viewer.owner_ids) == {NOBODY, people.ann.user_id, people.cho.user_id, people.max.user_id}
    done(people.root, undo.undo, change_set_id=set_id, source="screen")
    back = live(ann)
    assert back is not None
    assert back.viewer == people.ann


def test_a_deactivated_user_is_out_at_once_and_can_return(people: make.People, owner: Connection) -> None:
    ann = session_of(people.ann.user_id)
    done(people.root, users.set_active, user_id=people.ann.user_id, active=False)
    assert live(ann) is None
    with pytest.raises(Invalid):
        done(people.root, users.set_active, user_id=people.ann.user_id, active=False)
    done(people.root, users.set_active, user_id=people.ann.user_id, active=True)
    assert live(ann) is not None
    commands = list(owner.scalars(select(schema.change_sets.c.command).order_by(schema.change_sets.c.id)))
    assert commands == ["users.deactivate", "users.change"]


def test_the_last_administrator_stays(people: make.People) -> None:
    with pytest.raises(Invalid, match="last"):
        done(people.root, users.set_active, user_id=people.root.user_id, active=False)
    with pytest.raises(Invalid, match="last"):
        done(people.root, users.change, user_id=people.root.user_id, role=Role.ANALYST)
    done(people.root, users.change, user_id=people.mia.user_id, role=Role.ADMIN)
    done(people.root, users.change, user_id=people.root.user_id, role=Role.ANALYST)


def test_nobody_is_not_a_user(people: make.People) -> None:
    for command, params in ((users.change, {"role": Role.ADMIN}), (users.set_active, {"active": True})):
        with pytest.raises(NotFound):
            done(people.root, command, user_id=NOBODY, **params)
    with begin(people.root) as conn:
        found, more = users.everyone(conn, viewer=people.root)
        assert NOBODY not in [user.id for user in found]
        assert not more
        first, more = users.everyone(conn, viewer=people.root, limit=3)
        assert (len(first), more) == (3, True)


# --- what two do at once, and what a form does not know --------------------------------------------------------------


def both(*calls: Callable[[], Any]) -> list[Any]:
    """What each of two commands that start together gives or raises."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return call()
        except KehuError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize("turn", range(4))
def test_two_administrators_cannot_remove_each_other(people: make.People, turn: int) -> None:
    done(people.root, users.change, user_id=people.mia.user_id, role=Role.ADMIN)
    mia = Viewer(people.mia.user_id, "mia", Role.ADMIN)
    away = (users.set_active, {"active": False}), (users.change, {"role": Role.SALES})

    def against(actor: Viewer, other: Viewer, n: int) -> Callable[[], Any]:
        command, params = away[n]
        return lambda: done(actor, command, user_id=other.user_id, **params)

    found = both(against(people.root, mia, turn % 2), against(mia, people.root, turn // 2))
    refused = [one for one in found if isinstance(one, KehuError)]
    assert len(refused) == 1, "one of them comes too late"
    assert "last active administrator" in refused[0].message
    survivors = [v for v in (people.root, mia) if known_past_rights(v.user_id) == ("admin", True)]
    assert len(survivors) == 1


def known_past_rights(user_id: int) -> tuple[str, bool]:
    with connection.begin_owner() as conn:
        u = schema.users.c
        return tuple(conn.execute(select(u.role, u.active).where(u.id == user_id)).one())


def test_two_make_the_same_new_team(people: make.People) -> None:
    with connection.begin_owner() as conn:
        conn.exec_driver_sql("SELECT setval('teams_id_seq', 100)")  # the cast's teams brought their own ids

    def into(person: Viewer) -> Callable[[], Any]:
        return lambda: done(people.root, users.change, user_id=person.user_id, role=Role.SALES, team="北方")

    found = both(into(people.ann), into(people.cho))
    assert all(isinstance(one, int) for one in found), found
    assert {known(people.root, name).team for name in ("ann", "cho")} == {"北方"}
    with begin(people.root) as conn:
        assert users.teams(conn, viewer=people.root) == ("北方", "Team 1", "Team 2")


def test_a_form_that_is_out_of_date_overwrites_nothing(people: make.People) -> None:
    opened = known(people.root, "ann")
    change = {"user_id": people.ann.user_id, "opened": opened}
    done(people.root, users.change, user_id=people.ann.user_id, role=Role.SALES, team="Team 2")
    with pytest.raises(Conflict):
        done(people.root, users.change, role=Role.MANAGER, team="Team 1", **change)
    assert (known(people.root, "ann").role, known(people.root, "ann").team) == (Role.SALES, "Team 2")
    change["opened"] = known(people.root, "ann")
    done(people.root, users.change, role=Role.MANAGER, team="Team 2", **change)
    assert known(people.root, "ann").role is Role.MANAGER


def test_every_wrong_field_is_named_at_once(people: make.People, owner: Connection) -> None:
    wrong = {"username": "two words", "name": "x" * 201, "email": "nobody", "team": "x" * 1_001}
    with pytest.raises(Invalid) as refused:
        done(people.root, users.add, role=Role.SALES, **wrong)
    assert list(refused.value.fields) == list(wrong)
    assert "1,001 characters" in refused.value.fields["team"]
    with pytest.raises(Invalid) as refused:
        done(people.root, users.change, user_id=people.ann.user_id, role=Role.SALES, team="x" * 201)
    assert list(refused.value.fields) == ["team"]
    assert owner.scalars(select(schema.change_sets.c.id)).all() == []


# --- locks, states, words --------------------------------------------------------------------------------------------


def lock(username: str) -> None:
    with begin(GATE, write=True) as conn:
        for _try in range(passwords.TRIES + 1):
            passwords.attempt(conn, username=username)


def test_a_lock_is_seen_and_taken_off_by_administrators_alone(people: make.People) -> None:
    lock("ann")
    assert known(people.root, "ann").state is users.State.LOCKED
    for viewer in people.everyone:
        if viewer is not people.root:
            with pytest.raises(Refused), begin(GATE, write=True) as conn:
                passwords.unlock(conn, actor=viewer, user_id=people.ann.user_id)
    for nobody in (NOBODY, 10**9):
        with pytest.raises(NotFound), begin(GATE, write=True) as conn:
            passwords.unlock(conn, actor=people.root, user_id=nobody)
    with begin(GATE, write=True) as conn:
        passwords.unlock(conn, actor=people.root, user_id=people.ann.user_id)
    assert (known(people.root, "ann").state, known(people.root, "ann").locked_until) == (users.State.ACTIVE, None)
    with begin(GATE, write=True) as conn:
        assert passwords.attempt(conn, username="ann").locked_until is None
        assert passwords.lock_of(conn, username="bo") is None


def test_a_lock_ends_by_itself_and_the_deactivated_are_not_called_locked(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock("ann")
    lock("bo")
    done(people.root, users.set_active, user_id=people.bo.user_id, active=False)
    assert known(people.root, "bo").state is users.State.DEACTIVATED
    monkeypatch.setenv("KEHU_NOW", (clock.now() + passwords.LOCK).isoformat())
    assert known(people.root, "ann").state is users.State.ACTIVE


def test_users_are_found_by_what_one_knows_of_them(people: make.People) -> None:
    done(people.root, users.add, username="zwl", role=Role.SALES, name="张伟丽", email="wl@example.com", team="Team 1")
    found = known(people.root, "zwl")
    for words in ("", "张", "zhangwei", "zwl", "WL@", "team 1", "wei team", " ＺＷＬ "):
        assert found.found_by(words), words
    for words in ("li team 2", "ann", "%", "_"):
        assert not found.found_by(words), words


def test_how_many_customers_somebody_owns(people: make.People) -> None:
    with connection.begin_owner() as conn:
        for archived_at in (None, None, clock.now()):
            make.customer(conn, people.ann.user_id, archived_at=archived_at)
    with begin(people.root) as conn:
        assert users.owned(conn, viewer=people.root, user_id=people.ann.user_id) == 2
        assert users.owned(conn, viewer=people.root, user_id=people.bo.user_id) == 0
