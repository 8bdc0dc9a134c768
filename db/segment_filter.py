"""The segment that the list of customers is narrowed by: which there are to choose from, and who is in it.

It is asked by its rule as of now, under the rights of who asks. Where it cannot be, a sentence says why and nobody is
found: a list that was to be narrowed is never shown whole. An archived segment counts as before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Connection, case, func, select

from db import array_bytes, custom_fields, nested, ready_segments, remembering, schema, scores
from db.board_charts import number_of
from db.changes import LARGEST_ID
from db.cluster_values import SAVED
from db.customer_filters import Filters, Resolved
from db.errors import Invalid, NotFound
from db.permissions import Permission, Viewer
from db.rules import Group, conditions, parse
from db.segment_question import Question, each_customer
from db.words import _

MOST_BY_NUMBER = 20_000
"""Members who are looked up by their numbers, where these are known from memory."""
MOST_OFFERED = 500
"""Saved segments that are offered."""


@dataclass(frozen=True)
class Named:
    """What a segment is called; `archived` ones are not offered, and count all the same."""

    name: str
    archived: bool = False


def offered(conn: Connection, *, viewer: Viewer) -> dict[str, Named]:
    """Code → segment, of those on the list: one's own, then by name, at most MOST_OFFERED; then the ready-made ones."""
    viewer.require(Permission.SEGMENTS_READ)
    s = schema.segments.c
    mine = case((s.owner_id == viewer.user_id, 0), else_=1)
    query = select(s.id, s.name).where(s.archived_at.is_(None)).order_by(mine, func.lower(s.name), s.id)
    found = {f"{SAVED}{row.id}": Named(row.name) for row in conn.execute(query.limit(MOST_OFFERED))}
    return found | {code: Named(one.name) for code, one in ready_segments.every().items()}


offered.personal = True  # type: ignore[attr-defined]  # each user's own segments


def named(conn: Connection, *, viewer: Viewer, codes: Iterable[str]) -> dict[str, Named]:
    """Those of these codes that name a segment which the viewer may see."""
    viewer.require(Permission.SEGMENTS_READ)
    ready = ready_segments.every()
    found = {code: Named(ready[code].name) for code in codes if code in ready}
    numbers = [number for code in codes if (number := _number(code))]
    if numbers:
        s = schema.segments.c
        rows = conn.execute(select(s.id, s.name, s.archived_at).where(s.id.in_(numbers)))
        found |= {f"{SAVED}{row.id}": Named(row.name, row.archived_at is not None) for row in rows}
    return found


named.personal = True  # type: ignore[attr-defined]


def resolved(conn: Connection, *, viewer: Viewer, today: date, filters: Filters) -> Filters:
    """The filters with who is in their segment. Raises NotFound, Invalid and Refused, in a sentence each."""
    if not filters.segment:
        return filters
    viewer.require(Permission.SEGMENTS_READ)
    if filters.archived:
        raise Invalid(_("Who is archived is in no segment, so nobody is found. Take one of the two filters away."))
    rule = _rule(conn, viewer, filters.segment)
    bounds, _made = scores.bounds(conn)
    ids = remembering.ask(conn, viewer, today, bounds, (rule,), lambda sight: sight.ids(rule, MOST_BY_NUMBER))
    if ids is not None:
        member: ColumnElement[bool] = schema.customers.c.id == func.any(array_bytes.bound(conn, ids))
    else:
        c = schema.customers.c
        everyone = each_customer(c.id).where(c.archived_at.is_(None))
        members = Question(today, bounds, scoped=viewer.scoped).who(rule, everyone)
        # Customers stand in it once more, and not as those outside.
        member = schema.customers.c.id.in_(members.correlate(None))
    return Resolved(**vars(filters) | {"member": member})


def tells_personal(conn: Connection, *, viewer: Viewer, code: str) -> bool:
    """Whether who is in it tells of what is withheld from masked roles: by a field of the rule, or by a list in it."""
    viewer.require(Permission.SEGMENTS_READ)
    found = conditions(_rule(conn, viewer, code))
    lists = [number for c in found if c.field.key == "listed" for number in c.values]
    s = schema.segment_states.c
    kept = conn.scalars(select(s.personal).where(s.segment_id.in_(lists))).all() if lists else ()
    return any(c.field.personal for c in found) or any(kept)


def _number(code: str) -> int | None:
    number = number_of(code)
    return number if number and number <= LARGEST_ID else None


def _rule(conn: Connection, viewer: Viewer, code: str) -> Group:
    """The segment's rule, with those of the segments that it names, which the viewer may ask."""
    ready = ready_segments.every().get(code)
    if ready:
        return ready.rule
    s = schema.segments.c
    number = _number(code)
    row = conn.execute(select(s.name, s.rule).where(s.id == number)).one_or_none() if number else None
    if row is None:
        raise NotFound(
            _(
                "The segment that this list is narrowed by is not there any more, or is not shared with you, "
                "so nobody is shown. Take the filter away, or choose another segment."
            )
        )
    known = custom_fields.countable(conn, viewer=viewer, rules=(str(row.rule),))
    try:
        rule = parse(row.rule, known)
    except Invalid as error:
        said = _("The rule of the segment “{name}” cannot be read, so nobody is shown. {problem}")
        raise Invalid(said.format(name=row.name, problem=error.message)) from error
    rule = nested.expanded(conn, viewer=viewer, rule=rule)
    nested.require_seen(viewer, rule)
    return rule
