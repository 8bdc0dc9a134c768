"""Whom a frozen segment of the list of customers keeps: those that were ticked, or all that its filters find.

Read first and then kept by `saved_segments.freeze`: who sees masked rows writes with a role that reads no customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, select

from db import customers, schema, search, segment_filter
from db.customer_filters import EVERYBODY, Filters
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.saved_segments import MOST_FROZEN
from db.words import _


@dataclass(frozen=True)
class Chosen:
    """The numbers of the customers, one more than MOST_FROZEN at most; `personal`: who they are tells of contacts."""

    ids: tuple[int, ...]
    personal: bool


def chosen(
    conn: Connection, *, viewer: Viewer, today: date, ids: Sequence[int] = (), filters: Filters = EVERYBODY
) -> Chosen:
    """These customers, or without `ids` all that the filters find, as `saved_segments.freeze` takes them.

    `filters` are those of the list that the ids were ticked in, too: where it was searched by words or narrowed by a
    personal field, masked roles must not be told who is in. Raises Invalid (archived ones, a search with more hits).
    """
    viewer.require(Permission.SEGMENTS_EDIT)
    viewer.require(Permission.CUSTOMERS_READ)
    if filters.archived:
        raise Invalid(_("Archived customers are in no segment. Put them back on the lists first."))
    found = ids or _found(conn, viewer, today, filters)
    return Chosen(tuple(found), _tells_personal(conn, viewer, filters))


def _found(conn: Connection, viewer: Viewer, today: date, filters: Filters) -> Sequence[int]:
    found, more = customers.matching(conn, viewer, today, filters)
    if more:
        most = f"{search.MOST_HITS:,}"
        raise Invalid(_("This search has more than {most} hits. Narrow it, or use filters instead.").format(most=most))
    return conn.scalars(found.with_only_columns(schema.customers.c.id).limit(MOST_FROZEN + 1)).all()


def _tells_personal(conn: Connection, viewer: Viewer, filters: Filters) -> bool:
    """Whether who is found tells of personal values. Who sees masked rows finds by none."""
    if viewer.masked:
        return False
    f = schema.custom_fields.c
    keys = [key for key, _asked in filters.own]
    if filters.segment and segment_filter.tells_personal(conn, viewer=viewer, code=filters.segment):
        return True
    return bool(filters.search) or bool(conn.scalars(select(f.id).where(f.key.in_(keys), f.personal)).first())
