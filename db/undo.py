"""Taking back a change set: a new change set that puts the before-images back, never over what came since."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, Table, Text, and_, cast, func, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from db import (
    attachments,
    campaign_start,
    changes,
    clock,
    contacts,
    customers,
    keyed,
    moved,
    schema,
    segment_uses,
    tags,
    written,
)
from db.connection import bump, widen
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import Permission, Role, Viewer
from db.words import _, ngettext

Row = Mapping[str, Any]

MOST_ROWS = 200_000
"""Rows of one change set that are taken back at once; more is refused with a sentence."""
UNIQUE_VIOLATION = "23505"
SECOND_MAIN = "23P01"
KEYS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, str]]] = {
    schema.contacts.name: contacts.keys,
    schema.customer_tags.name: tags.keys,
    schema.customers.name: customers.keys,
    **{table: written.keys(table) for table in written.OF},
}
"""The tables with derived columns, and what computes these from a row."""
SOURCES: Mapping[str, tuple[str, ...]] = {
    schema.contacts.name: ("name", "phone", "email"),
    schema.customer_tags.name: ("tag",),
    schema.customers.name: ("name", "company", "email", "phone"),
    **written.OF,
}
"""The columns that these are computed from: as long as none of them changes, nor do they."""
BATCH = 10_000
"""Rows that are taken back by one statement."""


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
    conflict: then nothing is done and Conflict lists both sides, with `rest`, the rows that could be taken back all the
    same; `leave_conflicts` asks for that.
    Raises NotFound, Refused, Invalid (already undone, too large, a load), Conflict.
    """
    actor.require(Permission.CHANGES_UNDO)
    query = select(schema.change_sets).where(schema.change_sets.c.id == change_set_id)
    found = conn.execute(query).mappings().first() if change_set_id <= changes.LARGEST_ID else None
    if found is None:
        raise NotFound(_("There is no change {id} that you may see.").format(id=change_set_id))
    permission = Permission(found["permission"])
    if not actor.can(permission):
        raise Refused(_("Undoing this needs the right to do it ({permission}).").format(permission=permission))
    if found["undoes_id"] and found["command"] == campaign_start.COMMAND:
        raise Invalid(_("A campaign that was taken back is not kept. Start it again."))
    if found["batch_id"] and found["undoes_id"]:
        raise Invalid(_("A load that was taken back is not kept. Load it again."))
    with conn.begin_nested():
        set_id = _started(conn, actor, permission, dict(found), source, screen)
        wide = _widened(conn, actor, change_set_id) if found["actor_id"] == actor.user_id else actor
        rows = _rows(conn, change_set_id)
        conflicts: list[dict[str, Any]] = []
        done = _remove_batch(conn, found["batch_id"]) if found["batch_id"] else 0
        for step in _steps(rows):
            for at in range(0, len(step.rows), BATCH):
                part = replace(step, rows=step.rows[at : at + BATCH])
                put_back, left, wide = _take_back(conn, wide, set_id, part)
                done += put_back
                conflicts += left
        if any(row["table_name"] == schema.users.name for row in rows):
            _keep_an_administrator(conn)
        if conflicts and not (leave_conflicts and done):
            raise Conflict(_stuck(len(conflicts)), rows=conflicts, rest=done)
    if wide is not actor:
        widen(conn, actor, actor.user_id)  # back to the actor's own scope
    return Undone(set_id, done, conflicts)


def _stuck(n: int) -> str:
    return ngettext(
        "{n} value was changed since. Nothing was undone; decide what to keep.",
        "{n} values were changed since. Nothing was undone; decide what to keep.",
        n,
    ).format(n=n)


def _started(
    conn: Connection, actor: Viewer, permission: Permission, found: Mapping[str, Any], source: str, screen: str
) -> int:
    """The undo's own change set; the key on what it undoes lets one of two through, seen or not."""
    try:
        with conn.begin_nested():
            return changes.start(
                conn,
                actor=actor,
                command=found["command"],
                permission=permission,
                source=source,
                screen=screen,
                undoes_id=found["id"],
                batch_id=found["batch_id"],
            )
    except IntegrityError as error:
        if _state(error) != UNIQUE_VIOLATION:
            raise
        raise Invalid(
            _("Change {id} is undone already. To bring it back, undo the undo.").format(id=found["id"])
        ) from error


