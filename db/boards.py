"""Boards: charts of the explorer that people keep under a title, private, for their team, or shared with everybody.

A card keeps what its screen was told and no figure: whoever opens a board sees every chart as of now, of the customers
that they see themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, case, func, or_, select, true
from sqlalchemy.exc import IntegrityError

from db import board_charts, changes, clock, ready_segments, schema, text
from db.board_charts import CHARTS, Chart
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import Permission, Role, Viewer
from db.schema_views import VISIBILITIES
from db.words import _

MOST_NAME = 60
MOST_TITLE = 120
MOST_BOARDS = 20
"""Boards of one user that are not archived."""
MOST_CARDS = 12
"""Cards of one board: each asks the database for itself."""
MOST_LISTED = 200
MOST_DELETED = 10
"""Of one's own deleted boards, the last ones are offered to be restored."""
UNNAMED = "My board"
"""What is kept for a board that nobody named, from the second on with a number; readers see it in their language."""
_UNNAMED = re.compile(UNNAMED + r"(?: ([1-9][0-9]{0,3}))?")
_NAME_KEY = "boards_owner_id_name_key"
_B, _K = schema.boards.c, schema.board_cards.c


@dataclass(frozen=True)
class Card:
    """One kept chart: a code of CHARTS, its title, the parameters of its screen, and whether it takes a whole row.

    `title` is "" where nobody typed one.

    `about` are the names of its segments or clusters that the viewer sees. `problem`: a key of board_charts.PROBLEMS
    where the chart cannot be drawn for this viewer.
    """

    id: int
    chart: str
    title: str
    params: Mapping[str, str]
    wide: bool
    version: int
    about: tuple[str, ...] = ()
    problem: str = ""

    @property
    def called(self) -> str:
        """Its title; where nobody typed one, the chart and whom it is about, in the reader's language."""
        return self.title or default_title(self.chart, self.about)


@dataclass(frozen=True)
class Board:
    """`mine`: the viewer may change it. `size`: how many cards there are; `cards` are read by `get` alone."""

    id: int
    name: str
    owner_id: int
    owner: str
    visibility: str
    archived_at: datetime | None
    version: int
    mine: bool
    size: int
    cards: tuple[Card, ...] = ()

    @property
    def called(self) -> str:
        """Its name; where nobody named it, in the reader's language."""
        found = _UNNAMED.fullmatch(self.name)
        if found is None:
            return self.name
        return _("My board {n}").format(n=found[1]) if found[1] else _("My board")


@dataclass(frozen=True)
class Aside:
    """What stands beside the boards: those deleted lately, and whether there is a team to share one with."""

    deleted: tuple[Board, ...]
    has_team: bool


def default_title(chart: str, about: Sequence[str]) -> str:
    """What a card is called that nobody gave a title: the chart and whom it is about."""
    parts = (_(CHARTS[chart].name) if chart in CHARTS else "", _(", ").join(about))
    return " · ".join(filter(None, parts))


# --- reading ---------------------------------------------------------------------------------------------------------


def listed(conn: Connection, *, viewer: Viewer) -> tuple[Board, ...]:
    """The viewer's own boards, then their team's, then the shared ones, each by name; at most MOST_LISTED."""
    viewer.require(Permission.VIEWS_EDIT)
    own = _B.owner_id == viewer.user_id
    place = case((own, 0), (_B.visibility == "team", 1), else_=2)
    query = _kept().where(_B.archived_at.is_(None), or_(own, _B.visibility != "private"))
    rows = conn.execute(query.order_by(place, func.lower(_B.name), _B.id).limit(MOST_LISTED)).mappings()
    return tuple(_board(row, viewer) for row in rows)


listed.personal = True  # type: ignore[attr-defined]  # each user's own: never cached for another


