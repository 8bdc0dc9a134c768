"""Who fits a rule, answered from columns in the memory of this process, under the rights of who asks.

PostgreSQL stays the truth: whoever writes what the columns hold says so in `moved_customers`, in the same transaction,
and before each answer what was said since is read. Where the columns are not there, late or found wrong, nobody is
answered from them: `ask` gives None, and the caller asks PostgreSQL. Rows are held for all customers; an answer is made
of those alone that the viewer may see, by the same owners that the policies of the database name.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from math import prod
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import TimeoutError as NoConnection

from db import clock, custom_values, held_loading, held_repeats, moved, schema, scores, settings
from db.arrays import Bools, Numbers
from db.connection import begin, engine
from db.errors import KehuError
from db.fields import Bounds
from db.held_columns import PAIRS, Columns
from db.held_rules import Asked, areas, not_held, to_lower
from db.permissions import WORKER, Viewer
from db.rules import Condition, Group

Answer = TypeVar("Answer")

MOST_CUSTOMERS = 6_000_000
"""With more, all are counted by PostgreSQL: the columns take about 500 bytes of memory for each at ten orders."""
MOST_AT_ONCE = 5_000
"""Customers that changed and are brought up to date while somebody waits; more are left to the keeper."""
MOST_CHANGED = 100_000
"""Customers whose pairs stand apart; then they are put among the rest."""
STEP = 20_000
MOST_SIGHTS, MOST_MET = 4, 64
"""Viewers whose last questions are remembered, and bytes for each customer that this may take for each of them."""
FEW = 0.2
"""A part of all rows that is picked out before it is asked; of more, all are asked."""
LOAD_MS = 900_000
EVERY_S, VERIFY_S, AGAIN_S = 5.0, 600.0, 60.0
_HEARD = ("around", "campaigns", "customers", "metrics", "orders", "profiles", "settings", "tags", "tasks")
"""The areas in which the columns' data move."""

log = logging.getLogger("kehu.held")


# --- what is held ----------------------------------------------------------------------------------------------------


@dataclass
class _Held:
    """Columns, and up to where they have heard: transactions before `since`, and rows `heard`, id → transaction."""

    url: str
    columns: Columns
    zone: str
    since: int
    moved: Mapping[str, int]
    heard: dict[int, int] = field(default_factory=dict)
    at: float = field(default_factory=time.monotonic)
    late: bool = False
    sights: list[Sight] = field(default_factory=list)
    """Of the last few who asked: what one question needed is there for the next, until something moves."""

    def sight(
        self,
        viewer: Viewer,
        today: date,
        bounds: Bounds,
        looked_up: Mapping[Condition, Numbers],
        lowered: Mapping[str, str],
    ) -> Sight:
        """What this viewer sees; as long as nothing has moved it is the same as the last time."""
        owners = frozenset(viewer.owner_ids) if viewer.scoped else None
        known = next((s for s in self.sights if (s.owners, s.today, s.bounds) == (owners, today, bounds)), None)
        if known is None or known.full:
            known = Sight(self.columns, viewer, today, bounds)
        known.look_up(looked_up, lowered)
        self.sights = [known, *(s for s in self.sights if s is not known and s.owners != owners)][:MOST_SIGHTS]
        return known


_held: _Held | None = None
_lock = threading.RLock()


def load() -> bool:
    """Load all customers; False where they are too many. What was held answers until then."""
    global _held  # noqa: PLW0603 — one for each process, as its cache is
    with begin(WORKER, timeout_ms=LOAD_MS) as conn:
        if (conn.scalar(select(func.count()).select_from(schema.customers)) or 0) > MOST_CUSTOMERS:
            return False
        found = _Held(
            str(engine().url), held_loading.load(conn), settings.get(conn).time_zone, _oldest(conn), _generations(conn)
        )
        found.heard = {row.id: row.xid for row in _said(conn, found)}
    with _lock:
        _held = found
    return True


