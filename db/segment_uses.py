"""Where segments and clusters are used: in rules of segments, by clusters, campaigns, charts on boards, kept views.

Whatever uses a segment goes by its number, and an archived one counts as before: so it is archived, not deleted, and
its making cannot be undone while something uses it; no more can the making of clusters that rules or boards go by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, literal, or_, select, union_all
from sqlalchemy.sql.functions import Function

from db import clusters, saved_segments, schema
from db.cluster_values import SAVED
from db.errors import Conflict
from db.permissions import Permission, Viewer
from db.words import _, ngettext

RULE, CLUSTERS, CAMPAIGN, BOARD, VIEW = "rule", "clusters", "campaign", "board", "view"
MOST_NAMED = 3
"""Uses of one kind that are named where an undo is refused."""


@dataclass(frozen=True)
class Use:
    """One use that the viewer may see: of `kind` RULE the segment whose rule names it, of CLUSTERS the clusters."""

    kind: str
    id: int
    name: str


@dataclass(frozen=True)
class Uses:
    """The uses that the viewer may see, and to the segment's owner how many there are besides."""

    named: tuple[Use, ...]
    hidden: int = 0


def uses(conn: Connection, *, viewer: Viewer, segment_id: int) -> Uses:
    """Where a segment is used, by what the viewer may see: in rules, by name; by clusters, the newest first; on boards
    and in kept views, by name.

    What is archived itself is left out. Campaigns are in db/started_campaigns.py.
    """
    viewer.require(Permission.SEGMENTS_READ)
    code = f"{SAVED}{segment_id}"
    named = saved_segments.used_by(conn, viewer=viewer, segment_id=segment_id)
    made = (model for model in clusters.kept(conn, viewer=viewer) if model.of == code)
    found = [Use(RULE, one.id, one.name) for one in named] + [Use(CLUSTERS, one.id, one.name) for one in made]
    b, k, v = schema.boards.c, schema.board_cards.c, schema.saved_views.c
    told = func.jsonb_each_text(k.params).table_valued("key", "value")
    by_code = literal(code) == func.any(func.string_to_array(told.c.value, ","))
    asks = or_(by_code, and_(told.c.key == "id", told.c.value == str(segment_id)))
    shown = select(k.board_id).select_from(schema.board_cards.join(told, asks))
    on_boards = select(literal(BOARD), b.id, b.name).where(b.archived_at.is_(None), b.id.in_(shown))
    in_views = select(literal(VIEW), v.id, v.name).where(v.archived_at.is_(None), v.params["segment"].astext == code)
    rows = conn.execute(union_all(on_boards, in_views)).all()
    found += sorted((Use(*row) for row in rows), key=lambda use: (use.kind, use.name.lower(), use.id))
    return Uses(tuple(found), _seen(conn, func.uses_of_segment(segment_id))[1])


uses.personal = True  # type: ignore[attr-defined]  # each user's own segments


def require_unused(conn: Connection, *, segment_ids: Iterable[int] = (), clusters_ids: Iterable[int] = ()) -> None:
    """Raises Conflict where one of one's own segments or clusters is used, and says where; an archived rule counts.

    What is out of sight is told by its number alone.
    """
    said = _("“{name}” is used, so making it cannot be undone: {where}. Take it out there first, or archive it.")
    for segment_id in segment_ids:
        _refuse(conn, said, schema.segments.c, segment_id, func.uses_of_segment(segment_id))
    said = _("The clusters “{name}” are used, so making them cannot be undone: {where}. Take them out there first.")
    for clusters_id in clusters_ids:
        _refuse(conn, said, schema.cluster_models.c, clusters_id, func.uses_of_clusters(clusters_id))


def _refuse(conn: Connection, said: str, c: Any, row_id: int, asked: Function[Any]) -> None:
    names, hidden = _seen(conn, asked)
    if names or hidden:
        name = conn.scalar(select(c.name).where(c.id == row_id))
        raise Conflict(said.format(name=name, where=_where(names, hidden)))


def _seen(conn: Connection, asked: Function[Any]) -> tuple[dict[str, list[str]], int]:
    """Kind → names of what may be seen of some uses, by their number, and how many others there are."""
    tables = {
        RULE: schema.segments.c,
        CLUSTERS: schema.cluster_models.c,
        CAMPAIGN: schema.campaigns.c,
        BOARD: schema.boards.c,
        VIEW: schema.saved_views.c,
    }
    ids: dict[str, list[int]] = {}
    for kind, number in conn.execute(select(asked.table_valued("kind", "id"))):
        ids.setdefault(kind, []).append(number)
    names: dict[str, list[str]] = {}
    for kind, numbers in ids.items():
        c = tables[kind]
        names[kind] = list(conn.scalars(select(c.name).where(c.id.in_(numbers)).order_by(c.id)))
    hidden = sum(map(len, ids.values())) - sum(map(len, names.values()))
    return {kind: found for kind in tables if (found := names.get(kind))}, hidden


def _where(names: Mapping[str, Sequence[str]], hidden: int) -> str:
    templates = {
        RULE: _("the rules of {names}"),
        CLUSTERS: _("clusters {names}"),
        CAMPAIGN: _("the campaigns {names}"),
        BOARD: _("the boards {names}"),
        VIEW: _("the views {names} of the list of customers"),
    }
    parts = [templates[kind].format(names=_listed(found)) for kind, found in names.items()]
    if hidden:
        parts.append(
            ngettext("{n} place that you do not see", "{n} places that you do not see", hidden).format(n=hidden)
        )
    return _("; ").join(parts)


def _listed(names: Sequence[str]) -> str:
    said = _(", ").join(f"“{name}”" for name in names[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return (
        said if more <= 0 else ngettext("{names} and {n} more", "{names} and {n} more", more).format(names=said, n=more)
    )
