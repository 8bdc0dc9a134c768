"""Passwords: their rules, checking one without telling which names exist, changing one, one-time links.

Everything here runs as the gate. Of a password bcrypt is stored, of a link the SHA-256. A password is taken as typed
(not trimmed) and folded by NFKC, because the same Chinese or accented password leaves two keyboards as different bytes.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import bcrypt
from sqlalchemy import ColumnElement, Connection, and_, case, delete, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from db import clock, schema, text
from db.errors import Invalid, NotFound
from db.permissions import NOBODY, Permission, Role, Viewer
from db.sessions import Person, digest, next_epoch
from db.words import _

LINK_LIFE = timedelta(days=7)
TRIES = 5
"""Wrong passwords in a row, each within LOCK of the one before, until a name is locked."""
LOCK = timedelta(minutes=15)
ATTEMPTS_KEPT = timedelta(days=1)

MIN_LENGTH = 10
MAX_BYTES = 72  # bcrypt refuses more
BCRYPT_COST = 12

_users = schema.users.c
_links = schema.user_links.c
_attempts = schema.sign_in_attempts.c


@dataclass(frozen=True)
class Attempt:
    """One attempt to sign in, counted already: `locked_until` is set when the password must not even be looked at."""

    username: str
    user_id: int | None
    password_hash: str | None
    locked_until: datetime | None


@dataclass(frozen=True)
class Verdict:
    """Whether a password was right; when not, until when the name is locked, if it is."""

    ok: bool
    locked_until: datetime | None = None


def username_of(typed: str) -> str:
    """The stored form of a user name."""
    return text.clean(typed).lower()


def _bytes(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode()


def check_rules(password: str) -> None:
    """Raise Invalid with a sentence when a new password is too short, too long or holds characters nobody can type."""
    problem = ""
    if len(password) < MIN_LENGTH:
        problem = _("Choose a password of at least {n} characters.").format(n=MIN_LENGTH)
    elif len(_bytes(password)) > MAX_BYTES:
        problem = _("This password is too long: {n} bytes at most, and a Chinese character counts as three.").format(
            n=MAX_BYTES
        )
    elif re.search(r"[\x00-\x1f\x7f]", password):
        problem = _("The password contains a control character. Type it instead of pasting it.")
    elif len(set(password)) < 4:
        problem = _("This password repeats the same few characters. Choose a less simple one.")
    if problem:
        raise Invalid(problem, fields={"password": problem})


def hashed(password: str) -> str:
    """bcrypt of a password that meets the rules. Takes a quarter of a second."""
    check_rules(password)
    return bcrypt.hashpw(_bytes(password), bcrypt.gensalt(BCRYPT_COST)).decode()


@cache
def nobodys_hash() -> str:
    """A hash that no password matches: comparing with it takes as long as with a real one."""
    return bcrypt.hashpw(secrets.token_bytes(32), bcrypt.gensalt(BCRYPT_COST)).decode()


def verify(attempt: Attempt, password: str) -> bool:
    """Whether the password is the attempt's; takes the same time when there is no such user."""
    given = _bytes(password)
    if len(given) > MAX_BYTES or b"\0" in given:
        given, known = b"-", None
    else:
        known = attempt.password_hash
    right = bcrypt.checkpw(given, (known or nobodys_hash()).encode())
    return right and known is not None and attempt.user_id is not None and attempt.locked_until is None


def attempt(conn: Connection, *, username: str) -> Attempt:
    """Count an attempt and look the name up. Commit before verifying, so that parallel guesses count too.

    A name that does not exist is counted and locked like any other. The fifth attempt still may be right; those after
    it are locked, and do not prolong the lock.
    """
    name = username_of(username)
    now = clock.now()
    t = schema.sign_in_attempts
    fresh = or_(
        _attempts.locked_until <= now, and_(_attempts.locked_until.is_(None), _attempts.updated_at < now - LOCK)
    )
    count: ColumnElement[int] = case((fresh, 1), else_=_attempts.failed_count + 1)
    until = case((fresh, None), (count == TRIES, now + LOCK), else_=_attempts.locked_until)
    statement = upsert(t).values(name_hash=digest(name), failed_count=1, updated_at=now)
    counted = conn.execute(
        statement.on_conflict_do_update(
            index_elements=["name_hash"], set_={"failed_count": count, "locked_until": until, "updated_at": now}
        ).returning(_attempts.failed_count, _attempts.locked_until)
    ).one()
    # For the administrators' list; the same statement whether the name exists or not.
    conn.execute(
        update(schema.users)
        .where(_users.username == name, _users.active)
        .values(failed_count=counted.failed_count, locked_until=counted.locked_until)
    )
    found = conn.execute(
        select(_users.id, _users.password_hash).where(_users.username == name, _users.active)
    ).one_or_none()
    return Attempt(
        name,
        found.id if found else None,
        found.password_hash if found else None,
        counted.locked_until if counted.failed_count > TRIES else None,
    )


