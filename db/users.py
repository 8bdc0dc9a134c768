"""The people who use Kehu: list, add, change role and team, deactivate. Sign-in is in db/passwords.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import Connection, Select, func, select
from sqlalchemy.exc import IntegrityError

from db import changes, clock, schema, text
from db.errors import Conflict, Invalid, NotFound
from db.passwords import username_of
from db.permissions import NOBODY, Permission, Role, Viewer
from db.words import _

MOST_USERS = 1_000
MOST_NAME = 200
_USERNAME = re.compile(r"\w[\w.@+-]{0,63}")

_users = schema.users.c
_teams = schema.teams.c


class State(StrEnum):
    """Whether somebody can sign in now."""

    ACTIVE = "active"
    LOCKED = "locked"
    DEACTIVATED = "deactivated"


@dataclass(frozen=True)
class User:
    """A user as administrators see them: `locked_until` after too many wrong passwords, `seen_at` the last visit."""

    id: int
    username: str
    name: str
    email: str
    role: Role
    team: str
    active: bool
    demo: bool
    seen_at: datetime | None
    locked_until: datetime | None

    @property
    def state(self) -> State:
        """Deactivated, locked for the moment, or neither."""
        if not self.active:
            return State.DEACTIVATED
        return State.LOCKED if self.locked_until and self.locked_until > clock.now() else State.ACTIVE

    def found_by(self, words: str) -> bool:
        """Whether every word stands in the name (in pinyin and by its initials too), user name, e-mail or team."""
        wanted = text.match_key(words).split()
        if not wanted:
            return True
        known = [text.match_key(part) for part in (self.name, self.username, self.email, self.team)]
        known += [text.pinyin(self.name), text.initials(self.name)]
        return all(any(word in part for part in known) for word in wanted)


def everyone(conn: Connection, *, viewer: Viewer, limit: int = MOST_USERS) -> tuple[tuple[User, ...], bool]:
    """The users by user name, and whether there are more than `limit`."""
    viewer.require(Permission.USERS_MANAGE)
    rows = conn.execute(_listed().order_by(_users.username).limit(limit + 1))
    found = tuple(_user(row) for row in rows)
    return found[:limit], len(found) > limit


everyone.volatile = True  # type: ignore[attr-defined]  # visits and wrong passwords move no generation


def teams(conn: Connection, *, viewer: Viewer) -> tuple[str, ...]:
    """The teams by name, those without members too."""
    viewer.require(Permission.USERS_MANAGE)
    return tuple(sorted(conn.scalars(select(_teams.name)), key=text.sort_key))


def owned(conn: Connection, *, viewer: Viewer, user_id: int) -> int:
    """How many customers this user owns; archived ones do not count."""
    viewer.require(Permission.USERS_MANAGE)
    c = schema.customers.c
    counted = select(func.count()).where(c.owner_id == user_id, c.archived_at.is_(None))
    return conn.scalar(counted) or 0


def get(conn: Connection, *, viewer: Viewer, username: str) -> User:
    """One user. Raises NotFound."""
    viewer.require(Permission.USERS_MANAGE)
    row = conn.execute(_listed().where(_users.username == username_of(username))).one_or_none()
    if row is None:
        raise _unknown(username)
    return _user(row)


def named(conn: Connection, *, viewer: Viewer, username: str) -> tuple[int, str]:
    """Id and name behind a user name, for everybody; "-" is nobody's, and nobody has no name. Raises NotFound."""
    viewer.require(Permission.USERS_READ)
    found = conn.execute(select(_users.id, _users.name).where(_users.username == username_of(username))).one_or_none()
    if found is None:
        raise _unknown(username)
    return found.id, found.name


# --- commands --------------------------------------------------------------------------------------------------------


def add(
    conn: Connection,
    *,
    actor: Viewer,
    username: str,
    role: Role,
    name: str = "",
    team: str = "",
    email: str = "",
    source: str = "screen",
    screen: str = "",
) -> tuple[int, int]:
    """Add a user without a password, who chooses one by a link; gives (user id, change set id).

    A team that is not there yet is made. Raises Invalid with every field that cannot be accepted, Refused.
    """
    actor.require(Permission.USERS_MANAGE)
    row: dict[str, Any] = {
        "username": username_of(username),
        "name": text.clean(name) or username_of(username),
        "email": text.clean(email) or None,
        "role": _checked_role(role),
    }
    problems = {
        "username": "" if _USERNAME.fullmatch(row["username"]) else _not_a_username(),
        "name": _too_long(row["name"]),
        "email": _not_an_address(row["email"]),
        "team": _too_long(text.clean(team)),
    }
    if any(problems.values()):
        wrong = {field: problem for field, problem in problems.items() if problem}
        raise Invalid(_("Some fields need another look."), fields=wrong)
    if row["email"]:
        row["email"] = validate_email(row["email"], check_deliverability=False).normalized
    set_id = _start(conn, actor, "users.add", source, screen)
    row["team_id"] = _team_id(conn, set_id, team)
    try:
        with conn.begin_nested():
            [user_id] = changes.insert(conn, set_id, "users", [row])
    except IntegrityError as error:
        problem = _("There is a user named {name} already.").format(name=row["username"])
        raise Invalid(problem, fields={"username": problem}) from error
    return user_id, set_id


