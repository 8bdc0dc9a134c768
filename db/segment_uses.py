"""Where a segment is used: the rules of other segments, clusters of its members, campaigns from it, charts on boards.

Whatever uses a segment goes by its number, and an archived one counts as before: so it is archived, not deleted, and
its making cannot be undone while something uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from db import clusters, saved_segments, schema
from db.cluster_values import SAVED
from db.errors import Conflict
from db.permissions import Permission, Viewer
from db.words import _, ngettext

RULE, CLUSTERS, CAMPAIGN, BOARD = "rule", "clusters", "campaign", "board"
MOST_NAMED = 3
"""Uses of one kind that are named where an undo is refused."""


@dataclass(frozen=True)
class Use:
    """One use that the viewer may see: of `kind` RULE the segment whose rule names it, of CLUSTERS the clusters."""

    kind: str
    id: int
    name: str


def uses(conn: Connection, *, viewer: Viewer, segment_id: int) -> tuple[Use, ...]:
    """Where a segment is used, by what the viewer may see: in rules, by name; then by clusters, the newest first.

    What is archived itself is left out.
    """
    viewer.require(Permission.SEGMENTS_READ)
    named = saved_segments.used_by(conn, viewer=viewer, segment_id=segment_id)
    made = (model for model in clusters.kept(conn, viewer=viewer) if model.of == f"{SAVED}{segment_id}")
    return (*(Use(RULE, one.id, one.name) for one in named), *(Use(CLUSTERS, one.id, one.name) for one in made))


uses.personal = True  # type: ignore[attr-defined]  # each user's own segments


def require_unused(conn: Connection, *, segment_ids: Iterable[int]) -> None:
    """Raises Conflict where one of one's own segments is used, and says where; an archived use counts, too.

    What is out of sight is told by its number alone.
    """
    for segment_id in segment_ids:
        found = conn.execute(select(func.uses_of_segment(segment_id).table_valued("kind", "id"))).all()
        if found:
            said = _(
                "“{name}” is used, so making it cannot be undone: {where}. Take it out there first, or archive it."
            )
            name = conn.scalar(select(schema.segments.c.name).where(schema.segments.c.id == segment_id))
            where = _where(conn, {kind: [row.id for row in found if row.kind == kind] for kind, _id in found})
            raise Conflict(said.format(name=name, where=where))


def _where(conn: Connection, found: dict[str, list[int]]) -> str:
    told = {
        RULE: (schema.segments.c, _("the rules of {names}")),
        CLUSTERS: (schema.cluster_models.c, _("clusters {names}")),
        CAMPAIGN: (schema.campaigns.c, _("the campaigns {names}")),
        BOARD: (schema.boards.c, _("the boards {names}")),
    }
    parts, hidden = [], 0
    for kind, (c, template) in told.items():
        ids = found.get(kind, [])
        names = conn.scalars(select(c.name).where(c.id.in_(ids)).order_by(c.id)).all() if ids else []
        hidden += len(ids) - len(names)
        if names:
            parts.append(template.format(names=_listed(names)))
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
