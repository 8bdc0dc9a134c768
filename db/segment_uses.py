"""Where a segment is used: the rules of other segments, and clusters that were made of its members.

Whatever uses a segment goes by its number, and an archived one counts as before: so it is archived, not deleted.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from db import clusters, saved_segments
from db.cluster_values import SAVED
from db.permissions import Permission, Viewer

RULE, CLUSTERS = "rule", "clusters"


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
