"""Taking back everything that was done to one customer since a change: newest first, in one transaction.

What touched other customers too, was loaded, or needs a right that the actor has not is left, and named. What was
changed and put back since then needs nothing: of a change and the undos that follow it the last one counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, case, func, literal, or_, select

from db import customer_rows, history, schema, undo
from db.changes import LARGEST_ID
from db.connection import trial, widen
from db.errors import Conflict, Invalid, KehuError, NotFound, Refused
from db.permissions import Permission, Viewer
from db.words import N_, _

MOST_SETS = 100
"""Changes that are taken back at once."""

_S, _H, _U = schema.change_sets.c, schema.changes.c, schema.users.c


class Why(StrEnum):
    """Why a change is left as it is."""

    MANY = "many"
    LOADED = "loaded"
    CREATED = "created"
    RIGHT = "right"
    STUCK = "stuck"
    GONE = "gone"


REASONS: Mapping[Why, str] = {
    Why.MANY: N_("touched other customers too; undo it by itself"),
    Why.LOADED: N_("came with a load"),
    Why.CREATED: N_("made the customer, who stays"),
    Why.RIGHT: N_("your role may not do this, and so not take it back"),
    Why.STUCK: N_("was changed since by what stays"),
    Why.GONE: N_("deleted a file whose content is not kept any more"),
}


@dataclass(frozen=True)
class Step:
    """One change set: to be taken back, or left for a reason."""

    change_set_id: int
    made_at: datetime
    actor_id: int
    actor: str
    command: str
    undoes_id: int | None
    why: Why | None = None


@dataclass(frozen=True)
class Plan:
    """What would be taken back, newest first, and what would be left; `lines` are values: what they are and would be.

    `conflicts` are values that were changed since by what is left: they stay, too. `shown` is for `undo_since`.
    """

    customer_id: int
    since_id: int
    steps: tuple[Step, ...]
    left: tuple[Step, ...]
    lines: tuple[dict[str, Any], ...]
    conflicts: tuple[dict[str, Any], ...]
    shown: tuple[int, ...]


@dataclass(frozen=True)
class Undone:
    """What was done: the undos' own change sets in their order, the rows put back, what was left; and whether the
    customer has gone back to an owner whose customers the actor does not see."""

    change_set_ids: tuple[int, ...]
    rows: int
    left: tuple[Step, ...]
    conflicts: tuple[dict[str, Any], ...]
    out_of_sight: bool


def preview(conn: Connection, *, actor: Viewer, customer_id: int, change_set_id: int) -> Plan:
    """What `undo_since` would do now, tried and rolled back: in a transaction that may write.

    Raises NotFound, Refused, Invalid (too many).
    """
    steps, left = _planned(conn, actor, customer_id, change_set_id)
    with trial(conn):
        _done, stuck, conflicts = _take_back(conn, actor, steps, source="screen", screen="", leave_conflicts=True)
    shown = tuple(step.change_set_id for step in steps)
    stuck_ids = {step.change_set_id for step in stuck}
    steps = [step for step in steps if step.change_set_id not in stuck_ids]
    lines = _lines(conn, customer_id, [step.change_set_id for step in steps], conflicts)
    newest_first = sorted([*left, *stuck], key=lambda step: -step.change_set_id)
    return Plan(customer_id, change_set_id, tuple(steps), tuple(newest_first), lines, tuple(conflicts), shown)


def undo_since(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    change_set_id: int,
    source: str,
    screen: str = "",
    leave_conflicts: bool = False,
    shown: Sequence[int] | None = None,
) -> Undone:
    """Take back this change of a customer and all after it, each by an undo of its own; all of them or none.

    A value that was changed since by what is left is a Conflict, and nothing is done; `leave_conflicts` leaves those.
    `shown` are those that the preview named: when others are due by now it is a Conflict without rows.
    Raises NotFound, Refused, Invalid (nothing to take back, too many), Conflict.
    """
    with conn.begin_nested():
        steps, left = _planned(conn, actor, customer_id, change_set_id)
        if shown is not None and tuple(shown) != tuple(step.change_set_id for step in steps):
            raise Conflict(_("The customer was changed meanwhile, so nothing was undone. Look again, then decide."))
        if not steps:
            raise Invalid(_("Since then there is nothing that you can take back."))
        done, stuck, conflicts = _take_back(conn, actor, steps, source, screen, leave_conflicts)
        if not done:
            raise Conflict(_("All of this was changed since by what stays. Nothing was undone."), rows=conflicts)
    return _told(conn, actor, customer_id, done, [*left, *stuck], conflicts)


def undo_these(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    change_set_ids: Sequence[int],
    source: str,
    screen: str = "",
) -> Undone:
    """Take back changes that the actor made to one customer, newest first; all of them or none.

    For the undo of `undo_since`: the customer may have gone out of the actor's sight by it, and comes back.
    Raises NotFound, Refused, Invalid, Conflict.
    """
    actor.require(Permission.CHANGES_UNDO)
    actor.require(Permission.CUSTOMERS_EDIT)
    ids = sorted({i for i in change_set_ids if 0 < i <= LARGEST_ID}, reverse=True)
    if not ids:
        raise Invalid(_("Since then there is nothing that you can take back."))
    _require_few(len(ids))
    with conn.begin_nested():
        wide = actor
        if actor.scoped:
            for set_id in ids:
                wide = undo.with_owners(conn, wide, conn.scalar(select(func.change_set_owners(set_id))) or ())
        customer_rows.require_customer(conn, customer_id)
        found = _sets(conn, actor, customer_id, ids[-1])
        steps = [step for step in found if step.change_set_id in ids]
        # Sight was widened by what is this customer's and the actor's own: nothing else goes through it.
        if len(steps) != len(ids) or any(step.why or step.actor_id != actor.user_id for step in steps):
            raise NotFound(_("There is no customer {id} that you may see.").format(id=customer_id))
        done, _stuck, conflicts = _take_back(conn, wide, steps, source, screen, leave_conflicts=False)
    return _told(conn, actor, customer_id, done, [], conflicts)


def _require_few(n: int) -> None:
    if n > MOST_SETS:
        raise Invalid(
            _("At most {most} changes are taken back at once. Begin with a later one.").format(most=MOST_SETS)
        )


def _planned(conn: Connection, actor: Viewer, customer_id: int, since_id: int) -> tuple[list[Step], list[Step]]:
    """What is to be taken back since then and what is left, newest first; the customer is locked until the commit."""
    actor.require(Permission.CHANGES_UNDO)
    actor.require(Permission.CUSTOMERS_EDIT)
    customer_rows.require_customer(conn, customer_id)
    found = _sets(conn, actor, customer_id, since_id) if since_id <= LARGEST_ID else []
    if not found or found[-1].change_set_id != since_id:
        raise NotFound(_("There is no change {id} that you may see.").format(id=since_id))
    standing = _standing(found)
    _require_few(len(standing))
    return [step for step in standing if step.why is None], [step for step in standing if step.why]


def _standing(found: Sequence[Step]) -> list[Step]:
    """Of each change and the undos that follow it the last one; none where they put everything back."""
    sets = {step.change_set_id: step for step in found}
    undos = {step.undoes_id: step for step in found if step.undoes_id in sets}
    standing = []
    for first in found:
        if first.undoes_id in sets:
            continue
        last, links = first, 1
        while last.change_set_id in undos:
            last, links = undos[last.change_set_id], links + 1
        if links % 2:
            standing.append(last)
    return sorted(standing, key=lambda step: -step.change_set_id)


def _sets(conn: Connection, actor: Viewer, customer_id: int, since_id: int) -> list[Step]:
    """The change sets of a customer since then, newest first, each with the reason why it would be left."""
    s = history.sets_of(customer_id).c
    mine = or_(_H.customer_id == customer_id, _H.customer_id.is_(None))
    own = select(func.count()).where(_H.change_set_id == s.id, mine).scalar_subquery()
    made = (
        select(literal(1))
        .where(_H.change_set_id == s.id, _H.table_name == "customers", _H.row_id == customer_id, _H.action == "insert")
        .exists()
    )
    # The rows of a load are not counted: there may be millions.
    loaded = or_(s.batch_id.is_not(None), s.source == "demo")
    known = (s.id, s.made_at, s.actor_id, _U.name.label("actor"), s.command, s.permission, s.undoes_id)
    rows = conn.execute(
        select(
            *known,
            loaded.label("loaded"),
            case((loaded, False), else_=func.change_set_rows(s.id) > own).label("many"),
            made.label("made"),
        )
        .select_from(s.id.table.join(schema.users, _U.id == s.actor_id))
        .where(s.id >= since_id)
        .order_by(s.id.desc())
    )
    found = []
    for row in rows:
        reasons = {
            Why.LOADED: row.loaded,
            Why.MANY: row.many,
            Why.CREATED: row.made,
            Why.RIGHT: not actor.can(Permission(row.permission)),
        }
        why = next((reason for reason, holds in reasons.items() if holds), None)
        found.append(Step(row.id, row.made_at, row.actor_id, row.actor, row.command, row.undoes_id, why))
    return found


def _take_back(
    conn: Connection, actor: Viewer, steps: Sequence[Step], source: str, screen: str, leave_conflicts: bool
) -> tuple[list[undo.Undone], list[Step], list[dict[str, Any]]]:
    """Undo each; gives what was done, what was stuck, and the values in the way. Without leave the first one raises.

    A hand-over on the way gives the customer back to an owner out of sight: what came before it is still this
    customer's, whom the actor saw.
    """
    wide = undo.with_owners(conn, actor, _owners_before(conn, steps)) if actor.scoped else actor
    done: list[undo.Undone] = []
    stuck: list[Step] = []
    conflicts: list[dict[str, Any]] = []
    for step in steps:
        try:
            one = undo.undo(
                conn,
                actor=wide,
                change_set_id=step.change_set_id,
                source=source,
                screen=screen,
                leave_conflicts=leave_conflicts,
            )
        except (Conflict, Invalid, NotFound, Refused) as error:
            if not leave_conflicts:
                raise _naming(error, step) from error
            stuck.append(replace(step, why=Why.GONE if error.details.get("gone") else Why.STUCK))
            conflicts += error.rows if isinstance(error, Conflict) else []
        else:
            done.append(one)
            conflicts += one.conflicts
    if wide is not actor:
        widen(conn, actor, actor.user_id)  # back to the actor's own scope
    return done, stuck, conflicts


def _naming(error: KehuError, step: Step) -> KehuError:
    """The same error, saying at which change it stopped."""
    said = _("Change {id} cannot be taken back, so nothing was undone. {why}").format(
        id=step.change_set_id, why=error.message
    )
    if isinstance(error, Conflict):
        return Conflict(said, rows=error.rows, change_set_id=step.change_set_id)
    return type(error)(said)


def _owners_before(conn: Connection, steps: Sequence[Step]) -> list[int]:
    """To whom the customer goes back by these undos."""
    before = _H.before["owner_id"].as_integer()
    handed = select(before).where(
        _H.change_set_id.in_([step.change_set_id for step in steps]),
        _H.table_name == "customers",
        _H.action == "update",
        before.is_not(None),
    )
    return [int(owner_id) for owner_id in conn.scalars(handed.distinct())]


def _lines(
    conn: Connection, customer_id: int, ids: Sequence[int], conflicts: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], ...]:
    """Each value once: as the newest of these changes left it, and as it was before the oldest."""
    stay = {(row["table"], row["id"], row["column"]) for row in conflicts}
    query = select(schema.changes).where(_H.change_set_id.in_(ids), _H.customer_id == customer_id).order_by(_H.id)
    values: dict[tuple[str, int, str], dict[str, Any]] = {}
    for row in conn.execute(query).mappings():
        for line in history.lines(row):
            key = (line["table"], line["id"], line["column"])
            if not line["column"] or key in stay:
                continue
            values.setdefault(key, line | {"after": line["before"]})["before"] = line["after"]
    return tuple(line for line in values.values() if line["before"] != line["after"])


def _told(
    conn: Connection,
    actor: Viewer,
    customer_id: int,
    done: Sequence[undo.Undone],
    left: Sequence[Step],
    conflicts: Sequence[dict[str, Any]],
) -> Undone:
    if actor.scoped:
        widen(conn, actor, actor.user_id)
    c = schema.customers.c
    seen = conn.scalar(select(c.id).where(c.id == customer_id)) is not None
    newest_first = tuple(sorted(left, key=lambda step: -step.change_set_id))
    ids = tuple(one.change_set_id for one in done)
    return Undone(ids, sum(one.rows for one in done), newest_first, tuple(conflicts), not seen)