def aside(conn: Connection, *, viewer: Viewer) -> Aside:
    """The viewer's own deleted boards, the last one first, at most MOST_DELETED; and whether there is a team."""
    viewer.require(Permission.VIEWS_EDIT)
    mine = _kept().where(_B.archived_at.is_not(None), _B.owner_id == viewer.user_id)
    last = mine.order_by(_B.archived_at.desc(), _B.id.desc()).limit(MOST_DELETED).subquery()
    team = select(func.my_team().label("team")).subquery()
    query = select(team.c.team, *last.c).select_from(team.outerjoin(last, true()))
    rows = conn.execute(query.order_by(last.c.archived_at.desc(), last.c.id.desc())).mappings().all()
    return Aside(tuple(_board(row, viewer) for row in rows if row["id"] is not None), bool(rows[0]["team"]))


aside.personal = True  # type: ignore[attr-defined]


def get(conn: Connection, *, viewer: Viewer, board_id: int) -> Board:
    """One board with its cards, in their order. Raises NotFound, also for one that the viewer may not see."""
    viewer.require(Permission.VIEWS_EDIT)
    row = None
    if 0 < board_id <= changes.LARGEST_ID:
        row = conn.execute(_kept().where(_B.id == board_id)).mappings().one_or_none()
    if row is None:
        raise _unseen(board_id)
    query = select(schema.board_cards).where(_K.board_id == board_id).order_by(_K.position, _K.id)
    cards = conn.execute(query.limit(MOST_CARDS)).mappings().all()
    segments = _named(conn, schema.segments, [n for c in cards for n in _segments(c).values() if n is not None])
    models = _named(conn, schema.cluster_models, [n for n in map(_clusters, cards) if n is not None])
    return _board(row, viewer, tuple(_card(card, segments, models) for card in cards))


get.personal = True  # type: ignore[attr-defined]


def _kept() -> Select[Any]:
    u = schema.users.c
    size = select(func.count()).where(_K.board_id == _B.id).correlate(schema.boards).scalar_subquery()
    return select(schema.boards, u.name.label("owner"), size.label("size")).join(schema.users, u.id == _B.owner_id)


def _board(row: Mapping[Any, Any], viewer: Viewer, cards: tuple[Card, ...] = ()) -> Board:
    names = ("id", "name", "owner_id", "owner", "visibility", "archived_at", "version", "size")
    mine = row["owner_id"] == viewer.user_id or viewer.role is Role.ADMIN
    return Board(**{name: row[name] for name in names}, mine=mine, cards=cards)


def _chart(row: Mapping[Any, Any]) -> Chart:
    return CHARTS.get(row["chart"], Chart("", ""))


def _segments(row: Mapping[Any, Any]) -> dict[str, int | None]:
    """Code → number of the segments of a card; None for a ready-made one."""
    return {code: board_charts.number_of(code) for code in board_charts.codes(_chart(row), row["params"])}


def _clusters(row: Mapping[Any, Any]) -> int | None:
    written = row["params"].get(board_charts.CLUSTERS)
    return None if written is None else board_charts.number_of(f"s{written}") or 0


def _named(conn: Connection, table: Any, ids: Sequence[int]) -> dict[int, tuple[str, bool]]:
    """Number → name, and whether it is archived, of those that the viewer may see."""
    if not ids:
        return {}
    t = table.c
    rows = conn.execute(select(t.id, t.name, t.archived_at).where(t.id.in_(set(ids))))
    return {row.id: (row.name, row.archived_at is not None) for row in rows}


def _card(
    row: Mapping[Any, Any], segments: Mapping[int, tuple[str, bool]], models: Mapping[int, tuple[str, bool]]
) -> Card:
    about: list[str] = []
    problem = "" if row["chart"] in CHARTS else "chart"
    ready = ready_segments.every()
    for code, number in _segments(row).items():
        name, archived = segments.get(number or 0, ("", False))
        if number is None and code in ready:
            name = ready[code].name
        about += [name] if name else []
        problem = problem or ("segment archived" if archived else "" if name else "segment gone")
    if (model := _clusters(row)) is not None:
        name, archived = models.get(model, ("", False))
        about += [name] if name else []
        problem = problem or ("clusters archived" if archived else "" if name else "clusters gone")
    columns = ("id", "chart", "title", "params", "wide", "version")
    return Card(**{name: row[name] for name in columns}, about=tuple(about), problem=problem)


# --- boards ----------------------------------------------------------------------------------------------------------