def change(
    conn: Connection,
    *,
    actor: Viewer,
    user_id: int,
    role: Role,
    team: str | None = None,
    opened: User | None = None,
    source: str = "screen",
    screen: str = "",
) -> int:
    """Give a user another role, and another team ('' takes it away, None leaves it); gives the change set id.

    It holds from the next click on. `opened` is the user as the form showed them: Conflict when somebody has given them
    another role or team since. Raises NotFound, Refused, and Invalid for the last administrator.
    """
    actor.require(Permission.USERS_MANAGE)
    patch: dict[str, object] = {"id": user_id, "role": _checked_role(role)}
    if team is not None and _too_long(text.clean(team)):
        problem = _too_long(text.clean(team))
        raise Invalid(problem, fields={"team": problem})
    if role is not Role.ADMIN:
        _keep_an_administrator(conn, without=user_id)
    _there(conn, user_id)
    if opened is not None:
        now = _user(conn.execute(_listed().where(_users.id == user_id)).one())
        if (now.role, now.team) != (opened.role, opened.team):
            raise Conflict(_("Somebody else has just changed this user. Look at what is there now, then save again."))
    set_id = _start(conn, actor, "users.change", source, screen)
    if team is not None:
        patch["team_id"] = _team_id(conn, set_id, team)
    changes.update(conn, set_id, "users", [patch])
    return set_id


def set_active(
    conn: Connection, *, actor: Viewer, user_id: int, active: bool, source: str = "screen", screen: str = ""
) -> int:
    """Keep a user out, or let them in again; gives the change set id. Their customers stay theirs.

    Raises NotFound, Refused, and Invalid when it is so already or this is the last administrator.
    """
    actor.require(Permission.USERS_MANAGE)
    if not active:
        _keep_an_administrator(conn, without=user_id)
    if _there(conn, user_id) is active:
        raise Invalid(_("This user is active already.") if active else _("This user is deactivated already."))
    set_id = _start(conn, actor, "users.change" if active else "users.deactivate", source, screen)
    changes.update(conn, set_id, "users", [{"id": user_id, "active": active}])
    return set_id


def _start(conn: Connection, actor: Viewer, command: str, source: str, screen: str) -> int:
    return changes.start(
        conn, actor=actor, command=command, permission=Permission.USERS_MANAGE, source=source, screen=screen
    )


def _there(conn: Connection, user_id: int) -> bool:
    """Whether the user is active; the row stays locked until the commit."""
    query = select(_users.active).where(_users.id == user_id, _users.id != NOBODY).with_for_update()
    active = conn.scalar(query)
    if active is None:
        raise NotFound(_("There is no such user."))
    return bool(active)


def _keep_an_administrator(conn: Connection, *, without: int) -> None:
    """Raise Invalid when no other active administrator is left; locked, so that two cannot demote each other."""
    query = select(_users.id).where(_users.role == Role.ADMIN.value, _users.active).order_by(_users.id)
    admins = set(conn.scalars(query.with_for_update()))
    if admins == {without}:
        raise Invalid(_("This is the last active administrator. Make somebody else one first."))


def _team_id(conn: Connection, set_id: int, name: str) -> int | None:
    """The team of this name, made when it is not there yet; None without a name."""
    wanted = text.clean(name)
    if not wanted:
        return None
    named = select(_teams.id).where(_teams.name == wanted)
    found = conn.scalar(named)
    if found is None:
        try:
            with conn.begin_nested():
                return changes.insert(conn, set_id, "teams", [{"name": wanted}])[0]
        except IntegrityError:  # somebody else has just made it
            found = conn.scalars(named).one()
    return int(found)


def _checked_role(role: str) -> str:
    if role not in schema.ROLES:
        problem = _("There is no role “{role}”.").format(role=role)
        raise Invalid(problem, fields={"role": problem})
    return str(role)


def _not_a_username() -> str:
    return _("Letters, digits and . @ + - _ make a user name, 64 at most and no blanks.")


def _too_long(name: str) -> str:
    if len(name) <= MOST_NAME:
        return ""
    return _("{n} characters are too many; at most {most}.").format(n=f"{len(name):,}", most=MOST_NAME)


def _not_an_address(email: str | None) -> str:
    try:
        if email:
            validate_email(email, check_deliverability=False)
    except EmailNotValidError:
        return _("This is not an e-mail address. Example: name@example.com")
    return ""


def _unknown(username: str) -> NotFound:
    return NotFound(
        _("There is no user “{name}”. `python -m db users list` shows all.").format(name=username_of(username))
    )


def _listed() -> Select:
    return (
        select(
            _users.id,
            _users.username,
            _users.name,
            _users.email,
            _users.role,
            _teams.name.label("team"),
            _users.active,
            _users.demo,
            _users.seen_at,
            _users.locked_until,
        )
        .select_from(schema.users.outerjoin(schema.teams, _teams.id == _users.team_id))
        .where(_users.id != NOBODY)
    )


def _user(row: object) -> User:
    found = dict(row._mapping)  # type: ignore[attr-defined]
    return User(**(found | {"email": found["email"] or "", "team": found["team"] or "", "role": Role(found["role"])}))
