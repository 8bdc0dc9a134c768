"""Who changed what and when: change sets and the images of their rows."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import Connection, TableValuedAlias, column, func, select

from db import keyed, schema
from db.changes import LARGEST_ID
from db.errors import NotFound
from db.permissions import Permission, Viewer
from db.words import _

MOST_SETS = 200
MOST_ROWS = 500

_S, _H, _U = schema.change_sets.c, schema.changes.c, schema.users.c
_SET = (
    *(_S.id, _S.made_at, _U.name.label("actor")),
    *(_S.command, _S.permission, _S.source, _S.screen, _S.reason, _S.undoes_id),
)
"""What is said of a change set."""


def of_customer(conn: Connection, *, viewer: Viewer, customer_id: int, limit: int = MOST_SETS) -> pd.DataFrame:
    """Change sets that touched the customer, newest first: their last `limit` changed rows, at most MOST_ROWS.

    Columns: those of `sets` without what counts, and `details`: the changed rows, newest first, with `lines`.
    """
    viewer.require(Permission.CUSTOMERS_READ)
    s = sets_of(customer_id).c
    known = [s.get(c.name, c) for c in _SET]
    rows = conn.execute(
        select(*known, *_H)
        .select_from(schema.changes.join(s.id.table, s.id == _H.change_set_id).join(schema.users, _U.id == s.actor_id))
        .where(_H.customer_id == customer_id)
        .order_by(_H.id.desc())
        .limit(max(1, min(limit, MOST_ROWS)))
    ).mappings()
    sets: dict[int, dict[str, Any]] = {}
    for row in rows:
        found = sets.setdefault(row[s.id], {c.name: row[c] for c in known} | {"details": []})
        found["details"].append(_detail(row))
    frame = pd.DataFrame(list(sets.values()), columns=[*(c.name for c in _SET), "details"])
    return _with_undone(conn, frame)


def sets_of(customer_id: int) -> TableValuedAlias:
    """The change sets that touched a customer whom the viewer may see, with the columns of `change_sets`."""
    columns = [column(c.name, c.type) for c in _S]
    return func.customer_change_sets(customer_id).table_valued(*columns, name="s")


def sets(conn: Connection, *, viewer: Viewer, before_id: int | None = None, limit: int = 50) -> pd.DataFrame:
    """Change sets the viewer may see, newest first.

    Columns: id, made_at, actor, command, permission, source, screen, reason, undoes_id, undone_by, rows and customers
    (how many that one may see), customer_id (where it is one customer's).
    """
    viewer.require(Permission.CHANGES_READ)
    newest = select(*_SET).select_from(schema.change_sets.join(schema.users, _U.id == _S.actor_id))
    if before_id is not None:
        newest = newest.where(_S.id < before_id)
    page = newest.order_by(_S.id.desc()).limit(max(1, min(limit, MOST_SETS))).subquery()
    counted = (
        select(
            func.count().label("rows"),
            func.count(_H.customer_id.distinct()).label("customers"),
            func.min(_H.customer_id).label("customer_id"),
        )
        .where(_H.change_set_id == page.c.id)
        .lateral()
    )
    rows = conn.execute(select(page, counted).order_by(page.c.id.desc()))
    frame = pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))
    frame["customer_id"] = frame["customer_id"].astype("Int64").where(frame["customers"] == 1)
    return _with_undone(conn, frame)


def details(conn: Connection, *, viewer: Viewer, change_set_id: int, limit: int = MOST_ROWS) -> pd.DataFrame:
    """The changes of a set as lines: table, id, customer_id, action, column, before, after. Cut at `limit` rows."""
    viewer.require(Permission.CHANGES_READ)
    if change_set_id > LARGEST_ID or conn.scalar(select(_S.id).where(_S.id == change_set_id)) is None:
        raise NotFound(_("There is no change {id} that you may see.").format(id=change_set_id))
    rows = conn.execute(select(schema.changes).where(_H.change_set_id == change_set_id).order_by(_H.id).limit(limit))
    lines = [line for row in rows.mappings() for line in _detail(row)["lines"]]
    return pd.DataFrame(lines, columns=["table", "id", "customer_id", "action", "column", "before", "after"])


def _with_undone(conn: Connection, frame: pd.DataFrame) -> pd.DataFrame:
    """Column undone_by added; ids that may be missing are whole numbers or <NA>, never floats."""
    ids = [int(i) for i in frame["id"]]
    undone = {u: i for u, i in conn.execute(select(_S.undoes_id, _S.id).where(_S.undoes_id.in_(ids)))}
    frame["undone_by"] = pd.array([undone.get(i) for i in ids], dtype="Int64")
    frame["undoes_id"] = frame["undoes_id"].astype("Int64")
    return frame


def lines(row: Any) -> list[dict[str, Any]]:
    """A row of `changes` as lines: table, id, customer_id, action, column, before, after; one at least."""
    found: list[dict[str, Any]] = _detail(row)["lines"]
    return found


def _detail(row: Any) -> dict[str, Any]:
    """One changed row: its table and action, and a line for each value a person would recognise."""
    table = schema.metadata.tables[row[_H.table_name]]
    before = row[_H.before] | row[_H.before_personal]
    after = row[_H.after] | row[_H.after_personal]
    known = {"table": table.name, "id": row[_H.row_id], "customer_id": row[_H.customer_id], "action": row[_H.action]}
    shown = [
        c
        for c in (column.name for column in table.columns)
        if c in before.keys() | after.keys()
        and c not in keyed.columns(table)
        and not table.c[c].info.get("derived")
        and c not in ("version", "created_at", "updated_at")
    ]
    before, after = keyed.spread(table, before), keyed.spread(table, after)
    shown += sorted(c for c in before.keys() | after.keys() if "." in c and before.get(c) != after.get(c))
    lines = [known | {"column": c, "before": before.get(c), "after": after.get(c)} for c in shown]
    return known | {"lines": lines or [known | {"column": "", "before": None, "after": None}]}
