"""What the company says its stages and scores are: in force, all versions, what a draft would change, a new version.

Each change is a version with a number of its own, which is never given again. A version is in force from the moment it
is saved; taking the change back in the history puts the one before into force again, at once. Whoever asks reads the
rules in the same statement as the customers or in the same snapshot, so an answer is by one version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy import insert as sa_insert

from db import changes, clock, fields, held, lifecycle, schema, score_rules, scores, text
from db.errors import Conflict, Invalid, NotFound
from db.held_rules import SCORED
from db.lifecycle import StageRules
from db.permissions import Permission, Viewer
from db.rules import Group
from db.schema_definitions import KINDS
from db.score_rules import ScoreRules
from db.segment_question import each_customer
from db.words import _

Rules = StageRules | ScoreRules
MOST_REASON = 300
MOST_VERSIONS = 200
"""Versions of one kind that are listed, the latest."""

_D, _V = schema.definitions.c, schema.definition_versions.c


@dataclass(frozen=True)
class Version:
    """One version. `rules` is None where this Kehu cannot read them; `by` is "" for the rules as delivered."""

    kind: str
    number: int
    rules: Rules | None
    reason: str
    by: str
    made_at: datetime
    in_force: bool


@dataclass(frozen=True)
class InForce:
    """What stands: the number, the rules, since when, and `row_version`, which a save has to name."""

    number: int
    rules: Rules
    since: datetime
    row_version: int


@dataclass(frozen=True)
class Effect:
    """What a draft would change for the customers the viewer may see.

    `moves` has for each part (the stages, or the scores of each measure) what is now and what would be → customers.
    """

    moves: Mapping[str, Mapping[tuple[str, str], int]]

    def now(self, part: str) -> dict[str, int]:
        """Customers by what they are in now."""
        return self._summed(part, 0)

    def then(self, part: str) -> dict[str, int]:
        """Customers by what they would be in."""
        return self._summed(part, 1)

    def flows(self, part: str) -> list[tuple[str, str, int]]:
        """From, to, how many customers; the largest first, without those who stay."""
        moved = [(a, b, n) for (a, b), n in self.moves[part].items() if a != b]
        return sorted(moved, key=lambda flow: (-flow[2], flow[:2]))

    def moved(self, part: str) -> int:
        """How many would be in another one than now."""
        return sum(n for _a, _b, n in self.flows(part))

    def _summed(self, part: str, side: int) -> dict[str, int]:
        found: dict[str, int] = {}
        for pair, n in self.moves[part].items():
            found[pair[side]] = found.get(pair[side], 0) + n
        return found


def parse(kind: str, rules: Any) -> Rules:
    """Rules of a kind, checked. Raises Invalid by field."""
    if kind not in KINDS:
        raise Invalid(_("There is no definition “{kind}”.").format(kind=text.clean(str(kind))[:60]))
    return lifecycle.parse(rules) if kind == lifecycle.KIND else score_rules.parse(rules)


def in_force(conn: Connection, *, viewer: Viewer, kind: str) -> InForce:
    """The version of a kind that counts now."""
    viewer.require(Permission.OVERVIEW_READ)
    row = conn.execute(select(schema.definitions).where(_D.kind == kind)).mappings().first()
    if row is None:
        raise NotFound(_("There is no definition “{kind}”.").format(kind=text.clean(kind)[:60]))
    return InForce(row["number"], parse(kind, row["rules"]), row["updated_at"], row["version"])


def versions(conn: Connection, *, viewer: Viewer, kind: str, limit: int = MOST_VERSIONS) -> list[Version]:
    """All versions of a kind, the latest first."""
    viewer.require(Permission.OVERVIEW_READ)
    u = schema.users.c
    query = (
        select(
            schema.definition_versions,
            func.coalesce(u.name, "").label("by"),
            (_V.number == _D.number).label("in_force"),
        )
        .select_from(
            schema.definition_versions.join(schema.definitions, _D.kind == _V.kind).outerjoin(
                schema.users, u.id == _V.made_by
            )
        )
        .where(_V.kind == kind)
        .order_by(_V.number.desc())
        .limit(limit)
    )
    return [
        Version(kind, row.number, _readable(kind, row.rules), row.reason, row.by, row.made_at, row.in_force)
        for row in conn.execute(query)
    ]


def effect(conn: Connection, *, viewer: Viewer, kind: str, rules: Mapping[str, Any], today: date) -> Effect:
    """How the customers the viewer may see would move if these rules were in force; counted, nothing is changed.

    Raises Invalid by field.
    """
    viewer.require(Permission.OVERVIEW_READ)
    draft = parse(kind, rules)
    bounds, _made = scores.bounds(conn)
    if isinstance(draft, StageRules):
        other: fields.Bounds = {lifecycle.KIND: draft.numbers()}
        dimensions = {lifecycle.KIND: "stage"}
    else:
        other = {**scores.taken(conn), **draft.bounds()}
        dimensions = {measure: score for score, measure in SCORED.items() if measure in fields.MEASURES}

    def moves(sight: held.Sight) -> dict[str, list[tuple[str, str, int]]]:
        return {name: [*sight.moves(dimension, other)] for name, dimension in dimensions.items()}

    asked: dict[str, Any] = {"viewer": viewer, "today": today, "bounds": bounds}
    found = held.ask(conn, **asked, rules=(Group("all"),), answer=moves)
    if found is None:
        found = _moves(conn, dimensions, today, bounds, other)
    counted: dict[str, dict[tuple[str, str], int]] = {name: {} for name in dimensions}
    for name, rows in found.items():
        for now, then, n in rows:
            counted[name][now, then] = counted[name].get((now, then), 0) + n
    return Effect(counted)


def _moves(
    conn: Connection, names: Iterable[str], today: date, bounds: fields.Bounds, other: fields.Bounds
) -> dict[str, list[tuple[str, str, int]]]:
    """The same by PostgreSQL: for each of some names what is, what would be, customers."""

    def by(name: str, bounds: fields.Bounds) -> ColumnElement[Any]:
        if name == lifecycle.KIND:
            return lifecycle.stage_column(today, rules=lifecycle.of_numbers(bounds.get(lifecycle.KIND)))
        return fields.score(name, fields.MEASURES[name])(today, bounds)

    columns = [by(name, each).label(f"{name}_{at}") for name in names for at, each in (("a", bounds), ("b", other))]
    each = each_customer(*columns).where(schema.customers.c.archived_at.is_(None)).subquery("each")
    found = conn.execute(select(*each.c, func.count().label("customers")).group_by(*each.c)).mappings().all()
    return {
        name: [(row[f"{name}_a"] or "", row[f"{name}_b"] or "", row["customers"]) for row in found] for name in names
    }


def save(
    conn: Connection,
    *,
    actor: Viewer,
    kind: str,
    rules: Mapping[str, Any],
    reason: str,
    row_version: int,
    source: str = "screen",
    screen: str = "",
) -> tuple[int, int]:
    """Put rules into force as a new version; gives (its number, change set id).

    `row_version` is what `in_force` said when the rules were looked at. Raises Invalid by field or when nothing
    differs, Conflict when somebody saved meanwhile, Refused.
    """
    actor.require(Permission.DEFINITIONS_EDIT)
    wanted = parse(kind, rules)
    why = text.clean(reason)
    if not why:
        raise Invalid(_("Say in a few words why."), fields={"reason": _("Say in a few words why: others will ask.")})
    if len(why) > MOST_REASON:
        said = _("At most {n} characters.").format(n=MOST_REASON)
        raise Invalid(said, fields={"reason": said})
    now = conn.execute(select(schema.definitions).where(_D.kind == kind).with_for_update()).mappings().one()
    if now["version"] != row_version:
        raise Conflict(_("Somebody has just saved other rules. Look at what they change, and save again."))
    if _readable(kind, now["rules"]) == wanted:
        raise Invalid(_("These rules are in force already."))
    # The lock on the row above lets one at a time take the next number.
    number = 1 + max(now["number"], conn.scalar(select(func.max(_V.number)).where(_V.kind == kind)) or 0)
    set_id = changes.start(
        conn,
        actor=actor,
        command="definition.save",
        permission=Permission.DEFINITIONS_EDIT,
        source=source,
        screen=screen,
        reason=why,
    )
    patch = {"id": now["id"], "number": number, "rules": wanted.stored()}
    changes.update(conn, set_id, schema.definitions.name, [patch])
    kept = {"kind": kind, "number": number, "rules": wanted.stored(), "reason": why}
    conn.execute(
        sa_insert(schema.definition_versions).values(**kept, made_by=actor.user_id or None, made_at=clock.now())
    )
    # The worker adds the stages up by the new rules; until then they are counted.
    conn.exec_driver_sql("SELECT public.defer_refresh()")
    return number, set_id


# --- for the roll-ups ------------------------------------------------------------------------------------------------


def stages_in_force(conn: Connection) -> tuple[int, StageRules]:
    """Number and rules of the stages that count now."""
    row = conn.execute(select(_D.number, _D.rules).where(_D.kind == lifecycle.KIND)).first()
    return (row.number, lifecycle.parse(row.rules)) if row else (0, lifecycle.DEFAULT)


@dataclass(frozen=True)
class InForceNow:
    """The rules that count now, and the numbers of their versions as one text."""

    stages: StageRules
    scores: ScoreRules
    numbers: str


def in_force_now(conn: Connection) -> InForceNow:
    """What roll-ups are made by."""
    rows = {row.kind: row for row in conn.execute(select(_D.kind, _D.number, _D.rules))}
    stages, fixed = (rows.get(kind) for kind in (lifecycle.KIND, score_rules.KIND))
    return InForceNow(
        lifecycle.parse(stages.rules) if stages else lifecycle.DEFAULT,
        score_rules.parse(fixed.rules) if fixed else ScoreRules(),
        f"{stages.number if stages else 0} {fixed.number if fixed else 0}",
    )


def stages_of(conn: Connection, number: int) -> StageRules | None:
    """The rules of the stages of this number; None where there are none."""
    if number == 0:
        return lifecycle.DEFAULT
    held = conn.scalar(select(_V.rules).where(_V.kind == lifecycle.KIND, _V.number == number))
    return None if held is None else lifecycle.parse(held)


def _readable(kind: str, rules: Any) -> Rules | None:
    try:
        return parse(kind, rules)
    except Invalid:
        return None
