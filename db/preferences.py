"""What somebody has chosen for themselves, such as the columns of a list; kept for them alone, in no history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from db import clock, column_names, schema
from db.connection import bump
from db.errors import NotFound
from db.permissions import Permission, Viewer
from db.words import _

CUSTOMER_COLUMNS = "customers.columns"
KEYS: dict[str, Callable[[Any], Any]] = {CUSTOMER_COLUMNS: column_names.checked}
"""What can be chosen, and what says whether a value of it can be kept."""

_P = schema.preferences.c


def get(conn: Connection, *, viewer: Viewer, key: str) -> Any:
    """What the viewer has chosen, None where they have not. Raises NotFound for a key that nothing asks for."""
    viewer.require(Permission.VIEWS_EDIT)
    _check(key)
    return conn.scalar(select(_P.value).where(_P.user_id == viewer.user_id, _P.key == key))


get.personal = True  # type: ignore[attr-defined]  # each user's own: never cached for another


def choose(conn: Connection, *, actor: Viewer, key: str, value: Any) -> None:
    """Keep the choice over the one before; None goes back to what is usual. Raises Invalid, NotFound."""
    actor.require(Permission.VIEWS_EDIT)
    _check(key)
    if value is None:
        conn.execute(delete(schema.preferences).where(_P.user_id == actor.user_id, _P.key == key))
    else:
        row = insert(schema.preferences).values(
            user_id=actor.user_id, key=key, value=KEYS[key](value), updated_at=clock.now()
        )
        changed = {"value": row.excluded.value, "updated_at": row.excluded.updated_at}
        conn.execute(row.on_conflict_do_update(index_elements=["user_id", "key"], set_=changed))
    bump(conn, [schema.preferences.info["area"]])


def _check(key: str) -> None:
    if key not in KEYS:
        raise NotFound(_("There is no preference “{name}”.").format(name=key[:60]))