def add(
    conn: Connection,
    *,
    actor: Viewer,
    name: str,
    visibility: str = "private",
    source: str = "screen",
    screen: str = "",
) -> tuple[int, int]:
    """Begin an empty board of one's own; gives its id and change set. Raises Invalid, by field, and Refused."""
    actor.require(Permission.VIEWS_EDIT)
    row = _new_board(conn, actor, name, visibility)
    set_id = _start(conn, actor, "board.add", source, screen)
    with _one_of_a_name(conn):
        [board_id] = changes.insert(conn, set_id, "boards", [row])
    return board_id, set_id


def save(
    conn: Connection,
    *,
    actor: Viewer,
    board_id: int,
    version: int,
    values: Mapping[str, Any],
    opened: Mapping[str, Any] | None = None,
    source: str = "screen",
    screen: str = "",
) -> int | None:
    """Change `name` or `visibility`, whichever stand in `values`; gives the change set, None when nothing differs.

    `opened` is what the editor saw at `version`: what others changed since and the editor did not is kept. Raises
    Invalid, Refused, NotFound, and Conflict (rows of column, mine, theirs) when both changed the same.
    """
    actor.require(Permission.VIEWS_EDIT)
    now = _mine(conn, actor, board_id)
    if unknown := values.keys() - {"name", "visibility"}:
        raise Invalid(_("A board has no “{name}”.").format(name=min(unknown)[:60]))
    patch: dict[str, Any] = {}
    if "name" in values:
        patch["name"] = _name(values["name"])
    if "visibility" in values:
        patch["visibility"] = _visible(conn, actor, values["visibility"], of_owner=now["owner_id"])
    patch = {name: value for name, value in patch.items() if value != now[name]}
    if not patch:
        return None
    _refuse_clash(now, patch, version, opened, _("This board was changed meanwhile. Nothing was saved; look again."))
    set_id = _start(conn, actor, "board.save", source, screen)
    with _one_of_a_name(conn):
        changes.update(conn, set_id, "boards", [{"id": board_id, **patch}])
    return set_id


def archive(
    conn: Connection, *, actor: Viewer, board_id: int, archived: bool = True, source: str = "screen", screen: str = ""
) -> int:
    """Take a board off the lists of all who saw it, or put it back; gives the change set.

    Raises Refused, NotFound, Invalid when it stands there already, or there is no room or name left.
    """
    actor.require(Permission.VIEWS_EDIT)
    now = _mine(conn, actor, board_id)
    if (now["archived_at"] is not None) == archived:
        raise Invalid(_("This board is deleted already.") if archived else _("This board is not deleted."))
    if not archived:
        _require_room(conn, now["owner_id"])
    set_id = _start(conn, actor, "board.archive" if archived else "board.restore", source, screen)
    with _one_of_a_name(conn):
        patch = {"id": board_id, "archived_at": clock.now() if archived else None}
        changes.update(conn, set_id, "boards", [patch])
    return set_id


# --- cards -----------------------------------------------------------------------------------------------------------


def keep(
    conn: Connection,
    *,
    actor: Viewer,
    chart: str,
    params: Mapping[str, str],
    title: str = "",
    board_id: int | None = None,
    board_name: str = "",
    wide: bool = False,
    source: str = "screen",
    screen: str = "",
) -> tuple[int, int, int]:
    """Keep a chart as the last card of a board, without `board_id` of a new one; gives card, board and change set.

    Without a `title` the card, without `board_name` the new board is called by what it is, in each reader's language.
    Raises Invalid (also when the board is full), by field where there is one, Refused, NotFound.
    """
    actor.require(Permission.VIEWS_EDIT)
    row: dict[str, Any] = {"chart": chart, "params": board_charts.checked(chart, params), "wide": bool(wide)}
    row["title"] = _title(title)
    new, owner_id, last = None, actor.user_id, 0
    if board_id is None:
        new = _new_board(conn, actor, board_name or _unused(conn, actor), "private")
    else:
        now = _mine(conn, actor, board_id)
        if now["archived_at"] is not None:
            raise Invalid(_("This board is deleted. Restore it, or choose another one."))
        owner_id = now["owner_id"]
        stands = select(func.count(), func.coalesce(func.max(_K.position), 0)).where(_K.board_id == board_id)
        n, last = conn.execute(stands).one()
        if n >= MOST_CARDS:
            said = _("This board has {most} charts, which is the most. Remove one, or begin another board.")
            raise Invalid(said.format(most=MOST_CARDS))
    set_id = _start(conn, actor, "board.keep", source, screen)
    if new is not None:
        with _one_of_a_name(conn):
            [board_id] = changes.insert(conn, set_id, "boards", [new])
    assert board_id is not None
    row |= {"board_id": board_id, "owner_id": owner_id, "position": last + 1}
    [card_id] = changes.insert(conn, set_id, "board_cards", [row])
    return card_id, board_id, set_id


