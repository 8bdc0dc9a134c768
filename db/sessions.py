"""Sessions: begun at sign-in, checked in every run, ended one by one or all at once. Everything here runs as the gate.

Of a browser's token and of a ticket only the SHA-256 is stored.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Label, Select, bindparam, case, func, insert, select, update

from db import clock, schema, text, words
from db.errors import Invalid, NotFound
from db.permissions import NOBODY, Permission, Role, Viewer
from db.settings import Settings
from db.settings import get as get_settings
from db.words import _

IDLE = timedelta(hours=12)
"""A session ends after this time without a visit."""
LIFE = timedelta(days=14)
"""A session ends after this time in any case."""
TICKET_LIFE = timedelta(seconds=60)
SEEN_EVERY = timedelta(minutes=1)
"""seen_at is written at most this often."""
MOST_DEVICES = 50

_users = schema.users.c
_sessions = schema.app_sessions.c


@dataclass(frozen=True)
class Session:
    """A live session and what every run needs to know: who, in which language, which data generations, settings."""

    id: int
    viewer: Viewer
    name: str
    language: str | None
    in_cookie: bool
    seen_at: datetime
    generations: tuple[tuple[str, int], ...]
    settings: Settings

    @property
    def stale(self) -> bool:
        """True when seen_at should be written again."""
        return clock.now() - self.seen_at >= SEEN_EVERY

    @property
    def today(self) -> date:
        """The company's present day."""
        return clock.today(self.settings.time_zone)


@dataclass(frozen=True)
class Started:
    """A new session and the one-time ticket that its browser exchanges for a cookie."""

    session_id: int
    ticket: str


@dataclass(frozen=True)
class Cookie:
    """What the browser keeps."""

    token: str
    expires_at: datetime


@dataclass(frozen=True)
class Person:
    """A user as the sign-in screen may show them."""

    user_id: int
    username: str
    name: str
    role: Role
    language: str | None = None


@dataclass(frozen=True)
class Device:
    """One of my sessions, as the account screen lists it."""

    id: int
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    user_agent: str
    address: str


