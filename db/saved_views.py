"""Views of the customer list that people keep under a name: private, for their team, or shared with everybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, case, func, or_, select, true
from sqlalchemy.exc import IntegrityError

from db import changes, clock, column_names, schema, text, view_params
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import Permission, Role, Viewer
from db.schema_views import VISIBILITIES
from db.words import _

MOST_NAME = 60
MOST_VIEWS = 100
"""Views of one user that are not archived."""
MOST_LISTED = 500
MOST_DELETED = 10
"""Of one's own deleted views, the last ones are offered to be restored."""
FORM = ("name", "visibility", "params", "columns")
"""What of a view its owner changes."""
_NAME_KEY = "saved_views_owner_id_name_key"
_V = schema.saved_views.c


@dataclass(frozen=True)
class View:
    """A kept list. `mine`: the viewer may change it. `withheld`: names of parameters whose values their role must not
    see. `columns`: None for those that the reader has chosen."""

    id: int
    name: str
    owner_id: int
    owner: str
    visibility: str
    params: dict[str, str]
    withheld: tuple[str, ...]
    columns: tuple[str, ...] | None
    archived_at: datetime | None
    version: int
    mine: bool


@dataclass(frozen=True)
class Aside:
    """What stands beside the views: those deleted lately, and whether there is a team to share one with."""

    deleted: tuple[View, ...]
    has_team: bool


def listed(conn: Connection, *, viewer: Viewer) -> tuple[View, ...]:
    """The viewer's own views, then their team's, then the shared ones, each by name; at most MOST_LISTED."""
    viewer.require(Permission.VIEWS_EDIT)
    own = _V.owner_id == viewer.user_id
    place = case((own, 0), (_V.visibility == "team", 1), else_=2)
    query = _kept().where(_V.archived_at.is_(None), or_(own, _V.visibility != "private"))
    rows = conn.execute(query.order_by(place, func.lower(_V.name), _V.id).limit(MOST_LISTED)).mappings()
    return tuple(_view(row, viewer) for row in rows)


listed.personal = True  # type: ignore[attr-defined]  # each user's own: never cached for another


def aside(conn: Connection, *, viewer: Viewer) -> Aside:
    """The viewer's own deleted views, the last one first, at most MOST_DELETED; and whether there is a team."""
    viewer.require(Permission.VIEWS_EDIT)
    mine = _kept().where(_V.archived_at.is_not(None), _V.owner_id == viewer.user_id)
    last = mine.order_by(_V.archived_at.desc(), _V.id.desc()).limit(MOST_DELETED).subquery()
    team = select(func.my_team().label("team")).subquery()
    query = select(team.c.team, *last.c).select_from(team.outerjoin(last, true()))
    rows = conn.execute(query.order_by(last.c.archived_at.desc(), last.c.id.desc())).mappings().all()
    return Aside(tuple(_view(row, viewer) for row in rows if row["id"] is not None), bool(rows[0]["team"]))


aside.personal = True  # type: ignore[attr-defined]


def get(conn: Connection, *, viewer: Viewer, view_id: int) -> View:
    """One view. Raises NotFound, also for one that the viewer may not see."""
    viewer.require(Permission.VIEWS_EDIT)
    row = None
    if 0 < view_id <= changes.LARGEST_ID:
        row = conn.execute(_kept().where(_V.id == view_id)).mappings().one_or_none()
    if row is None:
        raise _unseen(view_id)
    return _view(row, viewer)


get.personal = True  # type: ignore[attr-defined]


def add(
    conn: Connection,
    *,
    actor: Viewer,
    name: str,
    params: Mapping[str, str],
    columns: Sequence[str] | None = None,
    visibility: str = "private",
    source: str = "screen",
    screen: str = "",
) -> tuple[int, int]:
    """Keep a view of one's own; gives its id and change set.

    Raises Invalid, by field where there is one, and Refused.
    """
    actor.require(Permission.VIEWS_EDIT)
    row = {"name": _named(name), "visibility": _visible(conn, actor, visibility), "owner_id": actor.user_id}
    row |= _apart(conn, actor, params) | {"columns": None if columns is None else column_names.checked(columns)}
    _require_room(conn, actor.user_id)
    set_id = _start(conn, actor, "view.add", source, screen)
    with _one_of_a_name(conn):
        [view_id] = changes.insert(conn, set_id, "saved_views", [row])
    return view_id, set_id