def lock_of(conn: Connection, *, username: str) -> datetime | None:
    """Until when this name is locked, None when it is not."""
    until = conn.scalar(select(_attempts.locked_until).where(_attempts.name_hash == digest(username_of(username))))
    return until if until and until > clock.now() else None


def forgive(conn: Connection, *, username: str) -> None:
    """Forget the failed attempts of a name: its password was right, or has just been chosen anew."""
    name = username_of(username)
    old = clock.now() - ATTEMPTS_KEPT
    conn.execute(
        delete(schema.sign_in_attempts).where(or_(_attempts.name_hash == digest(name), _attempts.updated_at < old))
    )
    conn.execute(update(schema.users).where(_users.username == name).values(failed_count=0, locked_until=None))


def unlock(conn: Connection, *, actor: Viewer, user_id: int) -> None:
    """Let somebody who was locked out by wrong passwords try again at once. Raises NotFound."""
    actor.require(Permission.USERS_MANAGE)
    name = conn.scalar(select(_users.username).where(_users.id == user_id, _users.id != NOBODY))
    if name is None:
        raise NotFound(_("There is no such user."))
    forgive(conn, username=name)


def change(conn: Connection, *, actor: Viewer, session_id: int, old: str, new: str) -> Verdict:
    """Replace the actor's own password; every session but the present one ends.

    A wrong old password is a result and not an error, because it must be counted: five lock the name as at sign-in.
    Raises Invalid when the new password breaks the rules.
    """
    actor.require(Permission.ACCOUNT_EDIT)
    if _bytes(new) == _bytes(old):
        problem = _("The new password is the same as the old one.")
        raise Invalid(problem, fields={"password": problem})
    new_hash = hashed(new)
    tried = attempt(conn, username=actor.username)
    if tried.user_id != actor.user_id or not verify(tried, old):
        return Verdict(False, lock_of(conn, username=actor.username))
    forgive(conn, username=actor.username)
    _set_password(conn, actor.user_id, new_hash, stays=session_id)
    return Verdict(True)


# --- one-time links --------------------------------------------------------------------------------------------------


def create_link(conn: Connection, *, actor: Viewer, user_id: int) -> str:
    """A link token with which a user chooses a password: good once, for LINK_LIFE; earlier ones end.

    Raises NotFound.
    """
    actor.require(Permission.USERS_MANAGE)
    now = clock.now()
    if conn.scalar(select(_users.id).where(_users.id == user_id, _users.active)) is None:
        raise NotFound(_("This user does not exist or has been deactivated. Ask an administrator."))
    conn.execute(
        update(schema.user_links).where(_links.user_id == user_id, _links.used_at.is_(None)).values(used_at=now)
    )
    token = secrets.token_urlsafe(32)
    conn.execute(
        insert(schema.user_links).values(
            user_id=user_id, token_hash=digest(token), created_at=now, expires_at=now + LINK_LIFE
        )
    )
    return token


def link_owner(conn: Connection, *, token: str) -> Person | None:
    """Whose link this is; None when it was used, has expired or never was."""
    row = conn.execute(
        select(_users.id, _users.username, _users.name, _users.role, _users.language)
        .join(schema.user_links, _links.user_id == _users.id)
        .where(_good_link(token), _users.active)
    ).one_or_none()
    return Person(row.id, row.username, row.name, Role(row.role), row.language) if row else None


def redeem_link(conn: Connection, *, token: str, password: str) -> int:
    """Set the password of the link's owner and end their sessions; gives the user's id. Works once.

    Raises Invalid when the password breaks the rules (the link stays good), NotFound when the link is not good.
    """
    new_hash = hashed(password)
    user_id: int | None = conn.scalar(
        update(schema.user_links).where(_good_link(token)).values(used_at=clock.now()).returning(_links.user_id)
    )
    if user_id is None:
        raise NotFound(_("This link has been used or has expired. Ask an administrator for a new one."))
    name = conn.scalar(select(_users.username).where(_users.id == user_id, _users.active))
    if name is None:
        raise NotFound(_("This user does not exist or has been deactivated. Ask an administrator."))
    forgive(conn, username=name)
    _set_password(conn, user_id, new_hash)
    return user_id


def _good_link(token: str) -> ColumnElement[bool]:
    return and_(_links.token_hash == digest(token), _links.used_at.is_(None), _links.expires_at > clock.now())


def _set_password(conn: Connection, user_id: int, password_hash: str, *, stays: int | None = None) -> None:
    conn.execute(update(schema.users).where(_users.id == user_id).values(password_hash=password_hash))
    next_epoch(conn, user_id, stays=stays)
