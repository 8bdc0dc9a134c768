"""Segments that a rule names: their rules in the place of their numbers, so that one statement counts the whole.

Whoever asks sees what they may see: a rule that names a private segment of somebody else counts nothing for them, and
says so. Archived segments may be named; the present rule of each is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, or_, select

from db import custom_fields, schema
from db.errors import Invalid, Refused
from db.fields import Kind
from db.permissions import Viewer
from db.rules import Condition, Group, conditions, parse
from db.words import _

MOST_NESTED = 5
"""Segments within one another."""
MOST_EXPANDED = 300
"""Conditions of a rule together with those of the segments that it names."""
MOST_VALUES_EXPANDED = 30_000
"""Their values: a statement has at most 65,535 parameters."""


@dataclass(frozen=True)
class Named:
    """A segment that a rule names; `problem` is why its own rule cannot be read."""

    name: str
    shared: bool
    rule: Group
    problem: str = ""


def asks(rule: str) -> bool:
    """Whether a text may be a rule that names segments, frozen lists or clusters, which may be a user's own.

    Then what one is told of it is nobody's but the asker's.
    """
    return any(named in rule for named in ('"segment"', '"listed"', '"cluster.', "\\u"))


def named(rule: Condition | Group) -> set[int]:
    """The numbers of the segments that a rule names itself."""
    return {number for c in conditions(rule) if c.field.kind is Kind.SEGMENT for number in c.values}


def expanded(
    conn: Connection, *, viewer: Viewer, rule: Group, segment_id: int | None = None, of_owner: int | None = None
) -> Group:
    """The rule with the rules of the segments that it names, in groups in their place.

    Raises Invalid when one of them is not there for this viewer, cannot be read, or is part of itself; and when all
    together are too much. With `segment_id` the rule is to be that segment's, which must then be no part of it. With
    `of_owner` those alone are there that this user may see: for the worker, who sees all.
    """
    if not named(rule):
        return rule
    found = _found(conn, viewer, rule, of_owner)
    above = () if segment_id is None else (segment_id,)
    return _Expansion(found, MOST_NESTED + len(above)).group(rule, above)


def _found(conn: Connection, viewer: Viewer, rule: Group, of_owner: int | None) -> Mapping[int, Named]:
    """All that the viewer may see of the segments named, and of those named by these, a statement for each step."""
    s = schema.segments.c
    found: dict[int, Named] = {}
    wanted = named(rule)
    for _step in range(MOST_NESTED + 1):
        if not wanted:
            break
        query = select(s.id, s.name, s.visibility, s.rule).where(s.id.in_(wanted))
        if of_owner is not None:
            query = query.where(or_(s.owner_id == of_owner, s.visibility == "shared"))
        rows = conn.execute(query).all()
        known = custom_fields.countable(conn, viewer=viewer, rules=[str(row.rule) for row in rows])
        for row in rows:
            kept, problem = Group("any"), ""
            try:
                kept = parse(row.rule, known)
            except Invalid as error:
                problem = error.message
            found[row.id] = Named(row.name, row.visibility == "shared", kept, problem)
        wanted = {n for row in rows for n in named(found[row.id].rule)} - found.keys()
    return found


class _Expansion:
    """Puts rules into their places and adds up what they hold."""

    def __init__(self, found: Mapping[int, Named], deepest: int) -> None:
        self._found, self._deepest = found, deepest
        self._conditions = self._values = 0

    def group(self, rule: Group, within: tuple[int, ...]) -> Group:
        """The group with the rules of the segments in it; `within` are the segments that it stands in."""
        return Group(rule.match, tuple(self._each(part, within) for part in rule.rules))

    def _each(self, part: Condition | Group, within: tuple[int, ...]) -> Condition | Group:
        if isinstance(part, Group):
            return self.group(part, within)
        if part.field.kind is Kind.SEGMENT:
            parts = tuple(self._segment(number, within) for number in part.values)
            return Group("any" if part.op == "in" else "none", parts)
        self._conditions += 1
        self._values += len(part.values) + 2
        if self._conditions > MOST_EXPANDED or self._values > MOST_VALUES_EXPANDED:
            raise Invalid(
                _("A rule and the segments that it names have at most {most} conditions together.").format(
                    most=MOST_EXPANDED
                )
            )
        return part

    def _segment(self, number: int, within: tuple[int, ...]) -> Group:
        if number in within:
            listed = " → ".join(self._called(n) for n in (*within[within.index(number) :], number))
            raise Invalid(_("A segment cannot be a part of itself: {listed}.").format(listed=listed))
        if len(within) >= self._deepest:
            raise Invalid(_("Segments stand at most {most} deep within one another.").format(most=MOST_NESTED))
        one = self._found.get(number)
        if one is None:
            raise Invalid(
                _("The rule names segment {id}, which is not there or not shared with you. Take it out.").format(
                    id=number
                )
            )
        if one.problem:
            raise Invalid(
                _("The rule names the segment “{name}”, whose own rule cannot be read. {problem}").format(
                    name=one.name, problem=one.problem
                )
            )
        return self.group(one.rule, (*within, number))

    def _called(self, number: int) -> str:
        one = self._found.get(number)
        return f"“{one.name}”" if one else _("this one")


def hidden(asking: Viewer, rule: Condition | Group) -> list[str]:
    """What of a rule is withheld from the viewer's role: the names of the fields."""
    return sorted({c.field.label for c in conditions(rule) if c.field.personal}) if asking.masked else []


def require_seen(asking: Viewer, rule: Condition | Group) -> None:
    """Raise Refused when the rule looks at what is withheld from the viewer's role."""
    withheld = hidden(asking, rule)
    if withheld:
        listed = _(", ").join(withheld)
        raise Refused(
            _("Names and contacts are hidden from your role, so it cannot count by: {fields}.").format(fields=listed)
        )


def require_shared(conn: Connection, rule: Group) -> None:
    """Raise Invalid when a rule, which others shall see, names a segment that they do not see."""
    s = schema.segments.c
    numbers = named(rule)
    if not numbers:
        return
    private = conn.scalars(select(s.name).where(s.id.in_(numbers), s.visibility != "shared").order_by(s.name)).all()
    if private:
        listed = _(", ").join(f"“{name}”" for name in private)
        raise Invalid(
            _("Colleagues do not see {listed}, which this rule names. Share these first, or keep this private.").format(
                listed=listed
            )
        )
