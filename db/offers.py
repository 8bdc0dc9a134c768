"""Files offered to one user for ten minutes under an address nobody can guess, and what became of them.

Everything here runs as the gate; the rows themselves are read under the viewer's own rights (db/exports.py).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from db import clock, schema
from db.exports import get
from db.permissions import Viewer
from db.sessions import digest

LIFE = timedelta(minutes=10)
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")

_c = schema.exports.c


@dataclass(frozen=True)
class Offer:
    """An offer that is still good."""

    id: int
    kind: str
    params: Mapping[str, Any]


def make(conn: Connection, *, actor: Viewer, kind: str, params: Mapping[str, Any]) -> str:
    """Offer a file to the actor; gives the token of its address. Raises NotFound, Refused."""
    actor.require(get(kind).permission)
    now = clock.now()
    token = secrets.token_urlsafe(32)
    # What the last files were filtered by may hold a customer's name: it is kept only as long as it is of use.
    forgotten = update(schema.exports).where(_c.user_id == actor.user_id, _c.expires_at <= now)
    conn.execute(forgotten.values(params={}))
    conn.execute(
        insert(schema.exports).values(
            user_id=actor.user_id,
            token_hash=digest(token),
            kind=kind,
            params=_storable(params),
            created_at=now,
            expires_at=now + LIFE,
        )
    )
    return token


def _storable(value: Any) -> Any:
    """What jsonb can hold: texts without NUL and halves of characters, which a search takes out too."""
    if isinstance(value, str):
        return _NO_TEXT.sub("", value)
    if isinstance(value, Mapping):
        return {key: _storable(inner) for key, inner in value.items()}
    return [_storable(inner) for inner in value] if isinstance(value, list | tuple) else value


def take(conn: Connection, *, viewer: Viewer, token: str) -> Offer | None:
    """The offer of this token if it was made to this viewer and is still good."""
    row = conn.execute(
        select(_c.id, _c.kind, _c.params).where(
            _c.token_hash == digest(token), _c.user_id == viewer.user_id, _c.expires_at > clock.now()
        )
    ).one_or_none()
    return Offer(row.id, row.kind, row.params) if row else None


def note(conn: Connection, *, offer_id: int, rows: int) -> None:
    """Write down that the file was fetched whole, and how many rows it had."""
    conn.execute(update(schema.exports).where(_c.id == offer_id).values(downloaded_at=clock.now(), rows=rows))
