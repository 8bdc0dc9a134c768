"""Rules that people keep under a name, private or shared, with history and undo; and those that everybody has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, func, select
from sqlalchemy.exc import IntegrityError

from db import changes, clock, custom_fields, ready_segments, schema, segments, text
from db.connection import bump
from db.errors import Conflict, Invalid, NotFound, Refused
from db.fields import Field
from db.permissions import Permission, Role, Viewer
from db.rules import Group, conditions, data_of, parse
from db.words import _

MOST_NAME = 120
MOST_DESCRIPTION = 1_000
MOST_FOLDER = 60
MOST_TAGS, MOST_TAG = 10, 40
MOST_FROZEN = 100_000
"""Customers of a frozen segment."""
LIVE, FROZEN = "live", "frozen"
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
    kind: str = LIVE
    folder: str = ""
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None

    @property
    def frozen(self) -> bool:
        """Whether it keeps the customers who were listed; else it has whom its rule finds."""
        return self.kind == FROZEN


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


def narrowed(found: Sequence[Segment], *, words: str = "", folder: str = "", tag: str = "") -> tuple[Segment, ...]:
    """Those of some segments whose names read as the words, in this folder, with this tag, in capitals or not."""
    return tuple(
        one
        for one in found
        if text.reads_as(one.name, words)
        and (not folder or one.folder.casefold() == text.clean(folder).casefold())
        and (not tag or text.clean(tag).casefold() in {each.casefold() for each in one.tags})
    )


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
    folder: str | None = None,
    tags: Sequence[str] | None = None,
    segment_id: int | None = None,
    version: int | None = None,
    source: str = "screen",
    screen: str = "",
) -> tuple[int, int]:
    """Keep a rule under a name, or change a kept one (then `version` is what was seen); gives its id and change set.

    Folder and tags that are not given stay as they are. Raises Invalid, also for another rule of a frozen segment,
    Refused, NotFound, and Conflict when it was changed since.
    """
    actor.require(Permission.SEGMENTS_EDIT)
    group = segments.kept(conn, actor, rule, segment_id=segment_id, shared=shared)
    values = _values(name, description, folder, tags)
    values |= {"rule": data_of(group), "visibility": "shared" if shared else "private"}
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
                made = changes.insert(conn, set_id, "segments", [row])[0]
            else:
                kept = _require_version(conn, actor, segment_id, version)
                if kept.kind == FROZEN and kept.rule != values["rule"]:
                    raise Invalid(_("A frozen segment keeps its customers. Save this rule as another segment."))
                made = segment_id
                changes.update(conn, set_id, "segments", [values | {"id": segment_id}])
            _wake(conn, actor)
            return made, set_id
    except IntegrityError as error:
        if _NAME_KEY not in str(error.orig):
            raise
        problem = _("You have a segment of this name already. Choose another name, or change that one.")
        raise Invalid(problem, fields={"name": problem}) from error


def freeze(
    conn: Connection,
    *,
    actor: Viewer,
    name: str,
    ids: Sequence[int],
    description: str = "",
    shared: bool = False,
    folder: str = "",
    tags: Sequence[str] = (),
    of: Sequence[str] = (),
    personal: bool = False,
    source: str = "screen",
    screen: str = "",
) -> tuple[int, int, int]:
    """Keep these customers under a name, as they are now; gives the segment's id, the change set and how many they are.

    Who is out of the actor's sight is left out. `of` are the rules (JSON) that found them, if any: where these look at
    what is withheld from masked roles, or it is `personal` by what is said, these are not told who they are. Raises
    Invalid (nobody, too many, the name), Refused.
    """
    actor.require(Permission.SEGMENTS_EDIT)
    wanted = sorted({i for i in ids if 0 < i <= changes.LARGEST_ID})
    if len(wanted) > MOST_FROZEN:
        most = f"{MOST_FROZEN:,}"
        raise Invalid(_("A frozen segment has at most {most} customers; these are more.").format(most=most))
    if not wanted:
        raise Invalid(_("There is nobody to keep in a frozen segment."))
    set_id = changes.start(
        conn, actor=actor, command="segment.freeze", permission=Permission.SEGMENTS_EDIT, source=source, screen=screen
    )
    segment_id = changes.next_ids(conn, schema.segments, 1)[0]
    row = _values(name, description, folder, tags) | {
        "id": segment_id,
        "kind": FROZEN,
        "rule": data_of(listed(segment_id)),
        "owner_id": actor.user_id,
        "visibility": "shared" if shared else "private",
    }
    try:
        with conn.begin_nested():
            changes.insert(conn, set_id, "segments", [row])
    except IntegrityError as error:
        if _NAME_KEY not in str(error.orig):
            raise
        problem = _("You have a segment of this name already. Choose another name, or change that one.")
        raise Invalid(problem, fields={"name": problem}) from error
    personal = personal or any(_tells_personal(conn, actor, rule) for rule in of)
    given = {"id": segment_id, "ids": wanted, "now": clock.now(), "personal": personal}
    there = conn.exec_driver_sql(
        "SELECT public.freeze_members(%(id)s, %(ids)s::bigint[], %(now)s::timestamptz, %(personal)s)", given
    ).scalar_one()
    if not there:
        raise Invalid(_("There is nobody to keep in a frozen segment."))
    bump(conn, ["members"])
    return segment_id, set_id, int(there)


def _tells_personal(conn: Connection, actor: Viewer, rule: str) -> bool:
    """Whether who fits a rule tells of personal values. Who sees masked rows can have asked for none."""
    found = conditions(segments.checked(conn, actor, rule))
    lists = [n for c in found if c.field.key == "listed" for n in c.values]
    if actor.masked or not lists:
        return any(c.field.personal for c in found)
    s = schema.segment_states.c
    kept = conn.scalars(select(s.personal).where(s.segment_id.in_(lists))).all()
    return any(c.field.personal for c in found) or any(kept)


def listed(segment_id: int) -> Group:
    """The rule of a frozen segment: who is on its list."""
    return parse({"all": [{"field": "listed", "op": "any of", "value": [segment_id]}]})


def _wake(conn: Connection, actor: Viewer) -> None:
    """Have the worker look now; what masked roles save it finds within a minute."""
    if not actor.masked:
        conn.exec_driver_sql("SELECT public.defer_refresh()")


def used_by(conn: Connection, *, viewer: Viewer, segment_id: int) -> tuple[Segment, ...]:
    """The other segments on the list, of those that the viewer may see, whose rules speak of this one."""
    viewer.require(Permission.SEGMENTS_READ)
    found = saved(conn, viewer=viewer)
    return tuple(one for one in found if one.id != segment_id and segment_id in _named(one.rule))


used_by.personal = True  # type: ignore[attr-defined]


def _named(rule: Group) -> set[int]:
    named = (c.values for c in conditions(rule) if c.field.key in ("listed", "segment"))
    return {value for values in named for value in values if isinstance(value, int)}


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


def _require_version(conn: Connection, actor: Viewer, segment_id: int, version: int | None) -> Any:
    s = schema.segments.c
    columns = (s.owner_id, s.version, s.kind, s.rule)
    row = conn.execute(select(*columns).where(s.id == segment_id).with_for_update()).one_or_none()
    if row is None:
        shared = conn.scalar(select(s.id).where(s.id == segment_id))
        if shared:
            raise Refused(_("Only its owner changes a segment. Save it under a name of your own."))
        raise NotFound(_("There is no segment {id} that you may see.").format(id=segment_id))
    if row.owner_id != actor.user_id and actor.role is not Role.ADMIN:
        raise Refused(_("Only its owner changes a segment. Save it under a name of your own."))
    if version is not None and row.version != version:
        raise Conflict(_("This segment was changed meanwhile. Nothing was saved; open it again to see what it is now."))
    return row


def _values(name: str, description: str, folder: str | None, tags: Sequence[str] | None) -> dict[str, Any]:
    given: dict[str, Any] = {"name": text.clean(name), "description": text.clean(description)}
    problems = {}
    if folder is not None:
        given["folder"] = text.clean(folder)
        if len(given["folder"]) > MOST_FOLDER:
            problems["folder"] = _("The name of a folder has at most {n} characters.").format(n=MOST_FOLDER)
    if tags is not None:
        words = {text.clean(tag).lower(): text.clean(tag) for tag in tags}
        given["tags"] = sorted((word for key, word in words.items() if key), key=str.lower)
        if len(given["tags"]) > MOST_TAGS or any(len(word) > MOST_TAG for word in given["tags"]):
            said = _("At most {n} tags of {most} characters each.")
            problems["tags"] = said.format(n=MOST_TAGS, most=MOST_TAG)
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
        kind=row["kind"],
        folder=row["folder"],
        tags=tuple(str(tag) for tag in row["tags"]) if isinstance(row["tags"], list) else (),
        created_at=row["created_at"],
    )


# --- ready-made ------------------------------------------------------------------------------------------------------


def ready() -> dict[str, tuple[str, Group]]:
    """Code → (name, rule) of the segments that everybody has: db/ready_segments.py."""
    return {code: (one.name, one.rule) for code, one in ready_segments.every().items()}
