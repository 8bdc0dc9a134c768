"""Who changed what and when: change sets and the images of their rows."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import Connection, func, select

from db import schema
from db.errors import NotFound
from db.permissions import Permission, Viewer
from db.words import _

MOST_SETS = 200
MOST_ROWS = 500


def of_customer(conn: Connection, *, viewer: Viewer, customer_id: int, limit: int = MOST_SETS) -> pd.DataFrame:
    """Change sets that touched the customer, newest first: the columns of `sets`, and `details` (a list of changes)."""
    viewer.require(Permission.CUSTOMERS_READ)
    h, s, u = schema.changes.c, schema.change_sets.c, schema.users.c
    rows = conn.execute(
        select(s.id, s.made_at, u.name.label("actor"), s.command, s.source, s.screen, s.reason, s.undoes_id, *h)
        .select_from(
            schema.changes.join(schema.change_sets, s.id == h.change_set_id).join(schema.users, u.id == s.actor_id)
        )
        .where(h.customer_id == customer_id)
        .order_by(h.id.desc())
        .limit(limit)
    ).mappings()
    sets: dict[int, dict[str, Any]] = {}
    for row in rows:
        found = sets.setdefault(
            row[s.id], {k: row[k] for k in ("id", "made_at", "actor", "command", "source", "screen", "undoes_id")}
        )
        found.setdefault("details", []).append(_detail(row))
    undone = _undone(conn, list(sets))
    columns = ["id", "made_at", "actor", "command", "source", "screen", "undoes_id", "details", "undone_by"]
    return pd.DataFrame([row | {"undone_by": undone.get(i)} for i, row in sets.items()], columns=columns)


def sets(conn: Connection, *, viewer: Viewer, before_id: int | None = None, limit: int = 50) -> pd.DataFrame:
    """Change sets the viewer may see, newest first.

    Columns: id, made_at, actor, command, permission, source, screen, reason, undoes_id, undone_by, rows (visible ones),
    customer_id (where it is one customer's).
    """
    viewer.require(Permission.CHANGES_READ)
    h, s, u = schema.changes.c, schema.change_sets.c, schema.users.c
    newest = select(
        s.id, s.made_at, u.name.label("actor"), s.command, s.permission, s.source, s.screen, s.reason, s.undoes_id
    ).select_from(schema.change_sets.join(schema.users, u.id == s.actor_id))
    if before_id is not None:
        newest = newest.where(s.id < before_id)
    page = newest.order_by(s.id.desc()).limit(min(limit, MOST_SETS)).subquery()
    counted = (
        select(
            func.count().label("rows"),
            func.count(h.customer_id.distinct()).label("customers"),
            func.min(h.customer_id).label("customer_id"),
        )
        .where(h.change_set_id == page.c.id)
        .lateral()
    )
    rows = conn.execute(select(page, counted).order_by(page.c.id.desc()))
    frame = pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))
    frame["undone_by"] = frame["id"].map(_undone(conn, [int(i) for i in frame["id"]])).astype("Int64")
    frame["customer_id"] = frame["customer_id"].astype("Int64").where(frame["customers"] == 1)
    return frame


def details(conn: Connection, *, viewer: Viewer, change_set_id: int, limit: int = MOST_ROWS) -> pd.DataFrame:
    """The changes of a set as lines: table, id, customer_id, action, column, before, after. Cut at `limit` rows."""
    viewer.require(Permission.CHANGES_READ)
    s, h = schema.change_sets.c, schema.changes.c
    if conn.scalar(select(s.id).where(s.id == change_set_id)) is None:
        raise NotFound(_("There is no change {id} that you may see.").format(id=change_set_id))
    rows = conn.execute(select(schema.changes).where(h.change_set_id == change_set_id).order_by(h.id).limit(limit))
    lines = [line for row in rows.mappings() for line in _detail(row)["lines"]]
    return pd.DataFrame(lines, columns=["table", "id", "customer_id", "action", "column", "before", "after"])


def _undone(conn: Connection, set_ids: list[int]) -> dict[int, int]:
    s = schema.change_sets.c
    return {u: i for u, i in conn.execute(select(s.undoes_id, s.id).where(s.undoes_id.in_(set_ids)))}


def _detail(row: Any) -> dict[str, Any]:
    """One changed row: its table and action, and a line for each value a person would recognise."""
    h = schema.changes.c
    table = schema.metadata.tables[row[h.table_name]]
    before = row[h.before] | row[h.before_personal]
    after = row[h.after] | row[h.after_personal]
    known = {"table": table.name, "id": row[h.row_id], "customer_id": row[h.customer_id], "action": row[h.action]}
    shown = [
        c
        for c in (column.name for column in table.columns)
        if c in before.keys() | after.keys()
        and not table.c[c].info.get("derived")
        and c not in ("version", "created_at", "updated_at")
    ]
    lines = [known | {"column": c, "before": before.get(c), "after": after.get(c)} for c in shown]
    return known | {"lines": lines or [known | {"column": "", "before": None, "after": None}]}