def digest(secret: str) -> str:
    """How a token, ticket or link is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def start(
    conn: Connection, *, user_id: int, user_agent: str = "", address: str = "", language: str | None = None
) -> Started:
    """A session for a user whose identity is proven, with a ticket for the cookie. Raises NotFound.

    `language` is one that was chosen on the sign-in screen: it becomes the user's.
    """
    now = clock.now()
    ticket = secrets.token_urlsafe(32)
    user = conn.execute(select(_users.auth_epoch).where(_users.id == user_id, _users.active)).one_or_none()
    if user is None:
        raise NotFound(_("This user does not exist or has been deactivated. Ask an administrator."))
    session_id: int = conn.execute(
        insert(schema.app_sessions)
        .values(
            user_id=user_id,
            auth_epoch=user.auth_epoch,
            ticket_hash=digest(ticket),
            ticket_until=now + TICKET_LIFE,
            created_at=now,
            seen_at=now,
            expires_at=now + LIFE,
            user_agent=text.clean(user_agent)[:300],
            address=text.clean(address)[:60],
        )
        .returning(_sessions.id)
    ).scalar_one()
    spoken = {"language": language} if language in words.LANGUAGES else {}
    conn.execute(update(schema.users).where(_users.id == user_id).values(seen_at=now, **spoken))
    return Started(session_id, ticket)


def redeem(conn: Connection, *, ticket: str, replaces: str | None = None) -> Cookie | None:
    """Exchange a ticket, once and within its minute, for the browser's token; None when it is not good.

    `replaces` is the token of the cookie this one overwrites: a browser has one session, so that one ends.
    """
    now = clock.now()
    token = secrets.token_urlsafe(32)
    row = conn.execute(
        update(schema.app_sessions)
        .where(
            _sessions.ticket_hash == digest(ticket),
            _sessions.ticket_until > now,
            _sessions.revoked_at.is_(None),
            _sessions.token_hash.is_(None),
        )
        .values(token_hash=digest(token), ticket_hash=None, ticket_until=None)
        .returning(_sessions.id, _sessions.expires_at)
    ).one_or_none()
    if row is None:
        return None
    if replaces:
        conn.execute(
            update(schema.app_sessions)
            .where(_sessions.token_hash == digest(replaces), _sessions.id != row.id, _sessions.revoked_at.is_(None))
            .values(revoked_at=now)
        )
    return Cookie(token, row.expires_at)


def check(conn: Connection, *, session_id: int | None = None, token: str | None = None) -> Session | None:
    """The live session of this id or browser token, None when there is none (any more). One statement.

    Live: not revoked, not expired, visited within IDLE, its user active, and begun in the user's present epoch.
    """
    if session_id is None and not token:
        return None
    now = clock.now()
    which = session_id if session_id is not None else digest(token or "")
    asked = {"which": which, "now": now, "since": now - IDLE}
    row = conn.execute(_live(by_token=session_id is None), asked).one_or_none()
    if row is None:
        return None
    return Session(
        id=row.id,
        viewer=viewer_of(row.user_id, row.username, Role(row.role), row.team),
        name=row.name or row.username,
        language=row.language,
        in_cookie=row.in_cookie,
        seen_at=row.seen_at,
        generations=tuple(sorted((row.generations or {}).items())),
        settings=_settings(row.settings or {}),
    )


@cache
def _live(*, by_token: bool) -> Select[Any]:
    """The statement of `check`, made once: putting it together takes longer than it runs, and every run asks."""
    areas, setting = schema.generations.c, schema.settings.c
    return (
        select(
            _sessions.id,
            _sessions.seen_at,
            _sessions.token_hash.is_not(None).label("in_cookie"),
            _users.id.label("user_id"),
            _users.username,
            _users.name,
            _users.role,
            _users.language,
            team_ids(),
            select(func.jsonb_object_agg(areas.area, areas.n)).scalar_subquery().label("generations"),
            select(func.jsonb_object_agg(setting.key, setting.value)).scalar_subquery().label("settings"),
        )
        .join(schema.users, _users.id == _sessions.user_id)
        .where(
            (_sessions.token_hash if by_token else _sessions.id) == bindparam("which"),
            _sessions.revoked_at.is_(None),
            _sessions.expires_at > bindparam("now"),
            _sessions.seen_at > bindparam("since"),
            _users.active,
            _sessions.auth_epoch == _users.auth_epoch,
        )
    )


def team_ids() -> Label[Any]:
    """For a statement over users: `team`, the ids of a manager's team, NULL for other roles; for `viewer_of`."""
    member = schema.users.alias("member")
    team = (
        select(func.array_agg(member.c.id))
        .where(member.c.team_id == schema.users.c.team_id)
        .correlate(schema.users)
        .scalar_subquery()
    )
    return case((_users.role == Role.MANAGER.value, team)).label("team")


def viewer_of(user_id: int, username: str, role: Role, team: Iterable[int] | None) -> Viewer:
    """A user with their scope: oneself for sales, the team (its former members too) and NOBODY for a manager."""
    owners: tuple[int, ...] = ()
    if role is Role.SALES:
        owners = (user_id,)
    elif role is Role.MANAGER:
        owners = tuple(sorted({NOBODY, user_id, *(team or ())}))
    return Viewer(user_id, username, role, owners)


def touch(conn: Connection, *, session_id: int) -> None:
    """Note a visit, unless the last minute has one."""
    now = clock.now()
    user_id = conn.scalar(
        update(schema.app_sessions)
        .where(_sessions.id == session_id, _sessions.seen_at <= now - SEEN_EVERY)
        .values(seen_at=now)
        .returning(_sessions.user_id)
    )
    if user_id is not None:
        conn.execute(update(schema.users).where(_users.id == user_id).values(seen_at=now))


def revoke(conn: Connection, *, session_id: int | None = None, token: str | None = None) -> None:
    """End one session; nothing happens when it has ended already."""
    which = _sessions.id == session_id if session_id is not None else _sessions.token_hash == digest(token or "")
    conn.execute(
        update(schema.app_sessions)
        .where(which, _sessions.revoked_at.is_(None))
        .values(revoked_at=clock.now(), ticket_hash=None, ticket_until=None)
    )


