"""Taking back a change set: a new change set that puts the before-images back, never over what came since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, and_, func, select
from sqlalchemy.exc import IntegrityError

from db import changes, schema
from db.connection import bump, widen
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import Permission, Role, Viewer
from db.words import _

MOST_ROWS = 200_000
"""Rows of one change set that are taken back at once; more is refused with a sentence."""


@dataclass(frozen=True)
class Undone:
    """What an undo did: its own change set, the rows put back, and those left because they were changed since."""

    change_set_id: int
    rows: int
    conflicts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Step:
    """Changes of one kind on one table, in the order they were made, no row twice."""

    table: Table
    action: str
    rows: list[dict[str, Any]]


def undo(
    conn: Connection,
    *,
    actor: Viewer,
    change_set_id: int,
    source: str,
    screen: str = "",
    leave_conflicts: bool = False,
) -> Undone:
    """Take back one change set as a whole.

    Needs `changes:undo` and the permission of the original command on every row. A column that was changed since is a
    conflict: then nothing is done and Conflict lists both sides, unless `leave_conflicts` asks to take back the rest.
    Raises NotFound, Refused, Invalid (already undone, too large, a load), Conflict.
    """
    actor.require(Permission.CHANGES_UNDO)
    found = conn.execute(select(schema.change_sets).where(schema.change_sets.c.id == change_set_id)).mappings().first()
    if found is None:
        raise NotFound(_("There is no change {id} that you may see.").format(id=change_set_id))
    permission = Permission(found["permission"])
    if not actor.can(permission):
        raise Refused(_("Undoing this needs the right to do it ({permission}).").format(permission=permission))
    _refuse_second(conn, change_set_id)
    if found["actor_id"] == actor.user_id and actor.scoped:
        # One's own hand-over: the customer is out of sight now, but taking it back is part of the command.
        for owner_id in conn.scalar(select(func.change_set_owners(change_set_id))) or ():
            widen(conn, actor, owner_id)
    rows = _rows(conn, change_set_id)
    total = conn.scalar(select(func.change_set_rows(change_set_id))) or 0
    if len(rows) < min(total, MOST_ROWS):
        raise Refused(
            _("This change touched {n} rows that you may not see. Ask your manager to undo it.").format(
                n=total - len(rows)
            )
        )
    if total > MOST_ROWS:
        raise Invalid(_("This change has {n} rows; at most {most} are undone at once.").format(n=total, most=MOST_ROWS))
    set_id = changes.start(
        conn,
        actor=actor,
        command=found["command"],
        permission=permission,
        source=source,
        screen=screen,
        undoes_id=change_set_id,
        batch_id=found["batch_id"],
    )
    conflicts: list[dict[str, Any]] = []
    done = _remove_batch(conn, actor, found["batch_id"]) if found["batch_id"] else 0
    for step in _steps(rows):
        put_back, left = _take_back(conn, actor, set_id, step, change_set_id)
        done += put_back
        conflicts += left
    if conflicts and not leave_conflicts:
        raise Conflict(
            _("{n} values were changed since. Nothing was undone; decide which to keep.").format(n=len(conflicts)),
            rows=conflicts,
        )
    return Undone(set_id, done, conflicts)


def _refuse_second(conn: Connection, change_set_id: int) -> None:
    later = select(schema.change_sets.c.id).where(schema.change_sets.c.undoes_id == change_set_id)
    if conn.scalar(later):
        raise Invalid(_("Change {id} is undone already. To bring it back, undo the undo.").format(id=change_set_id))


def _rows(conn: Connection, change_set_id: int) -> list[dict[str, Any]]:
    c = schema.changes.c
    query = select(schema.changes).where(c.change_set_id == change_set_id).order_by(c.id.desc()).limit(MOST_ROWS)
    return [dict(row) for row in conn.execute(query).mappings()]


def _steps(rows: Sequence[dict[str, Any]]) -> Iterator[_Step]:
    """Newest first; a row that was changed twice stands in two steps."""
    step: _Step | None = None
    seen: set[int] = set()
    for row in rows:
        table = schema.metadata.tables[row["table_name"]]
        if step is None or step.table is not table or step.action != row["action"] or row["row_id"] in seen:
            if step:
                yield step
            step, seen = _Step(table, row["action"], []), set()
        step.rows.append(row)
        seen.add(row["row_id"])
    if step:
        yield step


def _key(t: Table, row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["row_id"]} | ({"customer_id": row["customer_id"]} if "customer_id" in t.columns else {})


def _take_back(
    conn: Connection, actor: Viewer, set_id: int, step: _Step, change_set_id: int
) -> tuple[int, list[dict[str, Any]]]:
    t = step.table
    if step.action == "delete":
        return _insert_again(conn, set_id, step), []
    current = _locked(conn, t, [row["row_id"] for row in step.rows])
    conflicts: list[dict[str, Any]] = []
    ready: list[dict[str, Any]] = []
    since = _first_before(conn, t, step, change_set_id) if step.action == "insert" else {}
    for row in step.rows:
        now = current.get(row["row_id"])
        if now is None:
            conflicts.append(_conflict(t, row, "", None, None, None))
        elif step.action == "insert":
            made = since.get(row["row_id"], {})
            differing = [c for c, was in made.items() if now[c] != was]
            conflicts += [_conflict(t, row, c, None, made[c], now[c]) for c in differing]
            if not differing:
                ready.append(_key(t, row))
        else:
            before = row["before"] | row["before_personal"]
            after = row["after"] | row["after_personal"]
            kept = {c for c in before if now[c] != after[c]}
            conflicts += [_conflict(t, row, c, before[c], after[c], now[c]) for c in sorted(kept) if not _hidden(t, c)]
            if before.keys() - kept:
                ready.append(_key(t, row) | {c: v for c, v in before.items() if c not in kept})
    if step.action == "insert":
        try:
            with conn.begin_nested():
                return changes.delete(conn, set_id, t.name, ready), conflicts
        except IntegrityError as error:
            raise Conflict(
                _("Something was added to this since (a note, an order, another row); take that back first.")
            ) from error
    if actor.scoped and t is schema.customers:
        for owner_id in {row["owner_id"] for row in ready if "owner_id" in row}:
            widen(conn, actor, owner_id)
    return changes.update(conn, set_id, t.name, ready), conflicts


def _insert_again(conn: Connection, set_id: int, step: _Step) -> int:
    images = []
    for row in step.rows:
        image = row["before"] | row["before_personal"] | _key(step.table, row)
        image["version"] += 1  # it only rises: a form opened before the deletion must not win
        del image["updated_at"]
        images.append(image)
    try:
        with conn.begin_nested():
            return len(changes.insert(conn, set_id, step.table.name, images))
    except IntegrityError as error:
        raise Conflict(_("A row with the same key stands there again; rename or remove it first.")) from error


def _locked(conn: Connection, t: Table, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The rows as history would write them now, locked until the commit."""
    columns = [t.c[name] for name in changes.readable(t)]
    locked = select(*columns).where(t.c.id.in_(ids)).order_by(t.c.id).with_for_update().cte("locked")
    rows = conn.execute(select(locked.c.id, func.to_jsonb(locked.table_valued())))
    return {row_id: image for row_id, image in rows}