def drop() -> None:
    """Hold nothing: PostgreSQL answers."""
    global _held  # noqa: PLW0603
    with _lock:
        _held = None


def standing() -> _Held | None:
    """What this process holds of the database that it asks."""
    return _held if _held is not None and _held.url == str(engine().url) else None


def _oldest(conn: Connection) -> int:
    """All transactions before this one have ended, and are seen."""
    return int(conn.exec_driver_sql("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").scalar_one())


def _generations(conn: Connection) -> dict[str, int]:
    g = schema.generations.c
    return {area: n for area, n in conn.execute(select(g.area, g.n).where(g.area.in_(_HEARD)))}


def _said(conn: Connection, held: _Held) -> list[Any]:
    m = schema.moved_customers.c
    rows = conn.execute(select(m.id, m.xid, m.customer_ids, m.part).where(m.xid >= held.since).order_by(m.id)).all()
    return [row for row in rows if row.id not in held.heard]


def _catch_up(conn: Connection, held: _Held, most: int) -> bool:
    """Hear what was said, in this snapshot of the worker's; False where it is too much for now, or unheard of.

    A transaction that was under way when another was heard has a number at or behind `since`: it is not overlooked.
    """
    oldest, said = _oldest(conn), _said(conn, held)
    lost = time.monotonic() - held.at > moved.KEPT.total_seconds() / 2
    unheard_of = any(row.customer_ids is None or row.part not in PAIRS for row in said)
    if lost or unheard_of or held.zone != settings.get(conn).time_zone:
        held.late = True
        return False
    known = {part: sorted({i for row in said if row.part == part for i in row.customer_ids}) for part in PAIRS}
    if sum(map(len, known.values())) > most:
        return False
    held.sights = []
    # The customers first: what belongs to new ones finds them there.
    for part, ids in known.items():
        for start in range(0, len(ids), STEP):
            held_loading.put(conn, held.columns, part, ids[start : start + STEP])
    held.columns.ends = held_loading.ends(conn)
    heard = held.heard | {row.id: row.xid for row in said}
    held.heard = {i: xid for i, xid in heard.items() if xid >= oldest}
    held.since, held.moved, held.at = oldest, _generations(conn), time.monotonic()
    return True


# --- asking ----------------------------------------------------------------------------------------------------------