def demo_users(conn: Connection) -> tuple[Person, ...]:
    """The people of the demo, one of each role, the first by name; none unless the database was made as a demo."""
    if get_settings(conn).demo is not True:  # a "true" that is no boolean opens no door
        return ()
    ranked = select(
        _users.id,
        _users.username,
        _users.name,
        _users.role,
        _users.language,
        func.row_number().over(partition_by=_users.role, order_by=_users.id).label("n"),
    ).where(_users.demo, _users.active)
    rows = ranked.subquery()
    order = case({role.value: i for i, role in enumerate(Role)}, value=rows.c.role)
    found = conn.execute(select(rows).where(rows.c.n == 1).order_by(order))
    return tuple(Person(r.id, r.username, r.name, Role(r.role), r.language) for r in found)


# --- my account ------------------------------------------------------------------------------------------------------


def mine(conn: Connection, *, viewer: Viewer) -> tuple[Device, ...]:
    """The viewer's live sessions, the latest visit first; at most MOST_DEVICES."""
    viewer.require(Permission.ACCOUNT_EDIT)
    now = clock.now()
    rows = conn.execute(
        select(
            _sessions.id,
            _sessions.created_at,
            _sessions.seen_at,
            _sessions.expires_at,
            _sessions.user_agent,
            _sessions.address,
        )
        .join(schema.users, _users.id == _sessions.user_id)
        .where(
            _sessions.user_id == viewer.user_id,
            _sessions.revoked_at.is_(None),
            _sessions.expires_at > now,
            _sessions.seen_at > now - IDLE,
            _sessions.auth_epoch == _users.auth_epoch,
        )
        .order_by(_sessions.seen_at.desc(), _sessions.id.desc())
        .limit(MOST_DEVICES)
    )
    return tuple(Device(*row) for row in rows)


def end(conn: Connection, *, actor: Viewer, session_id: int) -> None:
    """End one of the actor's own sessions. Raises NotFound."""
    actor.require(Permission.ACCOUNT_EDIT)
    ended = conn.execute(
        update(schema.app_sessions)
        .where(_sessions.id == session_id, _sessions.user_id == actor.user_id, _sessions.revoked_at.is_(None))
        .values(revoked_at=clock.now(), ticket_hash=None, ticket_until=None)
    )
    if ended.rowcount == 0:
        raise NotFound(_("This session has ended already."))


def end_all(conn: Connection, *, actor: Viewer, user_id: int | None = None) -> None:
    """Sign a user out everywhere: oneself, or with `users:manage` another."""
    whose = actor.user_id if user_id is None else user_id
    actor.require(Permission.ACCOUNT_EDIT if whose == actor.user_id else Permission.USERS_MANAGE)
    next_epoch(conn, whose)


def set_language(conn: Connection, *, actor: Viewer, language: str) -> None:
    """Keep the actor's language. Raises Invalid for one that Kehu does not speak."""
    actor.require(Permission.ACCOUNT_EDIT)
    if language not in words.LANGUAGES:
        raise Invalid(_("Kehu does not speak {language}.").format(language=language))
    conn.execute(update(schema.users).where(_users.id == actor.user_id).values(language=language))


def _settings(rows: dict[str, object]) -> Settings:
    names = {f.name for f in dataclasses.fields(Settings)} - {"more"}
    known = {key: value for key, value in rows.items() if key in names}
    return Settings(**known, more={k: v for k, v in rows.items() if k not in names})  # type: ignore[arg-type]


def next_epoch(conn: Connection, user_id: int, *, stays: int | None = None) -> None:
    """End all sessions of a user but one, those of an earlier epoch are dead, and every link that would let in."""
    epoch = conn.scalar(
        update(schema.users)
        .where(_users.id == user_id)
        .values(auth_epoch=_users.auth_epoch + 1)
        .returning(_users.auth_epoch)
    )
    if stays is not None:
        conn.execute(
            update(schema.app_sessions)
            .where(_sessions.id == stays, _sessions.user_id == user_id)
            .values(auth_epoch=epoch)
        )
    conn.execute(
        update(schema.app_sessions)
        .where(_sessions.user_id == user_id, _sessions.revoked_at.is_(None), _sessions.id.is_distinct_from(stays))
        .values(revoked_at=clock.now(), ticket_hash=None, ticket_until=None)
    )
    links = schema.user_links
    conn.execute(update(links).where(links.c.user_id == user_id, links.c.used_at.is_(None)).values(used_at=clock.now()))