def _first_before(conn: Connection, t: Table, step: _Step, change_set_id: int) -> dict[int, dict[str, Any]]:
    """For each inserted row, column → the value at insertion, for the columns that were changed since."""
    c = schema.changes.c
    later = (
        select(c.row_id, c.before, c.before_personal)
        .where(
            and_(
                c.table_name == t.name,
                c.row_id.in_([row["row_id"] for row in step.rows]),
                c.change_set_id != change_set_id,
                c.action == "update",
                c.id > min(row["id"] for row in step.rows),
            )
        )
        .order_by(c.id.desc())
    )
    found: dict[int, dict[str, Any]] = {}
    for row_id, before, personal in conn.execute(later):
        found.setdefault(row_id, {}).update(before | personal)  # newest first: the earliest value stays
    return found


def _hidden(t: Table, name: str) -> bool:
    return bool(t.c[name].info.get("derived"))


def _conflict(t: Table, row: dict[str, Any], name: str, was: Any, made: Any, now: Any) -> dict[str, Any]:
    """One value of one row: what it was, what the change made of it, what it is now."""
    return {
        "table": t.name,
        "id": row["row_id"],
        "customer_id": row["customer_id"],
        "column": name,
        "before": was,
        "after": made,
        "now": now,
    }


def _remove_batch(conn: Connection, actor: Viewer, batch_id: int) -> int:
    """Delete the loaded facts of a batch, children first; gives their number."""
    if actor.role not in (Role.ADMIN, Role.WORKER):
        raise Refused(_("Only an administrator can take back a load."))
    done = 0
    orders, items = schema.orders, schema.order_items
    of_batch = select(orders.c.customer_id, orders.c.id).where(orders.c.batch_id == batch_id).subquery()
    lines = items.delete().where(
        and_(items.c.customer_id == of_batch.c.customer_id, items.c.order_id == of_batch.c.id)
    )
    done += conn.execute(lines).rowcount
    for table in (schema.orders, schema.campaign_events, schema.campaign_members):
        done += conn.execute(table.delete().where(table.c.batch_id == batch_id)).rowcount
        bump(conn, [table.info["area"]])
    return done