def change_card(
    conn: Connection,
    *,
    actor: Viewer,
    card_id: int,
    version: int,
    values: Mapping[str, Any],
    opened: Mapping[str, Any] | None = None,
    source: str = "screen",
    screen: str = "",
) -> int | None:
    """Change `title` or `wide` of a card, as `save` does with a board. Raises as it does."""
    actor.require(Permission.VIEWS_EDIT)
    now = _my_card(conn, actor, card_id)
    if unknown := values.keys() - {"title", "wide"}:
        raise Invalid(_("A card has no “{name}”.").format(name=min(unknown)[:60]))
    patch = {name: _title(value) if name == "title" else bool(value) for name, value in values.items()}
    patch = {name: value for name, value in patch.items() if value != now[name]}
    if not patch:
        return None
    _refuse_clash(now, patch, version, opened, _("This card was changed meanwhile. Nothing was saved; look again."))
    set_id = _start(conn, actor, "board.card", source, screen)
    changes.update(conn, set_id, "board_cards", [{"id": card_id, **patch}])
    return set_id


def move(
    conn: Connection, *, actor: Viewer, card_id: int, down: bool, source: str = "screen", screen: str = ""
) -> int | None:
    """Change places with the card after it, or the one before it; gives the change set, None at the end of the row.

    Raises Refused, NotFound.
    """
    actor.require(Permission.VIEWS_EDIT)
    now = _my_card(conn, actor, card_id)
    query = select(_K.id, _K.position).where(_K.board_id == now["board_id"]).order_by(_K.position, _K.id)
    order = [row.id for row in conn.execute(query)]
    at = order.index(card_id)
    other = at + (1 if down else -1)
    if not 0 <= other < len(order):
        return None
    order[at], order[other] = order[other], order[at]
    set_id = _start(conn, actor, "board.move", source, screen)
    # Cards that an undo put back may share a place: all are numbered, and those that stand right are left alone.
    changes.update(conn, set_id, "board_cards", [{"id": n, "position": i} for i, n in enumerate(order, 1)])
    return set_id


def remove(conn: Connection, *, actor: Viewer, card_id: int, source: str = "screen", screen: str = "") -> int:
    """Take a card off its board; gives the change set. Raises Refused, NotFound."""
    actor.require(Permission.VIEWS_EDIT)
    _my_card(conn, actor, card_id)
    set_id = _start(conn, actor, "board.remove", source, screen)
    changes.delete(conn, set_id, "board_cards", [{"id": card_id}])
    return set_id


# --- checks ----------------------------------------------------------------------------------------------------------


def _new_board(conn: Connection, actor: Viewer, name: Any, visibility: Any) -> dict[str, Any]:
    row = {"name": _name(name), "visibility": _visible(conn, actor, visibility), "owner_id": actor.user_id}
    _require_room(conn, actor.user_id)
    return row


def _unused(conn: Connection, actor: Viewer) -> str:
    """UNNAMED, or with the first number that no board of the actor has yet."""
    mine = select(func.lower(_B.name)).where(_B.owner_id == actor.user_id, _B.archived_at.is_(None))
    taken, name, n = set(conn.scalars(mine)), UNNAMED, 1
    while name.lower() in taken:
        n += 1
        name = f"{UNNAMED} {n}"
    return name


