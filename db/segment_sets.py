"""Segments as sets: how some of them overlap, exactly, and their union, intersection and difference as a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from db import segments
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.rules import Condition, Group
from db.words import _

MOST_SETS = 5
UNION, INTERSECTION, DIFFERENCE = "union", "intersection", "difference"
OPERATIONS = (UNION, INTERSECTION, DIFFERENCE)


@dataclass(frozen=True)
class Region:
    """The customers who fit exactly these of the segments, by their places, and no other of them."""

    of: tuple[int, ...]
    customers: int


@dataclass(frozen=True)
class Overlap:
    """Each segment's own size, and every combination that occurs, the largest first; `everyone` are all customers."""

    sizes: tuple[int, ...]
    regions: tuple[Region, ...]
    everyone: int


def overlap(conn: Connection, *, viewer: Viewer, rules: tuple[str, ...], today: date) -> Overlap:
    """How up to five rules (JSON) overlap, exactly, now, among the viewer's customers. Raises Invalid and Refused."""
    viewer.require(Permission.SEGMENTS_READ)
    _require_few(rules)
    groups = [segments.checked(conn, viewer, rule) for rule in rules]
    found = segments.combinations(conn, viewer, groups, today)
    sizes = tuple(sum(n for mask, n in found.items() if mask >> i & 1) for i in range(len(groups)))
    regions = [
        Region(tuple(i for i in range(len(groups)) if mask >> i & 1), n) for mask, n in found.items() if mask and n
    ]
    return Overlap(sizes, tuple(sorted(regions, key=lambda r: (-r.customers, r.of))), sum(found.values()))


def combined(operation: str, rules: Sequence[Group]) -> Group:
    """The rule of a union, an intersection, or of the first without the others. Raises Invalid: too many, too deep."""
    if operation not in OPERATIONS:
        known = ", ".join(OPERATIONS)
        raise Invalid(_("There is no operation “{value}”. Possible: {known}.").format(value=operation, known=known))
    _require_few(rules)
    first, *others = rules
    if operation == DIFFERENCE:
        return Group("all", (*_within("all", first), Group("none", tuple(each for o in others for each in _any(o)))))
    match = "any" if operation == UNION else "all"
    return Group(match, tuple(each for rule in rules for each in _within(match, rule)))


def who(
    conn: Connection, *, viewer: Viewer, operation: str, rules: tuple[str, ...], today: date, limit: int
) -> tuple[int, ...]:
    """The numbers of the customers of a union, an intersection or a difference, however deep the rules are together.

    At most `limit`, in order. Raises Invalid and Refused.
    """
    viewer.require(Permission.SEGMENTS_READ)
    viewer.require(Permission.CUSTOMERS_READ)
    groups = [segments.checked(conn, viewer, rule) for rule in rules]
    return segments.numbers(conn, combined(operation, groups), today, limit)


def _within(match: str, rule: Group) -> tuple[Condition | Group, ...]:
    """The parts of a rule that may stand in a group of this kind without brackets of their own."""
    if rule.rules and (rule.match == match or (len(rule.rules) == 1 and rule.match != "none")):
        return rule.rules
    return (rule,)


def _any(rule: Group) -> tuple[Condition | Group, ...]:
    return _within("any", rule)


def _require_few(rules: Sequence[object]) -> None:
    if not 2 <= len(rules) <= MOST_SETS:
        raise Invalid(_("Choose 2 to {n} segments.").format(n=MOST_SETS))
