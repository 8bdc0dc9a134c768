"""Orders that come in, measured: how soon figures, segments and counts know them, and what knowing them costs a write.

It writes: orders of a batch of its own and a segment, both of which it takes away again; a worker runs meanwhile.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert, select, text

from benchmarks.reports import three
from db import clock, derived, held, saved_segments, schema, segments, settings, undo
from db.connection import begin, begin_owner
from db.fields import EPOCH
from db.permissions import WORKER
from db.sessions import Session

RATE, SECONDS = 100, 30
"""Orders a second, and for how long."""
PAIRS = 200
"""Orders written with and without the queue, by turns."""
PATIENCE_S = 60.0
EVERY_S = 0.05
LIMIT_S, LIMIT_COST = 5.0, 1.5


@dataclass
class Found:
    """Seconds from commit until each was known, orders a second that were written, milliseconds of one order."""

    rate: float = 0.0
    figures: list[float] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)


class _Till:
    """Writes orders of today, a line each, as a load of one order at a time does."""

    def __init__(self, today: date) -> None:
        self.today = today
        with begin_owner() as conn:
            made = insert(schema.batches).values(source="bench of orders", counts={}, loaded_at=clock.now())
            self.batch = conn.execute(made.returning(schema.batches.c.id)).scalar_one()
            self.currency = settings.get(conn).currency
            c, p, m = schema.customers.c, schema.products.c, schema.customer_metrics.c
            # Those who bought today fit the segment already.
            fresh = select(c.id).join(schema.customer_metrics, m.customer_id == c.id)
            fresh = fresh.where(c.archived_at.is_(None), m.last_order_on < today)
            self.customers = list(conn.scalars(fresh.order_by(c.id).limit(RATE * SECONDS * 4)))
            self.products = list(conn.scalars(select(p.id).limit(1_000)))
        random.Random(1).shuffle(self.customers)

    def order(self, customer_id: int, *, queued: bool = True) -> float:
        """One order in a transaction of its own; gives when it was there."""
        o, i = schema.orders, schema.order_items
        with begin_owner() as conn:
            row = {
                "customer_id": customer_id,
                "placed_at": clock.now(),
                "placed_on": self.today,
                "batch_id": self.batch,
            }
            made = insert(o).values(**row, currency=self.currency, amount="10", lines=1).returning(o.c.id)
            number = conn.execute(made).scalar_one()
            line = {"customer_id": customer_id, "order_id": number, "product_id": random.choice(self.products)}
            conn.execute(insert(i).values(**line, quantity=1, amount="10"))
            if queued:
                self._queue(conn, [customer_id])
        return time.monotonic()

    @staticmethod
    def _queue(conn: Connection, customers: list[int]) -> None:
        rows = [{"customer_id": one, "touched_at": clock.now()} for one in customers]
        conn.execute(insert(schema.touched_customers), rows)
        conn.exec_driver_sql("SELECT public.defer_refresh()")

    def clear(self) -> None:
        """Take all of them away."""
        with begin_owner() as conn:
            gone = {"batch": self.batch}
            ids = list(
                conn.exec_driver_sql(
                    "SELECT DISTINCT customer_id FROM orders WHERE batch_id = %(batch)s", gone
                ).scalars()
            )
            conn.execute(
                text(
                    "DELETE FROM order_items USING orders AS o WHERE o.batch_id = :batch "
                    "AND (order_items.customer_id, order_id) = (o.customer_id, o.id)"
                ),
                gone,
            )
            conn.execute(text("DELETE FROM orders WHERE batch_id = :batch"), gone)
            conn.execute(text("DELETE FROM batches WHERE id = :batch"), gone)
            if ids:
                self._queue(conn, ids)
        held.drop()


@contextmanager
def _worker() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "worker"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def measure(session: Session) -> Found:
    """Write RATE orders a second for SECONDS, and look once a second when the last one is known."""
    found = Found()
    with begin(WORKER, write=True, timeout_ms=600_000) as conn:
        while derived.refresh(conn, limit=100_000):
            pass
    till = _Till(session.today)
    rule = f'{{"all":[{{"field":"last_order_on","op":"on","value":"{session.today}"}}]}}'
    with begin(session.viewer, write=True) as conn:
        segment, change = saved_segments.save(conn, actor=session.viewer, name=f"Bench {time.time()}", rule=rule)
    held.load()
    try:
        with _worker():
            _wait(lambda: _kept(segment))
            for n in range(PAIRS * 2):
                began = time.perf_counter()
                till.order(till.customers.pop(), queued=n % 2 == 0)
                (found.queued if n % 2 == 0 else found.plain).append((time.perf_counter() - began) * 1000)
            time.sleep(5)
            _sustain(session, till, segment, found)
    finally:
        till.clear()
        with begin(session.viewer, write=True) as conn:
            undo.undo(conn, actor=session.viewer, change_set_id=change, source="terminal")
    return found


def _sustain(session: Session, till: _Till, segment: int, found: Found) -> None:
    stop, latest, written = threading.Event(), [(0, 0.0)], [0]

    def write() -> None:
        began = time.monotonic()
        while not stop.is_set():
            one = till.customers.pop()
            latest[0] = (one, till.order(one))
            written[0] += 1
            time.sleep(max(0.0, began + written[0] / RATE - time.monotonic()))
        found.rate = written[0] / (time.monotonic() - began)

    def look() -> None:
        customer, since = latest[0]
        waiting = {"figures": found.figures, "members": found.members, "counts": found.counts}
        while waiting and time.monotonic() - since < PATIENCE_S:
            for name in [name for name in waiting if _known(session, name, customer, segment, till.today)]:
                waiting.pop(name).append(time.monotonic() - since)
            time.sleep(EVERY_S)
        for times in waiting.values():
            times.append(PATIENCE_S)

    writer = threading.Thread(target=write)
    writer.start()
    looks = []
    for _second in range(SECONDS):
        time.sleep(1)
        looks.append(threading.Thread(target=look))
        looks[-1].start()
    stop.set()
    for thread in (writer, *looks):
        thread.join()


def _known(session: Session, name: str, customer: int, segment: int, today: date) -> bool:
    if name == "counts":
        rule = json.dumps({"all": [{"field": "last_order_on", "op": "on", "value": str(today)}]})
        with begin(session.viewer) as conn:
            segments.count(conn, viewer=session.viewer, rule=rule, today=today)  # after which the columns know
        standing = held.standing()
        if standing is None or standing.late:
            return False
        place = standing.columns.places(np.asarray([customer]))[0]
        return bool(standing.columns.of("last_order_on")[place] == (today - EPOCH).days)
    m, s = schema.customer_metrics.c, schema.segment_members.c
    query = (
        select(m.customer_id).where(m.customer_id == customer, m.last_order_on == today)
        if name == "figures"
        else select(s.customer_id).where(s.customer_id == customer, s.segment_id == segment)
    )
    with begin(WORKER) as conn:
        return conn.scalar(query) is not None


def _kept(segment: int) -> bool:
    s = schema.segment_states.c
    with begin(WORKER) as conn:
        return conn.scalar(select(s.segment_id).where(s.segment_id == segment)) is not None


def _wait(until: Any) -> None:
    began = time.monotonic()
    while not until():
        if time.monotonic() - began > 600:
            raise RuntimeError("the worker did not keep the segment within ten minutes")
        time.sleep(0.5)


def show(found: Found) -> None:
    """Print what was measured, with the limits beside it."""
    print(f"\nOrders: {found.rate:.0f} a second for {SECONDS} s; seconds until they are known")
    print(f"  {'':28}{'p50':>8}{'p95':>8}{'max':>8}   limit")
    for name, times in (("figures", found.figures), ("members", found.members), ("counts in memory", found.counts)):
        print(f"  {name:28}{three(times)}   {LIMIT_S:g}")
    plain, queued = statistics.median(found.plain), statistics.median(found.queued)
    print(f"  one order, ms: {plain:.2f} alone, {queued:.2f} with its place in the queue")
    print(f"  {queued / plain:.2f} times as long; limit {LIMIT_COST}")