def _keep_an_administrator(conn: Connection) -> None:
    u = schema.users.c
    if conn.scalar(select(u.id).where(u.role == Role.ADMIN.value, u.active).limit(1).with_for_update()) is None:
        raise Invalid(_("This would leave nobody as an active administrator. Make somebody else one first."))


def _state(error: IntegrityError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _widened(conn: Connection, actor: Viewer, change_set_id: int) -> Viewer:
    """The actor with sight of those who have what this change set handed over, as long as it is still theirs.

    The customer is out of sight then, but taking it back belongs to the command.
    """
    if not actor.scoped:
        return actor
    return with_owners(conn, actor, conn.scalar(select(func.change_set_owners(change_set_id))) or ())


def with_owners(conn: Connection, wide: Viewer, owner_ids: Iterable[int]) -> Viewer:
    """The viewer with sight of these owners' customers too, in this transaction: for commands that have checked."""
    for owner_id in set(owner_ids) - set(wide.owner_ids):
        widen(conn, wide, owner_id)
        wide = replace(wide, owner_ids=(*wide.owner_ids, owner_id))
    return wide


def _rows(conn: Connection, change_set_id: int) -> list[dict[str, Any]]:
    """All rows of the set, newest first. Raises Invalid when they are too many, Refused when some are out of sight."""
    total = conn.scalar(select(func.change_set_rows(change_set_id))) or 0
    if total > MOST_ROWS:
        raise Invalid(_("This change has {n} rows; at most {most} are undone at once.").format(n=total, most=MOST_ROWS))
    c, read = schema.changes.c, _reader()
    wanted = _as_written(c).where(c.change_set_id == change_set_id)
    rows = {row["id"]: read(row) for row in conn.execute(wanted).mappings()}
    if len(rows) < total:
        gone = func.change_set_gone(change_set_id).table_valued(*schema.changes.columns, name="gone")
        rows |= {row["id"]: read(row) for row in conn.execute(_as_written(gone.c)).mappings()}
    if len(rows) < total:
        raise Refused(
            _("This change touched {n} rows that you may not see. Ask your manager to undo it.").format(
                n=total - len(rows)
            )
        )
    return [rows[i] for i in sorted(rows, reverse=True)]


_IMAGES = ("before", "before_personal", "after", "after_personal")


def _as_written(c: ReadOnlyColumnCollection[str, Any]) -> Select[Any]:
    """Changes with their images as text: of many rows most are the same, and are read once."""
    return select(*(cast(column, Text).label(name) if name in _IMAGES else column for name, column in c.items()))


def _reader() -> Callable[[Mapping[Any, Any]], dict[str, Any]]:
    """What makes rows of such changes: equal images are one and the same object, which nobody may change."""
    read = cache(json.loads)
    return lambda row: {**row, **{image: read(row[image]) for image in _IMAGES}}


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


def _take_back(conn: Connection, wide: Viewer, set_id: int, step: _Step) -> tuple[int, list[dict[str, Any]], Viewer]:
    """Rows put back, conflicts, and the actor with sight of the owners that rows went back to."""
    t = step.table
    if step.action == "delete":
        return _insert_again(conn, set_id, step), [], wide
    current = _locked(conn, t, [row["row_id"] for row in step.rows], _compared(step))
    gone = [_conflict(t, row, "", None, None, None) for row in step.rows if row["row_id"] not in current]
    step = replace(step, rows=[row for row in step.rows if row["row_id"] in current])
    if step.action == "insert":
        if t is schema.segments:
            segment_uses.require_unused(conn, segment_ids=current)
        if t is schema.cluster_models:
            segment_uses.require_unused(conn, clusters_ids=current)
        done, conflicts = _remove(conn, set_id, step)
        return done, gone + conflicts, wide
    patches, conflicts = _patches(step, current)
    if wide.scoped and t is schema.customers:
        wide = with_owners(conn, wide, [patch["owner_id"] for patch in patches if "owner_id" in patch])
    with _explained(conn):
        return changes.update(conn, set_id, t.name, patches), gone + conflicts, wide


def _patches(
    step: _Step, current: Mapping[int, Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What to set on each row, and the values that others set since.

    Derived columns hold what several columns say: they are computed from what the row will be, never put back.
    """
    t = step.table
    patches: list[dict[str, Any]] = []
    conflicts: list[dict[str, Any]] = []
    met: dict[tuple[int, ...], tuple[dict[str, Any], list[tuple[str, Any, Any, Any]]]] = {}
    for row in step.rows:
        images = (*(row[image] for image in _IMAGES), current[row["row_id"]])
        same = tuple(map(id, images))
        if same not in met:
            met[same] = _put_back(t, *images)
        patch, stuck = met[same]
        conflicts += [_conflict(t, row, *values) for values in stuck]
        if patch:
            patches.append(_key(t, row) | patch)
    return patches, conflicts


def _put_back(
    t: Table, before: Row, before_personal: Row, after: Row, after_personal: Row, now: Row
) -> tuple[dict[str, Any], list[tuple[str, Any, Any, Any]]]:
    """What to set on a row with these images, and each value that others set since: before, after, now."""
    was, made = keyed.spread(t, {**before, **before_personal}), keyed.spread(t, {**after, **after_personal})
    held = keyed.spread(t, now)
    # Of a keyed column the image is whole: only the keys that this change set are its own.
    own = sorted(c for c in was.keys() | made.keys() if not _derived(t, c) and was.get(c) != made.get(c))
    kept = [c for c in own if _differ(t, c, held.get(c), made.get(c))]
    patch = keyed.gathered(t, {c: was.get(c) for c in own if c not in kept}, now)
    if patch.keys() & set(SOURCES.get(t.name, ())):
        patch |= {c: v for c, v in KEYS[t.name]({**now, **patch}).items() if now[c] != v}
    return patch, [(c, was.get(c), made.get(c), held.get(c)) for c in kept]


def _remove(conn: Connection, set_id: int, step: _Step) -> tuple[int, list[dict[str, Any]]]:
    """Delete the rows, which are locked, that stand as they were inserted; what was changed since is a conflict."""
    t = step.table
    conflicts: list[dict[str, Any]] = []
    ready: list[dict[str, Any]] = []
    since = _first_before(conn, step)
    current = _locked(conn, t, list(since), {c for made in since.values() for c in made}) if since else {}
    for row in step.rows:
        made = since.get(row["row_id"])
        if made is None:
            ready.append(_key(t, row))
            continue
        now = keyed.spread(t, {c: value for c, value in current[row["row_id"]].items() if c in made})
        made = keyed.spread(t, made)
        differing = [
            c for c in made.keys() | now.keys() if not _derived(t, c) and _differ(t, c, now.get(c), made.get(c))
        ]
        conflicts += [_conflict(t, row, c, None, made.get(c), now.get(c)) for c in sorted(differing)]
        if not differing:
            ready.append(_key(t, row))
    try:
        with conn.begin_nested():
            return changes.delete(conn, set_id, t.name, ready), conflicts
    except IntegrityError as error:
        raise Conflict(
            _("Something was added to this since (a note, an order, another row); take that back first.")
        ) from error


def _insert_again(conn: Connection, set_id: int, step: _Step) -> int:
    _refuse_orphans(conn, step)
    if step.table is schema.attachments:
        attachments.require_contents(conn, [(row["customer_id"], row["row_id"]) for row in step.rows])
    images = []
    for row in step.rows:
        image = row["before"] | row["before_personal"] | _key(step.table, row)
        image["version"] += 1  # it only rises: a form opened before the deletion must not win
        del image["updated_at"]
        if step.table.name in KEYS:
            image |= KEYS[step.table.name](image)  # made as they are made now, whenever it was deleted
        images.append(image)
    with _explained(conn):
        return len(changes.insert(conn, set_id, step.table.name, images))


@contextmanager
def _explained(conn: Connection) -> Iterator[None]:
    """What was made since may stand in the way of what was: the same name, or an owner who is gone."""
    try:
        with conn.begin_nested():
            yield
    except IntegrityError as error:
        if _state(error) == SECOND_MAIN:
            raise Conflict(_("Another one is the main one by now; choose between them first.")) from error
        if _state(error) != UNIQUE_VIOLATION:
            raise Conflict(_("What this belongs to is no longer there; bring that back first.")) from error
        raise Conflict(_("A row with the same key stands there again; rename or remove it first.")) from error


def _refuse_orphans(conn: Connection, step: _Step) -> None:
    """A view would refuse them in other words than a table."""
    if "customer_id" not in step.table.columns:
        return
    wanted = {row["customer_id"] for row in step.rows}
    found = select(func.count()).where(schema.customers.c.id.in_(_of_rows(sorted(wanted))))
    if conn.scalar(found) != len(wanted):
        raise Conflict(_("What this belongs to is no longer there; bring that back first."))


def _of_rows(ids: Sequence[int]) -> Select[Any]:
    """The ids as one array: a statement has at most 65,535 parameters."""
    return select(func.unnest(literal(list(ids), ARRAY(BigInteger))).column_valued("wanted"))


def _compared(step: _Step) -> set[str]:
    """The columns that the images have, and what others are computed from when these change."""
    named = {c for row in step.rows for image in _IMAGES for c in row[image]} if step.action == "update" else set()
    sources = SOURCES.get(step.table.name, ())
    if not named & set(sources):
        return named
    return named | set(sources) | {c.name for c in step.table.c if c.info.get("derived")}


def _locked(conn: Connection, t: Table, ids: Sequence[int], names: Set[str]) -> dict[int, dict[str, Any]]:
    """The rows, with these columns, as history would write them now, locked until the commit.

    Equal ones are one and the same object, which nobody may change.
    """
    columns = [t.c[name] for name in changes.readable(t) if name == "id" or name in names]
    locked = select(*columns).where(t.c.id.in_(_of_rows(ids))).order_by(t.c.id).with_for_update().cte("locked")
    rows = conn.execute(select(locked.c.id, cast(func.to_jsonb(locked.table_valued()).op("-")("id"), Text)))
    read = cache(json.loads)
    return {row_id: read(image) for row_id, image in rows}


def _first_before(conn: Connection, step: _Step) -> dict[int, dict[str, Any]]:
    """For each inserted row, column → the value at insertion, for the columns that were changed since."""
    c = schema.changes.c
    later = (
        select(c.row_id, c.before, c.before_personal)
        .where(
            and_(
                c.table_name == step.table.name,
                c.row_id.in_(_of_rows([row["row_id"] for row in step.rows])),
                c.action == "update",
                c.id > min((row["id"] for row in step.rows), default=0),
            )
        )
        .order_by(c.id.desc())
    )
    found: dict[int, dict[str, Any]] = {}
    for row_id, before, personal in conn.execute(later):
        found.setdefault(row_id, {}).update(before | personal)  # newest first: the earliest value stays
    return found


def _derived(t: Table, name: str) -> bool:
    return bool(t.c[keyed.base(name)].info.get("derived"))


def _differ(t: Table, name: str, one: Any, other: Any) -> bool:
    column = keyed.base(name)
    return bool(changes.from_json(t, column, one) != changes.from_json(t, column, other))


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


def _remove_batch(conn: Connection, batch_id: int) -> int:
    """Delete the loaded facts of a batch, children first, and queue whose figures change; gives their number."""
    withdrawn = campaign_start.withdraw(conn, batch_id)
    if withdrawn is not None:
        return withdrawn
    done = 0
    orders, items = schema.orders, schema.order_items
    of_batch = select(orders.c.customer_id, orders.c.id).where(orders.c.batch_id == batch_id).subquery()
    conn.execute(
        insert(schema.touched_customers).from_select(
            ["customer_id", "touched_at"], select(of_batch.c.customer_id, literal(clock.now())).distinct()
        )
    )
    conn.execute(select(func.defer_refresh()))
    lines = items.delete().where(and_(items.c.customer_id == of_batch.c.customer_id, items.c.order_id == of_batch.c.id))
    done += conn.execute(lines).rowcount
    for table in (schema.orders, schema.campaign_events, schema.campaign_members, schema.campaign_products):
        done += conn.execute(table.delete().where(table.c.batch_id == batch_id)).rowcount
        bump(conn, [table.info["area"]])
    moved.tell(conn, None)
    return done