def save(
    conn: Connection,
    *,
    actor: Viewer,
    view_id: int,
    version: int,
    values: Mapping[str, Any],
    opened: Mapping[str, Any] | None = None,
    source: str = "screen",
    screen: str = "",
) -> int | None:
    """Change `name`, `params`, `columns` or `visibility`, whichever stand in `values`; gives the change set.

    None when nothing differs. `opened` is what the editor saw at `version`: what others changed since and the editor
    did not is kept. Raises Invalid, Refused, NotFound, and Conflict (rows of column, mine, theirs; details version)
    when both changed the same, or without `opened` when it was changed since.
    """
    actor.require(Permission.VIEWS_EDIT)
    now = _mine(conn, actor, view_id)
    if unknown := values.keys() - set(FORM):
        raise Invalid(_("A view has no “{name}”.").format(name=min(unknown)[:60]))
    patch: dict[str, Any] = {}
    if "name" in values:
        patch["name"] = _named(values["name"])
    if "visibility" in values:
        patch["visibility"] = _visible(conn, actor, values["visibility"], of_owner=now["owner_id"])
    if "columns" in values:
        patch["columns"] = None if values["columns"] is None else column_names.checked(values["columns"])
    if "params" in values:
        patch |= _apart(conn, actor, values["params"])
    patch = {name: value for name, value in patch.items() if value != now[name]}
    if not patch:
        return None
    if now["version"] != version:
        _refuse_clash(now, patch, opened or {})
    set_id = _start(conn, actor, "view.save", source, screen)
    with _one_of_a_name(conn):
        changes.update(conn, set_id, "saved_views", [{"id": view_id, **patch}])
    return set_id


def archive(
    conn: Connection, *, actor: Viewer, view_id: int, archived: bool = True, source: str = "screen", screen: str = ""
) -> int:
    """Take a view off the lists of all who saw it, or put it back; gives the change set.

    Raises Refused, NotFound, Invalid when it stands there already, or there is no room or name left.
    """
    actor.require(Permission.VIEWS_EDIT)
    now = _mine(conn, actor, view_id)
    if (now["archived_at"] is not None) == archived:
        raise Invalid(_("This view is deleted already.") if archived else _("This view is not deleted."))
    if not archived:
        _require_room(conn, now["owner_id"])
    set_id = _start(conn, actor, "view.archive" if archived else "view.restore", source, screen)
    with _one_of_a_name(conn):
        patch = {"id": view_id, "archived_at": clock.now() if archived else None}
        changes.update(conn, set_id, "saved_views", [patch])
    return set_id


def _apart(conn: Connection, actor: Viewer, params: Any) -> dict[str, Any]:
    """What says something personal stands apart. Who sees masked rows has nothing personal to say."""
    kept = view_params.checked(params)
    if actor.masked:
        return {"params": kept, "params_personal": {}}
    f = schema.custom_fields.c
    of_fields = conn.scalars(select(f.key).where(f.personal)) if len(kept.keys() - set(view_params.NAMES)) else ()
    withheld = {view_params.SEARCH, *(view_params.OF_FIELD + key for key in of_fields)}
    return {
        "params": {name: None if name in withheld else value for name, value in kept.items()},
        "params_personal": {name: value for name, value in kept.items() if name in withheld},
    }


def _named(name: Any) -> str:
    given = text.clean(name) if isinstance(name, str) else ""
    problem = ""
    if not given:
        problem = _("A view needs a name.")
    elif len(given) > MOST_NAME:
        problem = _("A name has at most {n} characters.").format(n=MOST_NAME)
    if problem:
        raise Invalid(problem, fields={"name": problem})
    return given


