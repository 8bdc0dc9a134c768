"""What somebody has typed into a form and not saved: kept for them alone, until it is saved, thrown away or old."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from db import clock, schema
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.words import _

MOST_DRAFTS = 50
"""Drafts of one user; the oldest go."""
MOST_BYTES = 100_000
LIFE = timedelta(days=30)
_FORM = re.compile(r"[a-z_]{1,30}:(new|[0-9]{1,18})")
# What jsonb cannot hold.
_UNKEPT = re.compile("[\x00\ud800-\udfff]")

_D = schema.drafts.c


@dataclass(frozen=True)
class Draft:
    """Field → what was typed, of those that differ from what the form was opened with at `version` (0: a new row)."""

    form: str
    values: dict[str, Any]
    version: int
    updated_at: datetime


def get(conn: Connection, *, viewer: Viewer, form: str) -> Draft | None:
    """The viewer's own draft of the form (such as 'customer:123' or 'customer:new'); None without one."""
    viewer.require(Permission.CUSTOMERS_EDIT)
    query = select(_D.form, _D["values"], _D.version, _D.updated_at).where(
        _D.user_id == viewer.user_id, _D.form == form, _D.updated_at > clock.now() - LIFE
    )
    row = conn.execute(query).mappings().first()
    return Draft(**row) if row else None


get.volatile = True  # type: ignore[attr-defined]  # a draft moves no generation


def keep(conn: Connection, *, actor: Viewer, form: str, values: Mapping[str, Any], version: int = 0) -> None:
    """Keep what was typed, over what was kept before. Raises Invalid when it is too large, Refused."""
    actor.require(Permission.CUSTOMERS_EDIT)
    if not _FORM.fullmatch(form):
        raise Invalid(_("There is no form “{name}”.").format(name=form[:60]))
    kept = {str(name): _storable(value) for name, value in values.items()}
    if len(json.dumps(kept, ensure_ascii=False).encode()) > MOST_BYTES:
        raise Invalid(_("This is too long to be kept while you type. Save it, or shorten it."))
    row = insert(schema.drafts).values(
        user_id=actor.user_id, form=form, values=kept, version=version, updated_at=clock.now()
    )
    changed = {c: row.excluded[c] for c in ("values", "version", "updated_at")}
    written = row.on_conflict_do_update(index_elements=["user_id", "form"], set_=changed)
    if conn.scalar(written.returning(literal_column("xmax = 0"))):  # a new one: is there still room?
        _make_room(conn, actor)


def discard(conn: Connection, *, actor: Viewer, form: str) -> None:
    """Forget the draft of the form, if there is one."""
    actor.require(Permission.CUSTOMERS_EDIT)
    conn.execute(delete(schema.drafts).where(_D.user_id == actor.user_id, _D.form == form))


def discard_old(conn: Connection, *, actor: Viewer) -> int:
    """Remove everybody's drafts that are past their life; gives their number. For the worker, which reads none."""
    actor.require(Permission.METRICS_REFRESH)
    return conn.execute(delete(schema.drafts).where(_D.updated_at <= clock.now() - LIFE)).rowcount


def _make_room(conn: Connection, actor: Viewer) -> None:
    mine = _D.user_id == actor.user_id
    newest = select(_D.form).where(mine).order_by(_D.updated_at.desc(), _D.form).limit(MOST_DRAFTS)
    conn.execute(delete(schema.drafts).where(mine, _D.form.not_in(newest)))


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNKEPT.sub("", value)
    if isinstance(value, list | tuple):
        return [_storable(each) for each in value]
    return value if value is None or isinstance(value, bool | int) else str(value)