class Sight:
    """What one viewer may see of the columns, at one moment."""

    def __init__(
        self,
        columns: Columns,
        viewer: Viewer,
        today: date,
        bounds: Bounds,
    ) -> None:
        self.owners = frozenset(viewer.owner_ids) if viewer.scoped else None
        self.today, self.bounds = today, bounds
        seen = columns.of("listed")
        if viewer.scoped:
            seen = seen & np.isin(columns.of("owner_id"), viewer.owner_ids)
        rows = np.flatnonzero(seen) if viewer.scoped and np.count_nonzero(seen) < FEW * len(seen) else None
        self._asked = Asked(columns, today, bounds, {}, rows)
        self._seen = seen if rows is None else np.ones(len(rows), np.bool_)
        self.everyone = int(self._seen.sum())

    @property
    def full(self) -> bool:
        """Whether what was met takes as much memory as it may."""
        return self._asked.bytes > MOST_MET * len(self._seen)

    def look_up(self, looked_up: Mapping[Condition, Numbers], lowered: Mapping[str, str]) -> None:
        """Who fits conditions that are not held, by now; what was known of them is forgotten."""
        self._asked.look_up(looked_up, lowered)

    def holds(self, own: custom_values.Field) -> bool:
        """Whether a custom field has no more values than are held."""
        held = self._asked.columns.own.get((own.column, own.key))
        return held is None or not held.dropped

    def fits(self, rule: Condition | Group) -> Bools:
        """Who of those in sight."""
        return self._asked.fits(rule) & self._seen

    def count(self, rule: Condition | Group) -> int:
        """How many of those in sight fit."""
        return int(np.count_nonzero(self.fits(rule)))

    def ids(self, rule: Condition | Group, most: int) -> Numbers | None:
        """The numbers of those in sight who fit; None where they are more than this."""
        rows = np.flatnonzero(self.fits(rule))
        return self._asked._of("id")[rows] if len(rows) <= most else None

    def spread(self, dimensions: Sequence[str], fits: Bools) -> Iterator[tuple[str, str, int, int]]:
        """Dimension, value, how many fit, how many there are: for each value that somebody in sight has."""
        asked = self._asked
        words = [asked.codes(dimension)[1] for dimension in dimensions]
        sizes = tuple(map(len, words))
        together = asked.together(dimensions)

        def counted(who: Bools) -> list[Numbers]:
            """Those with all values alike are counted at once, and then added up along each dimension."""
            if together is None:
                columns = [asked.codes(dimension)[0] for dimension in dimensions]
                return [np.bincount(own[who], minlength=n) for own, n in zip(columns, sizes, strict=True)]
            cells = np.bincount(together[who], minlength=prod(sizes)).reshape(sizes)
            return [cells.sum(tuple({*range(len(sizes))} - {i})) for i in range(len(sizes))]

        everyone = asked.once(("everyone", *dimensions), lambda: counted(self._seen))
        for dimension, own, some, every in zip(dimensions, words, counted(fits), everyone, strict=True):
            yield from ((dimension, own[i], int(some[i]), int(n)) for i, n in enumerate(every) if n)

    def together(self, rules: Sequence[Condition | Group]) -> dict[int, int]:
        """How many in sight fit exactly which of up to eight rules: bit i of the key is set for the one at place i."""
        mask = np.zeros(len(self._seen), np.uint8)
        for i, rule in enumerate(rules):
            mask |= self.fits(rule).astype(np.uint8) << np.uint8(i)
        return {i: int(n) for i, n in enumerate(np.bincount(mask[self._seen])) if n}

    def moves(self, dimension: str, bounds: Bounds) -> Iterator[tuple[str, str, int]]:
        """Value now, value by other bounds, how many: for each pair that somebody in sight has."""
        codes, words = self._asked.codes(dimension)
        then = Asked(self._asked.columns, self.today, bounds, {}, self._asked.rows).codes(dimension)[0]
        both = np.bincount((codes.astype(np.int64) * len(words) + then)[self._seen])
        return ((words[i // len(words)], words[i % len(words)], int(n)) for i, n in enumerate(both) if n)

    def purchases(self, fits: Bools) -> tuple[Numbers, Numbers]:
        """Rows and days of the purchases of who fits, as db/held_repeats.py has them."""
        columns, rows = self._asked.columns, self._asked.rows
        who = fits
        if rows is not None:
            who = np.zeros(columns.rows, np.bool_)
            who[rows[fits]] = True
        return held_repeats.purchases(*columns.pairs["ordered"].entries([0]), who)

    def first(self, fits: Bools, figure: str, offset: int, limit: int) -> list[int]:
        """The ids of a piece of who fits: the greatest figure (a column) first, equal ones by id."""
        rows = np.flatnonzero(fits)
        values, ids = self._asked._of(figure)[rows], self._asked._of("id")[rows]
        if offset + limit < len(rows):
            least = np.partition(values, len(rows) - offset - limit)[len(rows) - offset - limit]
            values, ids = values[values >= least], ids[values >= least]
        order = np.lexsort((ids, -values.astype(np.int64)))[offset : offset + limit]
        return [int(i) for i in ids[order]]


def ask(
    conn: Connection,
    *,
    viewer: Viewer,
    today: date,
    bounds: Bounds,
    rules: Sequence[Condition | Group],
    answer: Callable[[Sight], Answer],
    missing: Callable[[Condition], Numbers] | None = None,
) -> Answer | None:
    """The answer from the columns, no older than this snapshot of the viewer's; None where they cannot give it.

    `rules` are what it depends on; `missing` gives the ids of those in sight who fit a condition of a field that is
    not held; without it there is none.
    """
    held = standing()
    # Who writes sees what nobody else does yet.
    if held is None or held.late or conn.info.get("kehu_kept") is None:
        return None
    conn.info.setdefault("kehu_depends", set()).update(*(areas(rule) for rule in rules))
    wanted = _generations(conn)
    looked_up = {c: missing(c) for rule in rules for c in not_held(rule, held.columns)} if missing else {}
    words = to_lower(rules)
    lowered = held_loading.lower(conn, words) if words else {}
    # Nobody waits for the keeper, nor for another's long catching up.
    if not _lock.acquire(timeout=1.0):
        return None
    try:
        if any(n > held.moved.get(area, -1) for area, n in wanted.items()):
            with begin(WORKER) as own:
                if not _caught_up(own, held):
                    return None
        if not _holds(held, rules, looked_up):
            return None
        return answer(held.sight(viewer, today, bounds, looked_up, lowered))
    except (KehuError, NoConnection):
        log.warning("columns in memory cannot catch up", exc_info=True)
        return None
    finally:
        _lock.release()


def _holds(held: _Held, rules: Sequence[Condition | Group], looked_up: Mapping[Condition, Numbers]) -> bool:
    """Whether it still does: meanwhile somebody else may have found it late, or a field with too many values."""
    return not held.late and not any(not_held(rule, held.columns) - looked_up.keys() for rule in rules)


def _caught_up(conn: Connection, held: _Held) -> bool:
    """Whether it is; what the columns cannot take in is left to the keeper, who loads them anew."""
    try:
        return _catch_up(conn, held, MOST_AT_ONCE)
    except (KehuError, NoConnection):
        raise
    except Exception:
        log.exception("columns in memory cannot take in what moved")
        held.late = True
        return False


# --- keeping ---------------------------------------------------------------------------------------------------------

Verify = Callable[[Connection, Sight, date, Bounds], Callable[[], str]]
"""Counts something in sight; what it gives counts the same by PostgreSQL and says what differs, "" if nothing does."""


def keep(stop: threading.Event, verify: Verify, *, every: float = EVERY_S) -> None:
    """Load, stay current and compare with PostgreSQL now and then, until told to stop: for a thread of its own."""
    verified = time.monotonic()
    while not stop.is_set():
        pause = every
        try:
            held = standing()
            if held is None or held.late:
                began = time.monotonic()
                loaded = load()
                pause = every if loaded else AGAIN_S
                if loaded and _held:
                    seconds, size = round(time.monotonic() - began, 1), _held.columns.bytes
                    log.info("columns loaded", extra={"rows": _held.columns.rows, "bytes": size, "s": seconds})
            else:
                due = time.monotonic() - verified > VERIFY_S
                verified = time.monotonic() if due else verified
                _tend(held, verify if due else None)
        except Exception:
            # Away, restarting, not migrated yet: PostgreSQL is asked meanwhile, or says so itself.
            log.warning("columns in memory are not kept", exc_info=True)
            drop()
            pause = AGAIN_S
        stop.wait(pause)
    drop()


def _tend(held: _Held, verify: Verify | None) -> None:
    with begin(WORKER, timeout_ms=LOAD_MS) as conn:
        with _lock:
            if not _catch_up(conn, held, MOST_CUSTOMERS):
                return
            held.columns.settle(MOST_CHANGED)
            if verify is None:
                return
            today, bounds = clock.today(held.zone), scores.bounds(conn)[0]
            compare = verify(conn, Sight(held.columns, WORKER, today, bounds), today, bounds)
        differs = compare()  # in the snapshot that was caught up with
    if differs:
        log.error("columns in memory differ from the database", extra={"what": differs})
        held.late = True


@contextmanager
def kept(verify: Verify) -> Iterator[None]:
    """Columns in memory for as long as the server runs."""
    stop = threading.Event()
    keeper = threading.Thread(target=keep, args=(stop, verify), name="held", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join(timeout=EVERY_S)
