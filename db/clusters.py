"""Clusters of customers that are kept; what they are made of and look like is in db/cluster_figures.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from db import changes, clock, fields, schema, text
from db.cluster_values import Model, data_of, read
from db.errors import Invalid, NotFound, Refused
from db.permissions import Permission, Role, Viewer
from db.words import _

MOST_NAME = 120
MOST_KEPT = 100
_NAME_KEY = "cluster_models_owner_id_name_key"


def kept(conn: Connection, *, viewer: Viewer, limit: int = MOST_KEPT) -> tuple[Model, ...]:
    """The sets of clusters that the viewer may see and that are not archived, the newest first."""
    viewer.require(Permission.SEGMENTS_READ)
    k, u = schema.cluster_models, schema.users.c
    query = select(*k.c, u.name.label("owner")).select_from(k.join(schema.users, u.id == k.c.owner_id))
    query = query.where(k.c.archived_at.is_(None)).order_by(k.c.id.desc()).limit(limit)
    return tuple(_model(row, viewer) for row in conn.execute(query).mappings())


kept.personal = True  # type: ignore[attr-defined]  # says which are one's own


def countable(conn: Connection, *, viewer: Viewer) -> dict[str, fields.Field]:
    """Key → field of all sets of clusters, archived ones too, by which rules may ask."""
    viewer.require(Permission.SEGMENTS_READ)
    k = schema.cluster_models
    rows = conn.execute(select(*k.c).order_by(k.c.id)).mappings()
    made = (fields.of_cluster(_model({**row, "owner": ""}, viewer)) for row in rows)
    return {field.key: field for field in made}


def _model(row: Any, viewer: Viewer) -> Model:
    return read(
        row["model"],
        id=row["id"],
        name=row["name"],
        owner=row["owner"],
        made_at=row["created_at"],
        archived=row["archived_at"] is not None,
        mine=row["owner_id"] == viewer.user_id or viewer.role is Role.ADMIN,
        version=row["version"],
    )


def save(
    conn: Connection, *, actor: Viewer, name: str, model: Mapping[str, Any], source: str = "screen", screen: str = ""
) -> tuple[int, int]:
    """Keep clusters under a name; gives their number and the change set. Raises Invalid, Refused."""
    actor.require(Permission.SEGMENTS_EDIT)
    name = text.clean(name)
    if not 1 <= len(name) <= MOST_NAME:
        problem = _("A name has 1 to {n} characters.").format(n=MOST_NAME)
        raise Invalid(problem, fields={"name": problem})
    values = {"name": name, "model": dict(data_of(read(dict(model)))), "owner_id": actor.user_id}
    set_id = _start(conn, actor, "clusters.add", source, screen)
    try:
        with conn.begin_nested():
            [number] = changes.insert(conn, set_id, "cluster_models", [values | {"visibility": "shared"}])
    except IntegrityError as error:
        if _NAME_KEY not in str(error.orig):
            raise
        problem = _("You have clusters of this name already. Choose another name.")
        raise Invalid(problem, fields={"name": problem}) from error
    return number, set_id


def archive(conn: Connection, *, actor: Viewer, clusters_id: int, source: str = "screen", screen: str = "") -> int:
    """Take clusters off the list; segments that ask for them say so. Raises Refused, NotFound."""
    actor.require(Permission.SEGMENTS_EDIT)
    k = schema.cluster_models.c
    row = None
    if 0 < clusters_id <= changes.LARGEST_ID:
        row = conn.execute(select(k.owner_id).where(k.id == clusters_id)).one_or_none()
    if row is None:
        raise NotFound(_("There are no clusters {id} that you may see.").format(id=clusters_id))
    if row.owner_id != actor.user_id and actor.role is not Role.ADMIN:
        raise Refused(_("Only their owner and administrators take clusters off the list."))
    set_id = _start(conn, actor, "clusters.archive", source, screen)
    changes.update(conn, set_id, "cluster_models", [{"id": clusters_id, "archived_at": clock.now()}])
    return set_id


def _start(conn: Connection, actor: Viewer, command: str, source: str, screen: str) -> int:
    return changes.start(
        conn, actor=actor, command=command, permission=Permission.SEGMENTS_EDIT, source=source, screen=screen
    )
