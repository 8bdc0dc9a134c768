"""Who is in which live segment, kept current by the worker; who joined and who left.

The truth are the rules and what they look at; the rows of live segments can be thrown away and are found again. Changed
customers come into a queue (`segment_touches`) in the transaction of the change, those with new figures in that of the
figures. `refresh` holds them against all rules; `evaluate` all customers against one rule: when the rule is new or
another, on another day, and when the bounds of the scores or the rules of the stages have
moved.

Both work behind one lock taken before their statement: what is committed meanwhile is either seen or stands in the
queue. Members are found with the sight of the worker, among all customers; a frozen list that the segment's owner may
not see counts as empty.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, delete, exists, func, insert, literal, select, union_all, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError

from db import clock, custom_fields, lifecycle, nested, schema, score_rules, scores, segments, settings
from db.connection import bounded, bump
from db.errors import Invalid, Unavailable
from db.fields import Bounds, Kind
from db.permissions import DATABASE_ROLE, WORKER, Role
from db.rules import Condition, Group, conditions, parse, written
from db.segment_queue import ADVISORY_LOCK

BATCH = 2_000
"""Queue entries that are held against the rules at once."""
MOST_QUEUED = 50_000
"""Where more customers wait, all of them are asked for each segment instead."""
AT_ONCE = 50
"""Segments of one statement."""
TOGETHER_MS, ALONE_MS, ALL_MS = 10_000, 3_000, 120_000
"""How long a batch may take against some rules, against one, and all customers against one."""
UNREADABLE, REFUSED, SLOW = "unreadable", "refused", "slow"
"""Why a segment is left as it is."""

_m, _s = schema.segment_members.c, schema.segment_states.c


@dataclass(frozen=True)
class _Kept:
    """A live segment with its rule as the worker may ask it, and its state; `problem` says why it has none."""

    id: int
    version: int
    rule: Group
    digest: str
    personal: bool
    problem: str
    state: Any

    def due(self, today: date, bounds_at: datetime | None) -> bool:
        """Whether all customers have to be held against the rule."""
        state = self.state
        if state is None or state.day != today or state.version != self.version or state.problem != self.problem:
            # One that was too slow today is tried again tomorrow.
            return state is None or not (state.problem == SLOW and state.day == today and state.version == self.version)
        if state.digest != self.digest:
            return True  # a segment that the rule names has another one, or stages and scores have other rules
        scored = any(c.field.group == "scores" for c in conditions(self.rule))
        return scored and bounds_at is not None and bounds_at > state.kept_at


# --- what the worker does --------------------------------------------------------------------------------------------


def due(conn: Connection) -> tuple[int, ...]:
    """The live segments that have to be found anew, as the worker; those that were never found first."""
    today, _bounds, bounds_at = _now(conn)
    found = [kept for kept in _live(conn) if kept.due(today, bounds_at)]
    return tuple(kept.id for kept in sorted(found, key=lambda kept: (kept.state is not None, kept.id)))


def evaluate(conn: Connection, segment_id: int) -> int:
    """Hold all customers against one live segment's rule where that is due; gives how many joined and left.

    What is found for the first time has joined nothing: it is where the record begins. Needs a write transaction with
    time for it.
    """
    _lock(conn)
    today, bounds, bounds_at = _now(conn)
    kept = next((kept for kept in _live(conn) if kept.id == segment_id), None)
    if kept is None or not kept.due(today, bounds_at):
        return 0
    problem, moved, now = kept.problem, 0, clock.now()
    same = kept.state is not None and kept.state.digest == kept.digest
    # What a rule over personal values found must not be told to those who may see what the next one finds.
    anew = kept.state is None or (kept.state.personal and not kept.personal)
    if not problem:
        try:
            with bounded(conn, ALL_MS):
                if anew:
                    conn.execute(delete(schema.segment_moves).where(schema.segment_moves.c.segment_id == segment_id))
                cause = None if anew else "day" if same else "rule"
                moved = _apply(conn, {segment_id: kept.rule}, today, bounds, among=None, cause=cause)
        except (DBAPIError, Unavailable):
            if conn.invalidated:
                raise
            problem = SLOW
    _note(conn, kept, problem=problem, day=today, now=now, began=now if anew else kept.state.began_at)
    bump(conn, ["members"])
    return moved


def refresh(conn: Connection, *, limit: int = BATCH) -> int:
    """Take at most `limit` entries from the queue and hold their customers against all rules, in a write transaction.

    Gives the number of entries taken. Another rule, or one that cannot be asked, is left out.
    """
    _lock(conn)
    q = schema.segment_touches
    oldest = select(q.c.id).order_by(q.c.id).limit(limit)
    taken = conn.scalars(delete(q).where(q.c.id.in_(oldest)).returning(q.c.customer_id)).all()
    if not taken:
        return 0
    if len(taken) == limit and _waiting(conn, MOST_QUEUED) >= MOST_QUEUED:
        conn.execute(delete(q))
        conn.execute(update(schema.segment_states).where(_s.day.is_not(None)).values(day=None))
        bump(conn, ["members"])
        return len(taken)
    today, bounds, _at = _now(conn)
    asked = [k for k in _live(conn) if not k.problem and k.state and k.state.digest == k.digest]
    ids, moved = sorted(set(taken)), 0
    for some in _parts([kept for kept in asked if not kept.state.problem]):
        moved += _batch(conn, some, today, bounds, ids)
    if moved:
        bump(conn, ["members"])
    return len(taken)


def _batch(conn: Connection, some: Sequence[_Kept], today: date, bounds: Bounds, ids: Sequence[int]) -> int:
    """Some segments together; where that does not work, each by itself."""
    try:
        with bounded(conn, TOGETHER_MS if len(some) > 1 else ALONE_MS):
            return _apply(conn, {kept.id: kept.rule for kept in some}, today, bounds, among=ids, cause="data")
    except (DBAPIError, Unavailable):
        if conn.invalidated:
            raise
    if len(some) > 1:
        return sum(_batch(conn, [kept], today, bounds, ids) for kept in some)
    _note(conn, some[0], problem=SLOW, day=today, now=some[0].state.kept_at, began=some[0].state.began_at)
    return 0


def _parts(found: Sequence[_Kept]) -> Iterator[Sequence[_Kept]]:
    """So many that their values fit into one statement."""
    part: list[_Kept] = []
    values = 0
    for kept in found:
        n = sum(len(c.values) + 3 for c in conditions(kept.rule))
        if part and (len(part) == AT_ONCE or values + n > segments.MOST_VALUES_AT_ONCE):
            yield part
            part, values = [], 0
        part.append(kept)
        values += n
    if part:
        yield part


def _apply(
    conn: Connection,
    rules: Mapping[int, Group],
    today: date,
    bounds: Bounds,
    *,
    among: Sequence[int] | None,
    cause: str | None,
) -> int:
    """Members as the rules find them, in one statement; gives how many joined and left. No cause: nothing is noted."""
    now, moves = clock.now(), schema.segment_moves
    fits = segments.fitting(rules, today, bounds, among=among).cte("fits").prefix_with("MATERIALIZED")
    of_them = _m.segment_id == func.any(_ids(list(rules)))
    if among is not None:
        of_them = and_(of_them, _m.customer_id == func.any(_ids(among)))
    stands = exists().where(_m.customer_id == fits.c.customer_id, _m.segment_id == fits.c.number)
    new = select(fits.c.customer_id, fits.c.number, literal(now)).where(~stands)
    columns = ["customer_id", "segment_id", "since"]
    joined = insert(schema.segment_members).from_select(columns, new).returning(_m.customer_id, _m.segment_id)
    # The members that these rules had: a plan for all members of all segments would read them all.
    before = select(_m.customer_id, _m.segment_id).where(of_them, ~_found(fits)).cte("before")
    gone = (
        delete(schema.segment_members)
        .where(_m.customer_id == before.c.customer_id, _m.segment_id == before.c.segment_id)
        .returning(_m.customer_id, _m.segment_id)
    )
    if cause is None:
        conn.execute(delete(schema.segment_members).where(of_them))
        conn.execute(insert(schema.segment_members).from_select(columns, new))
        return 0
    came, went = joined.cte("joined"), gone.cte("gone")
    noted = [literal(now).label("at"), literal(cause).label("cause")]
    both = union_all(
        select(came.c.customer_id, came.c.segment_id, literal(True), *noted),
        select(went.c.customer_id, went.c.segment_id, literal(False), *noted),
    )
    names = ["customer_id", "segment_id", "joined", "at", "cause"]
    return conn.execute(insert(moves).from_select(names, both)).rowcount


def _found(fits: Any) -> Any:
    return exists().where(fits.c.customer_id == _m.customer_id, fits.c.number == _m.segment_id)


def _note(conn: Connection, kept: _Kept, *, problem: str, day: date, now: datetime, began: datetime) -> None:
    values = {
        "version": kept.version,
        "day": day,
        "kept_at": now if not problem or kept.state is None else kept.state.kept_at,
        "began_at": began,
        "digest": kept.digest,
        # Members that stand from a rule over personal values tell of these until they are found anew.
        "personal": kept.personal or bool(problem and kept.state and kept.state.personal),
        "problem": problem,
    }
    made = upsert(schema.segment_states).values(segment_id=kept.id, **values)
    conn.execute(made.on_conflict_do_update(index_elements=[_s.segment_id], set_=values))


def _live(conn: Connection) -> list[_Kept]:
    """All live segments on the list."""
    g, u = schema.segments.c, schema.users.c
    owned = schema.segments.join(schema.users, u.id == g.owner_id).outerjoin(
        schema.segment_states, _s.segment_id == g.id
    )
    states = [c.label(f"state_{c.name}") for c in _s]
    query = select(g.id, g.version, g.rule, g.owner_id, u.role, *states).select_from(owned)
    rows = conn.execute(query.where(g.kind == "live", g.archived_at.is_(None)).order_by(g.id)).all()
    known = custom_fields.countable(conn, viewer=WORKER, rules=[str(row.rule) for row in rows])
    lists = _lists(conn)
    d = schema.definitions.c
    defined = {row.kind: json.dumps(row.rules, sort_keys=True) for row in conn.execute(select(d.kind, d.rules))}
    found = []
    for row in rows:
        state = None if row.state_segment_id is None else _State(*row[5:])
        role = Role(row.role)
        masked = DATABASE_ROLE[role] == "kehu_masked"
        of_owner = None if role is Role.ADMIN else row.owner_id
        try:
            rule, problem = nested.expanded(conn, viewer=WORKER, rule=parse(row.rule, known), of_owner=of_owner), ""
        except Invalid:
            rule, problem = Group("any"), UNREADABLE
        rule, personal = _limited(rule, lists, of_owner)
        personal = personal or any(c.field.personal for c in conditions(rule)) or bool(problem)
        if personal and masked and not problem:
            problem = REFUSED
        told = written(rule) + "".join(defined[kind] for kind in sorted(_told_by(rule)) if kind in defined)
        digest = hashlib.sha256(told.encode()).hexdigest()[:16]
        found.append(_Kept(row.id, row.version, rule, digest, personal, problem, state))
    return found


def _told_by(rule: Group) -> set[str]:
    """The kinds of definitions by which the rule is told: it is another one when they change."""
    asked = conditions(rule)
    stages = {lifecycle.KIND} if any(c.field.key == "stage" for c in asked) else set()
    return stages | ({score_rules.KIND} if any(c.field.group == "scores" for c in asked) else set())


@dataclass(frozen=True)
class _State:
    segment_id: int
    version: int
    day: date | None
    kept_at: datetime
    began_at: datetime
    digest: str
    personal: bool
    problem: str


def _lists(conn: Connection) -> dict[int, tuple[int, bool, bool]]:
    """Number of a frozen list → its owner, whether it is shared, whether it tells of personal values."""
    g = schema.segments.c
    joined = schema.segments.outerjoin(schema.segment_states, _s.segment_id == g.id)
    query = select(g.id, g.owner_id, g.visibility == "shared", func.coalesce(_s.personal, True)).select_from(joined)
    return {row[0]: tuple(row[1:]) for row in conn.execute(query.where(g.kind == "frozen"))}


def _limited(rule: Group, lists: Mapping[int, tuple[int, bool, bool]], owner_id: int | None) -> tuple[Group, bool]:
    """The rule with those frozen lists alone that its owner may see, and whether one of these is personal."""
    personal = False

    def limited(each: Condition | Group) -> Condition | Group:
        nonlocal personal
        if isinstance(each, Group):
            return Group(each.match, tuple(limited(part) for part in each.rules))
        if each.field.kind is not Kind.LISTED:
            return each
        seen = [n for n in each.values if n in lists and (owner_id in (None, lists[n][0]) or lists[n][1])]
        personal = personal or any(lists[n][2] for n in seen)
        return Condition(each.field, each.op, tuple(seen), each.span)

    return Group(rule.match, tuple(limited(part) for part in rule.rules)), personal


def _now(conn: Connection) -> tuple[date, Bounds, datetime | None]:
    bounds, made = scores.bounds(conn)
    return clock.today(settings.get(conn).time_zone), bounds, made


def _waiting(conn: Connection, most: int) -> int:
    some = select(schema.segment_touches.c.id).limit(most).subquery()
    return conn.scalar(select(func.count()).select_from(some)) or 0


def _lock(conn: Connection) -> None:
    # A statement of its own: the snapshot of the next one is taken when the lock is held.
    conn.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))


def _ids(numbers: Sequence[int]) -> Any:
    return literal(list(numbers), ARRAY(BigInteger))