def _name(name: Any) -> str:
    given = text.clean(name) if isinstance(name, str) else ""
    problem = ""
    if not given:
        problem = _("A board needs a name.")
    elif len(given) > MOST_NAME:
        problem = _("A name has at most {n} characters.").format(n=MOST_NAME)
    if problem:
        raise Invalid(problem, fields={"name": problem})
    return given


def _title(title: Any) -> str:
    given = text.clean(title) if isinstance(title, str) else None
    if given is None or len(given) > MOST_TITLE:
        problem = _("A title has at most {n} characters.").format(n=MOST_TITLE)
        raise Invalid(problem, fields={"title": problem})
    return given


def _visible(conn: Connection, actor: Viewer, visibility: Any, *, of_owner: int | None = None) -> str:
    if visibility not in VISIBILITIES:
        raise Invalid(_("A board is private, for the team, or shared with everybody."))
    if visibility == "team" and of_owner in (None, actor.user_id) and not conn.scalar(select(func.my_team())):
        problem = _("You belong to no team. Share it with everybody, or keep it to yourself.")
        raise Invalid(problem, fields={"visibility": problem})
    return str(visibility)


def _require_room(conn: Connection, owner_id: int) -> None:
    kept = select(func.count()).select_from(schema.boards).where(_B.owner_id == owner_id, _B.archived_at.is_(None))
    if (conn.scalar(kept) or 0) >= MOST_BOARDS:
        raise Invalid(_("You have {most} boards, which is the most. Delete one first.").format(most=MOST_BOARDS))


def _refuse_clash(
    now: Mapping[str, Any], patch: Mapping[str, Any], version: int, opened: Mapping[str, Any] | None, said: str
) -> None:
    """Raises Conflict with both sides of what the editor changes and others changed since it was opened."""
    if now["version"] == version:
        return
    seen = opened or {}
    clash = [column for column in patch if column not in seen or seen[column] != now[column]]
    if clash:
        rows = [{"column": column, "mine": patch[column], "theirs": now[column]} for column in clash]
        raise Conflict(said, rows=rows, version=now["version"])


def _mine(conn: Connection, actor: Viewer, board_id: int) -> dict[str, Any]:
    """The row, locked, which the actor may change."""
    row = None
    if 0 < board_id <= changes.LARGEST_ID:
        row = conn.execute(select(schema.boards).where(_B.id == board_id).with_for_update()).mappings().one_or_none()
        if row is None and conn.scalar(select(_B.id).where(_B.id == board_id)) is not None:
            raise _foreign()
    if row is None:
        raise _unseen(board_id)
    if row["owner_id"] != actor.user_id and actor.role is not Role.ADMIN:
        raise _foreign()
    return dict(row)


def _my_card(conn: Connection, actor: Viewer, card_id: int) -> dict[str, Any]:
    """A card of a board that the actor may change, which is locked first: two who move cards wait for one another."""
    board_id = None
    if 0 < card_id <= changes.LARGEST_ID:
        board_id = conn.scalar(select(_K.board_id).where(_K.id == card_id))
    if board_id is None:
        raise NotFound(_("This card is not there any more."))
    _mine(conn, actor, board_id)
    row = conn.execute(select(schema.board_cards).where(_K.id == card_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(_("This card is not there any more."))
    return dict(row)


def _foreign() -> Refused:
    return Refused(_("Only its owner changes a board. Keep the chart on a board of your own."))


def _unseen(board_id: int) -> NotFound:
    return NotFound(_("There is no board {id} that you may see.").format(id=board_id))


@contextmanager
def _one_of_a_name(conn: Connection) -> Iterator[None]:
    try:
        with conn.begin_nested():
            yield
    except IntegrityError as error:
        if _NAME_KEY not in str(error.orig):
            raise
        problem = _("You have a board of this name already. Choose another name.")
        raise Invalid(problem, fields={"name": problem}) from error


def _start(conn: Connection, actor: Viewer, command: str, source: str, screen: str) -> int:
    return changes.start(
        conn, actor=actor, command=command, permission=Permission.VIEWS_EDIT, source=source, screen=screen
    )
