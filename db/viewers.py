"""Who a command of the terminal runs as: a user's name turned into the viewer whose rights and scope hold."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, select

from db import schema, sessions
from db.errors import NotFound, Refused
from db.passwords import username_of
from db.permissions import NOBODY, Role, Viewer
from db.words import _

_users = schema.users.c


def viewer_of(conn: Connection, *, username: str) -> Viewer:
    """The viewer of this user name, with the scope a session of theirs would have. Runs as the gate.

    Raises NotFound for an unknown name and Refused for one that has been deactivated.
    """
    name = username_of(username)
    found = _first(conn, _users.username == name)
    if found is None:
        raise NotFound(_("There is no user “{name}”. `python -m db users list` shows all.").format(name=name))
    viewer, active = found
    if not active:
        raise Refused(_("The user “{name}” has been deactivated.").format(name=name))
    return viewer


def first_admin(conn: Connection) -> Viewer | None:
    """The active administrator with the lowest number, one of the demo too; None when there is none."""
    found = _first(conn, (_users.role == Role.ADMIN.value) & _users.active)
    return found[0] if found else None


def _first(conn: Connection, where: ColumnElement[bool]) -> tuple[Viewer, bool] | None:
    row = conn.execute(
        select(_users.id, _users.username, _users.role, _users.active, sessions.team_ids())
        .where(where, _users.id != NOBODY)
        .order_by(_users.id)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return sessions.viewer_of(row.id, row.username, Role(row.role), row.team), bool(row.active)
