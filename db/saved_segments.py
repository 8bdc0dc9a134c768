"""Rules that people keep under a name, private or shared, with history and undo; and those that everybody has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, func, select
from sqlalchemy.exc import IntegrityError

from db import changes, clock, custom_fields, ready_segments, schema, segments, text
from db.errors import Conflict, Invalid, NotFound, Refused
from db.fields import Field
from db.permissions import Permission, Role, Viewer
from db.rules import Group, data_of, parse
from db.words import _

MOST_NAME = 120
MOST_DESCRIPTION = 1_000
MOST_SAVED = 500
MOST_HISTORY = 50
_NAME_KEY = "segments_owner_id_name_key"


@dataclass(frozen=True)
class Segment:
    """A kept rule. `mine`: the viewer may change it. `problem`: why the rule cannot be read; then it is nobody's, and
    `written` is what is kept."""

    id: int
    name: str
    description: str
    rule: Group
    owner_id: int
    owner: str
    shared: bool
    archived_at: datetime | None
    version: int
    updated_at: datetime
    mine: bool
    problem: str = ""
    written: str = ""


def saved(conn: Connection, *, viewer: Viewer, archived: bool = False, limit: int = MOST_SAVED) -> tuple[Segment, ...]:
    """The segments the viewer may see, their own first, then by name; at most `limit`."""
    viewer.require(Permission.SEGMENTS_READ)
    s = schema.segments.c
    state = s.archived_at.is_not(None) if archived else s.archived_at.is_(None)
    mine = case((s.owner_id == viewer.user_id, 0), else_=1)
    rows = conn.execute(_kept().where(state).order_by(mine, func.lower(s.name), s.id).limit(limit)).mappings().all()
    known = custom_fields.countable(conn, viewer=viewer, rules=[str(row["rule"]) for row in rows])
    return tuple(_segment(row, viewer, known) for row in rows)


saved.personal = True  # type: ignore[attr-defined]  # each user's own: never cached for another


def get(conn: Connection, *, viewer: Viewer, segment_id: int) -> Segment:
    """One segment. Raises NotFound, also for one that is not shared with the viewer."""
    viewer.require(Permission.SEGMENTS_READ)
    row = None
    if 0 < segment_id <= changes.LARGEST_ID:
        row = conn.execute(_kept().where(schema.segments.c.id == segment_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(_("There is no segment {id} that you may see.").format(id=segment_id))
    return _segment(row, viewer, custom_fields.countable(conn, viewer=viewer, rules=[str(row["rule"])]))


get.personal = True  # type: ignore[attr-defined]


def history(conn: Connection, *, viewer: Viewer, segment_id: int) -> list[dict[str, Any]]:
    """The latest MOST_HISTORY changes of a segment: change_set_id, made_at, actor, command, undone_by, mine, …"""
    viewer.require(Permission.SEGMENTS_READ)
    columns = ("change_set_id", "made_at", "actor", "command", "undoes_id", "undone_by", "mine", "before", "after")
    found = func.segment_changes(segment_id, MOST_HISTORY).table_valued(*columns, name="found")
    return [dict(row) for row in conn.execute(select(found)).mappings()]


history.personal = True  # type: ignore[attr-defined]


def save(
    conn: Connection,
    *,
    actor: Viewer,
    name: str,
    rule: str,
    description: str = "",
    shared: bool = False,
    segment_id: int | None = None,
    version: int | None = None,
    source: str = "screen",
    screen: str = "",
) -> tuple[int, int]:
    """Keep a rule under a name, or change a kept one (then `version` is what was seen); gives its id and change set.

    Raises Invalid, Refused, NotFound, and Conflict when it was changed since.
    """
    actor.require(Permission.SEGMENTS_EDIT)
    group = segments.kept(conn, actor, rule, segment_id=segment_id, shared=shared)
    values = _values(name, description) | {"rule": data_of(group), "visibility": "shared" if shared else "private"}
    set_id = changes.start(
        conn,
        actor=actor,
        command="segment.add" if segment_id is None else "segment.save",
        permission=Permission.SEGMENTS_EDIT,
        source=source,
        screen=screen,
    )
    try:
        with conn.begin_nested():
            if segment_id is None:
                row = values | {"owner_id": actor.user_id}
                return changes.insert(conn, set_id, "segments", [row])[0], set_id
            _require_version(conn, actor, segment_id, version)
            changes.update(conn, set_id, "segments", [values | {"id": segment_id}])
            return segment_id, set_id
    except IntegrityError as error:
        if _NAME_KEY not in str(error.orig):
            raise
        problem = _("You have a segment of this name already. Choose another name, or change that one.")
        raise Invalid(problem, fields={"name": problem}) from error


def archive(
    conn: Connection, *, actor: Viewer, segment_id: int, archived: bool = True, source: str = "screen", screen: str = ""
) -> int:
    """Take a segment off the list, or put it back; gives the change set. Raises Refused, NotFound, Invalid."""
    actor.require(Permission.SEGMENTS_EDIT)
    set_id = changes.start(
        conn,
        actor=actor,
        command="segment.archive" if archived else "segment.restore",
        permission=Permission.SEGMENTS_EDIT,
        source=source,
        screen=screen,
    )
    _require_version(conn, actor, segment_id, None)
    try:
        with conn.begin_nested():
            patch = {"id": segment_id, "archived_at": clock.now() if archived else None}
            changes.update(conn, set_id, "segments", [patch])
    except IntegrityError as error:
        if _NAME_KEY not in str(error.orig):
            raise
        problem = _("You have a segment of this name already. Choose another name, or change that one.")
        raise Invalid(problem, fields={"name": problem}) from error
    return set_id


def _require_version(conn: Connection, actor: Viewer, segment_id: int, version: int | None) -> None:
    s = schema.segments.c
    row = conn.execute(select(s.owner_id, s.version).where(s.id == segment_id).with_for_update()).one_or_none()
    if row is None:
        shared = conn.scalar(select(s.id).where(s.id == segment_id))
        if shared:
            raise Refused(_("Only its owner changes a segment. Save it under a name of your own."))
        raise NotFound(_("There is no segment {id} that you may see.").format(id=segment_id))
    if row.owner_id != actor.user_id and actor.role is not Role.ADMIN:
        raise Refused(_("Only its owner changes a segment. Save it under a name of your own."))
    if version is not None and row.version != version:
        raise Conflict(_("This segment was changed meanwhile. Nothing was saved; open it again to see what it is now."))


def _values(name: str, description: str) -> dict[str, str]:
    given = {"name": text.clean(name), "description": text.clean(description)}
    problems = {}
    if not given["name"]:
        problems["name"] = _("A segment needs a name.")
    if len(given["name"]) > MOST_NAME:
        problems["name"] = _("A name has at most {n} characters.").format(n=MOST_NAME)
    if len(given["description"]) > MOST_DESCRIPTION:
        problems["description"] = _("A description has at most {n} characters.").format(n=f"{MOST_DESCRIPTION:,}")
    if problems:
        raise Invalid(_("Some fields need another look."), fields=problems)
    return given


def _kept() -> Any:
    s, u = schema.segments, schema.users.c
    return select(*s.c, u.name.label("owner")).join(schema.users, u.id == s.c.owner_id)


_NOBODY = Group("any")


def _segment(row: Any, viewer: Viewer, known: Mapping[str, Field]) -> Segment:
    """One rule that cannot be read must not take the others along: a field of it is gone, or it was written by another
    version or past Kehu."""
    try:
        rule, problem = parse(row["rule"], known), ""
    except Invalid as error:
        rule = _NOBODY
        problem = _("The rule of this segment cannot be read. {problem}").format(problem=error.message)
    return Segment(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        rule=rule,
        owner_id=row["owner_id"],
        owner=row["owner"],
        shared=row["visibility"] == "shared",
        archived_at=row["archived_at"],
        version=row["version"],
        updated_at=row["updated_at"],
        mine=row["owner_id"] == viewer.user_id or viewer.role is Role.ADMIN,
        problem=problem,
        written=json.dumps(row["rule"], ensure_ascii=False, indent=1) if problem else "",
    )


# --- ready-made ------------------------------------------------------------------------------------------------------


def ready() -> dict[str, tuple[str, Group]]:
    """Code → (name, rule) of the segments that everybody has: db/ready_segments.py."""
    return {code: (one.name, one.rule) for code, one in ready_segments.every().items()}