def _visible(conn: Connection, actor: Viewer, visibility: Any, *, of_owner: int | None = None) -> str:
    if visibility not in VISIBILITIES:
        raise Invalid(_("A view is private, for the team, or shared with everybody."))
    if visibility == "team" and of_owner in (None, actor.user_id) and not conn.scalar(select(func.my_team())):
        problem = _("You belong to no team. Share it with everybody, or keep it to yourself.")
        raise Invalid(problem, fields={"visibility": problem})
    return str(visibility)


def _require_room(conn: Connection, owner_id: int) -> None:
    kept = select(func.count()).select_from(schema.saved_views).where(_V.owner_id == owner_id, _V.archived_at.is_(None))
    if (conn.scalar(kept) or 0) >= MOST_VIEWS:
        raise Invalid(_("You keep {most} views, which is the most. Delete one first.").format(most=MOST_VIEWS))


def _refuse_clash(now: Mapping[str, Any], patch: Mapping[str, Any], opened: Mapping[str, Any]) -> None:
    """Raises Conflict with both sides of what the editor changes and others changed since it was opened."""
    mine, theirs = _told({**now, **patch}), _told(now)
    touched = {"params" if column == "params_personal" else column for column in patch}
    clash = [c for c in FORM if c in touched and (c not in opened or _told(opened)[c] != theirs[c])]
    if clash:
        raise Conflict(
            _("This view was changed meanwhile. Nothing was saved yet; choose what to keep."),
            rows=[{"column": c, "mine": mine[c], "theirs": theirs[c]} for c in clash],
            version=now["version"],
        )


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row its owner changes, in the form of a View."""
    params = {**(row.get("params") or {}), **(row.get("params_personal") or {})}
    columns = row.get("columns")
    return {
        "name": row.get("name"),
        "visibility": row.get("visibility"),
        "params": {name: value for name, value in params.items() if value is not None},
        "columns": None if columns is None else list(columns),
    }


def _mine(conn: Connection, actor: Viewer, view_id: int) -> dict[str, Any]:
    """The row, locked, which the actor may change."""
    if not 0 < view_id <= changes.LARGEST_ID:
        raise _unseen(view_id)
    row = conn.execute(select(schema.saved_views).where(_V.id == view_id).with_for_update()).mappings().one_or_none()
    if row is None and (actor.masked or conn.scalar(select(_V.id).where(_V.id == view_id)) is None):
        raise _unseen(view_id)
    if row is None or (row["owner_id"] != actor.user_id and actor.role is not Role.ADMIN):
        raise Refused(_("Only its owner changes a view. Save it under a name of your own."))
    return dict(row)


def _unseen(view_id: int) -> NotFound:
    return NotFound(_("There is no view {id} that you may see.").format(id=view_id))


@contextmanager
def _one_of_a_name(conn: Connection) -> Iterator[None]:
    try:
        with conn.begin_nested():
            yield
    except IntegrityError as error:
        if _NAME_KEY not in str(error.orig):
            raise
        problem = _("You have a view of this name already. Choose another name, or update that one.")
        raise Invalid(problem, fields={"name": problem}) from error


def _start(conn: Connection, actor: Viewer, command: str, source: str, screen: str) -> int:
    return changes.start(
        conn, actor=actor, command=command, permission=Permission.VIEWS_EDIT, source=source, screen=screen
    )


def _kept() -> Select[Any]:
    u = schema.users.c
    return select(schema.saved_views, u.name.label("owner")).join(schema.users, u.id == _V.owner_id)


def _view(row: Mapping[Any, Any], viewer: Viewer) -> View:
    params = {**row["params"], **row["params_personal"]}
    return View(
        id=row["id"],
        name=row["name"],
        owner_id=row["owner_id"],
        owner=row["owner"],
        visibility=row["visibility"],
        params={name: str(value) for name, value in params.items() if value is not None},
        withheld=tuple(sorted(name for name, value in params.items() if value is None)),
        columns=None if row["columns"] is None else tuple(row["columns"]),
        archived_at=row["archived_at"],
        version=row["version"],
        mine=row["owner_id"] == viewer.user_id or viewer.role is Role.ADMIN,
    )
