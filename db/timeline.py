"""Everything that happened with one customer, newest first: orders, talks, notes, tasks, campaigns, changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Integer,
    Numeric,
    Select,
    Table,
    TableValuedAlias,
    Text,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)

from db import full_text, history, schema
from db.errors import Invalid
from db.event_words import KIND_NAMES, PARTS, WRITTEN
from db.permissions import Permission, Viewer
from db.words import _

MOST_EVENTS = 500
_EVENTS_THEMSELVES = (*(f"{kind}.log" for kind in KIND_NAMES), "note.add", "task.finish")
"""The commands of changes that are no events: what they put down stands on the timeline by itself."""
_TYPES: Mapping[str, Any] = {
    "part": Text(),
    "kind": Text(),
    "id": BigInteger(),
    "happened_on": Date(),
    "happened_at": DateTime(timezone=True),
    "who": Text(),
    "title": Text(),
    "body": Text(),
    "direction": Text(),
    "outcome": Text(),
    "minutes": Integer(),
    "lines": Integer(),
    "amount": Numeric(14, 2),
    "currency": Text(),
}


@dataclass(frozen=True)
class Timeline:
    """`rows`: the columns of an event, newest first; `totals`: how many there are of each part, exactly.

    `kind` is order, call, mail, meeting, message, note, task, received, redeemed or the command of a change;
    `happened_at` is missing where only the day is known; `who` did it. What is withheld from a role is empty.
    """

    rows: pd.DataFrame
    totals: Mapping[str, int]


def timeline(
    conn: Connection,
    *,
    viewer: Viewer,
    customer_id: int,
    zone: str,
    part: str = "",
    words: str = "",
    offset: int = 0,
    limit: int = 30,
) -> Timeline:
    """A page of what happened with a customer, of one part or all. `zone` names the company's time zone.

    With `words` only what people wrote (the parts WRITTEN) and holds all of them; Refused for roles that do not read
    it. Each part gives no more of its newest rows than the page can need. Raises Invalid for an unknown part.
    """
    viewer.require(Permission.CUSTOMERS_READ)
    if words.strip():
        viewer.require(Permission.PERSONAL_READ)
    if part and part not in PARTS:
        raise Invalid(_("There is no “{value}” here. Possible: {known}.").format(value=part, known=", ".join(PARTS)))
    offset, limit = max(0, offset), max(1, min(limit, MOST_EVENTS))
    parts = {
        "orders": [_orders(customer_id)],
        "talks": [_talks(customer_id).where(*_holding(schema.interactions, words))],
        "notes": [_notes(customer_id, zone).where(*_holding(schema.notes, words))],
        "tasks": [_tasks(customer_id, zone).where(*_holding(schema.tasks, words))],
        "campaigns": [_received(customer_id), _redeemed(customer_id)],
        "changes": [_changes(customer_id, zone)],
    }
    if words.strip():
        parts = {name: branches if name in WRITTEN else [] for name, branches in parts.items()}
    wanted = parts[part] if part else [branch for branches in parts.values() for branch in branches]
    if not wanted:
        return Timeline(pd.DataFrame(columns=list(_TYPES)), _totals(conn, customer_id, words))
    newest = [select(_ordered(branch).limit(offset + limit).subquery()) for branch in wanted]
    page = _ordered(select(union_all(*newest).subquery())).offset(offset).limit(limit)
    result = conn.execute(page)
    rows = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
    return Timeline(rows, _totals(conn, customer_id, words))


def _holding(table: Table, words: str) -> list[ColumnElement[bool]]:
    return full_text.holding(table.c.search_text, words) if words.strip() else []


def _totals(conn: Connection, customer_id: int, words: str) -> dict[str, int]:
    """How many events each part has: campaigns count once when received and once when first redeemed."""
    m, s = schema.campaign_members.c, history.sets_of(customer_id)
    counted = {
        "orders": _count(schema.orders, schema.orders.c.customer_id == customer_id),
        "talks": _count(schema.interactions, schema.interactions.c.customer_id == customer_id),
        "notes": _count(schema.notes, schema.notes.c.customer_id == customer_id),
        "tasks": _count(
            schema.tasks, (schema.tasks.c.customer_id == customer_id) & schema.tasks.c.done_at.is_not(None)
        ),
        "campaigns": select(func.count() + func.count(m.first_redeemed_on)).where(m.customer_id == customer_id),
        "changes": _count(s, _is_event(s)),
    }
    if words.strip():
        tables = {"talks": schema.interactions, "notes": schema.notes, "tasks": schema.tasks}
        counted = {name: counted[name].where(*_holding(table, words)) for name, table in tables.items()}
    row = conn.execute(select(*(query.scalar_subquery().label(name) for name, query in counted.items()))).one()
    found = {name: int(n) for name, n in row._mapping.items()}
    return {name: found.get(name, 0) for name in PARTS}


def _count(table: Any, where: Any) -> Select[Any]:
    return select(func.count()).select_from(table).where(where)


def _ordered(query: Select[Any]) -> Select[Any]:
    """Newest first; events of a day without a time come after those with one."""
    c = query.subquery().c
    return select(*c).order_by(c.happened_on.desc(), c.happened_at.desc().nulls_last(), c.part, c.id.desc(), c.kind)


def _event(part: str, **values: Any) -> list[Any]:
    """The columns of an event; those not given are empty."""
    given = {"part": literal(part), **values}
    missing: Mapping[type, Any] = {Text: literal("")}
    return [cast(given.get(name, missing.get(type(kind), null())), kind).label(name) for name, kind in _TYPES.items()]


def _orders(customer_id: int) -> Select[Any]:
    o = schema.orders.c
    columns = _event(
        "orders",
        kind=literal("order"),
        id=o.id,
        happened_on=o.placed_on,
        happened_at=o.placed_at,
        title=o.store,
        body=o.reference,
        lines=o.lines,
        amount=o.amount,
        currency=o.currency,
    )
    return select(*columns).where(o.customer_id == customer_id)


def _talks(customer_id: int) -> Select[Any]:
    i, u = schema.interactions.c, schema.users.c
    columns = _event(
        "talks",
        kind=i.kind,
        id=i.id,
        happened_on=i.happened_on,
        happened_at=i.happened_at,
        who=u.name,
        title=i.subject,
        body=i.body,
        direction=i.direction,
        outcome=i.outcome,
        minutes=i.minutes,
    )
    return (
        select(*columns)
        .select_from(schema.interactions.join(schema.users, u.id == i.author_id))
        .where(i.customer_id == customer_id)
    )


def _notes(customer_id: int, zone: str) -> Select[Any]:
    n, u = schema.notes.c, schema.users.c
    columns = _event(
        "notes",
        kind=literal("note"),
        id=n.id,
        happened_on=cast(func.timezone(zone, n.created_at), Date),
        happened_at=n.created_at,
        who=u.name,
        body=n.body,
    )
    return (
        select(*columns)
        .select_from(schema.notes.join(schema.users, u.id == n.author_id))
        .where(n.customer_id == customer_id)
    )


def _tasks(customer_id: int, zone: str) -> Select[Any]:
    """What was finished; `outcome` is the kind of the task."""
    t, u = schema.tasks.c, schema.users.c
    columns = _event(
        "tasks",
        kind=literal("task"),
        id=t.id,
        happened_on=cast(func.timezone(zone, t.done_at), Date),
        happened_at=t.done_at,
        who=u.name,
        title=t.title,
        body=t.body,
        outcome=t.kind,
    )
    return (
        select(*columns)
        .select_from(schema.tasks.join(schema.users, u.id == t.done_by_id))
        .where(t.customer_id == customer_id, t.done_at.is_not(None))
    )


def _received(customer_id: int) -> Select[Any]:
    m = schema.campaign_members.c
    return _of_campaigns("received", m.received_on).where(m.customer_id == customer_id)


def _redeemed(customer_id: int) -> Select[Any]:
    m = schema.campaign_members.c
    first = _of_campaigns("redeemed", m.first_redeemed_on)
    return first.where(m.customer_id == customer_id, m.first_redeemed_on.is_not(None))


def _of_campaigns(kind: str, day: Any) -> Select[Any]:
    m, c = schema.campaign_members.c, schema.campaigns.c
    columns = _event("campaigns", kind=literal(kind), id=m.campaign_id, happened_on=day, title=c.name)
    return select(*columns).select_from(schema.campaign_members.join(schema.campaigns, c.id == m.campaign_id))


def _changes(customer_id: int, zone: str) -> Select[Any]:
    """One event for each change set but those that are told by what they put down; `lines` of an undo is 1."""
    s, u = history.sets_of(customer_id).c, schema.users.c
    columns = _event(
        "changes",
        kind=s.command,
        id=s.id,
        happened_on=cast(func.timezone(zone, s.made_at), Date),
        happened_at=s.made_at,
        who=u.name,
        title=s.source,
        lines=cast(s.undoes_id.is_not(None), Integer),
    )
    return select(*columns).select_from(s.id.table.join(schema.users, u.id == s.actor_id)).where(_is_event(s.id.table))


def _is_event(sets: TableValuedAlias) -> ColumnElement[bool]:
    """An undo has the command of what it undoes."""
    return sets.c.command.not_in(_EVENTS_THEMSELVES) | sets.c.undoes_id.is_not(None)
