"""Users: added without a password, changed, kept out and let in again; never without an administrator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select

from db import passwords, schema, sessions, undo, users
from db.connection import begin
from db.errors import Conflict, Invalid, NotFound, Refused
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
