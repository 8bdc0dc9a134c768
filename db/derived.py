"""What is computed from orders and customers: customer_metrics, order_days, daily_sales, stage_sums; also in part.

The truth is `orders` and `customers`; the tables here can be thrown away and rebuilt, and with them those of
db/categories.py, db/campaign_results.py, db/cohort_sums.py, db/past_classes.py and db/baskets.py. Three rules keep
them exact:

- A customer's orders stand in daily_sales under the key (owner, region) that customer_metrics says, not under the one
  that `customers` says by now. Who changes the customer queues it in the same transaction, and `refresh` moves it.
- All work behind one advisory lock taken before: two workers take turns. `refresh` tells what it sums up in one
  statement, hence on one snapshot, so that a change that commits meanwhile is either seen whole, with its place in the
  queue, or not at all; why `rebuild` may have several, db/rebuild_pieces.py says.
- Orders of archived and merged customers count too: what was sold does not become unsold when a record is put away.

`customer_metrics.orders` counts every order; those of them in other than the company's currency are counted in
`other_currency_orders` and left out of `revenue`. A customer is new on the day of the first order ever, in the currency
of that order. Changing the company's currency needs a `rebuild`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, LiteralString

from sqlalchemy import Connection, CursorResult, delete, select

from db import (
    baskets,
    campaign_results,
    categories,
    clock,
    cohort_sums,
    definitions,
    moved,
    past_classes,
    schema,
    scores,
    search_keys,
    segment_queue,
    settings,
)
from db.campaign_rebuild import Campaigns
from db.category_rebuild import Categories
from db.class_rebuild import Classes
from db.cohort_rebuild import Cohorts
from db.connection import bump
from db.derived_statements import REFRESH, STAGES, WRONG_CUSTOMERS, WRONG_DAYS, WRONG_STAGES, statement
from db.metrics_rebuild import Metrics
from db.rebuild_pieces import Names, Part, take_all
from db.repeat_rebuild import Repeats

ADVISORY_LOCK = 7_203_452
_s = schema.stage_sums.c
BATCH = 500
"""Queue entries of one refresh: 500 customers of the demo take less than a second."""


@dataclass(frozen=True)
class Rebuilt:
    """Rows written: one per customer, and one per (day, owner, region, currency) with orders."""

    customers: int
    days: int


@dataclass(frozen=True)
class Drift:
    """Where the derived tables differ from what they are derived from; both lists are empty when all is well.

    `customers` are ids, `days` are keys (day, owner, region, currency), `results` are (customer, campaign), `sums`
    (campaign, owner), `stages` (owner, region, stage), `cohorts` (owner, cohort, month), `baskets` (owner, month,
    first, second). Customers that wait in the queue, `pending` of them, are out of date by design: they and the keys
    they stand under are left out.
    """

    customers: tuple[int, ...]
    days: tuple[tuple[date, int, str, str], ...]
    pending: int
    results: tuple[tuple[int, int], ...] = ()
    sums: tuple[tuple[int, int], ...] = ()
    stages: tuple[tuple[int, str, str], ...] = ()
    cohorts: tuple[tuple[int, date, date], ...] = ()
    baskets: tuple[tuple[int, date, int, int], ...] = ()

    @property
    def found(self) -> bool:
        """True when a figure on a screen may be wrong."""
        rolled = self.results or self.sums or self.stages or self.cohorts or self.baskets
        return bool(self.customers or self.days or rolled)


def rebuild(conn: Connection, *, told: Callable[[str], None] = lambda _step: None) -> Rebuilt:
    """Make all derived tables anew from all orders and customers and empty the queue; needs a write transaction.

    What stands right already is not written again. Some seconds for a hundred thousand customers of ten orders each:
    give `begin` a longer `timeout_ms` beyond the demo. `told` hears of each step when it has ended.
    """
    _lock(conn)
    # What was queued before the snapshots of the next statements is contained in them.
    _run(conn, "DELETE FROM touched_customers")
    names = Names(settings.get(conn).currency)
    made, again = Metrics(names, now=clock.now()), Repeats()
    classes = Classes(conn, today=_days(conn)["today"])
    parts: dict[str, Part] = {
        "metrics": made,
        "cohorts": Cohorts(),
        "campaigns": Campaigns(conn),
        "categories": Categories(conn),
        "baskets": baskets.rebuilding(conn),
        "classes": classes,
        "repeats": again,
    }
    told("begin")
    take_all(conn, names, parts, told)
    steps: dict[str, Callable[[], object]] = {
        "stages": lambda: _restage(conn, _days(conn)),
        "repeats": lambda: again.make(conn),
        "scores": lambda: scores.refresh(conn),
        "classes": lambda: classes.make(conn),
        "texts": lambda: search_keys.rebuild_texts(conn),
        "words": lambda: search_keys.rebuild_words(conn),
        "parts of words": lambda: search_keys.count_parts(conn),
    }
    for step, act in steps.items():
        act()
        told(step)
    moved.tell(conn, None)
    segment_queue.touch_all(conn)
    bump(conn, ["metrics"])
    return Rebuilt(made.customers, made.days)


def refresh(conn: Connection, *, limit: int = BATCH) -> int:
    """Take at most `limit` entries from the queue and bring their customers up to date; needs a write transaction.

    Gives the number of entries taken: 0 means that the queue was empty. Call it until then, a transaction each, so that
    a kill loses one batch's work and no entry. Raises Unavailable when another refresh holds the lock for too long.
    """
    _lock(conn)
    days, sums_of = _days(conn), conn.execute(select(_s.as_of, _s.rules).limit(1)).first()
    row = _run(conn, REFRESH, currency=settings.get(conn).currency, now=clock.now(), limit=limit, **days).one()
    conn.execute(delete(schema.stage_sums).where(_s.customers == 0, _s.buyers == 0))
    # Sums of another day or by other rules are of other stages; without any all customers have to be added, not only
    # those just taken.
    current = sums_of is not None and tuple(sums_of) == (days["today"], days["rules"])
    if not current and _restage(conn, days) and not row.taken:
        bump(conn, ["metrics"])
    if row.taken:
        categories.refresh(conn, row.customers)
        campaign_results.refresh(conn, row.customers)
        cohort_sums.refresh(conn, row.customers)
        past_classes.refresh(conn, row.customers)
        baskets.refresh(conn, row.customers)
        moved.tell(conn, row.customers)
        segment_queue.touch(conn, row.customers)
        bump(conn, ["metrics"])
    return int(row.taken)


def retake(conn: Connection) -> None:
    """Take the bounds of the scores anew and tell the present classes by them; needs a write transaction.

    A few seconds for a million customers, and about fifteen when a month has ended.
    """
    _lock(conn)
    scores.refresh(conn)
    past_classes.bring_up(conn, _days(conn)["today"])
    bump(conn, ["metrics"])


def fill(conn: Connection) -> None:
    """Make the baskets where there are none yet, as after their migration; needs a write transaction."""
    _lock(conn)
    if baskets.missing(conn):
        baskets.rebuild(conn)
        bump(conn, ["metrics"])


def check(conn: Connection, *, one_in: int = 1, turn: int = 0) -> Drift:
    """Compare the derived tables with the raw ones: all of them, or one customer and one day in `one_in`.

    `turn` (0 … one_in - 1) chooses which, so that a check each night has seen all after `one_in` nights. Reads only;
    in `begin(viewer)` without `write` all comparisons are of one moment.
    """
    sample = {"one_in": one_in, "turn": turn % one_in}
    customers = {*_run(conn, WRONG_CUSTOMERS, currency=settings.get(conn).currency, **sample).scalars()}
    customers.update(cohort_sums.check(conn, **sample))
    customers.update(past_classes.check(conn, **sample))
    customers.update(baskets.check(conn, **sample))
    days = _run(conn, WRONG_DAYS, **sample)
    pending = _run(conn, "SELECT count(DISTINCT customer_id) FROM touched_customers").scalar_one()
    return Drift(
        tuple(sorted({*customers, *categories.check(conn, **sample), *search_keys.wrong_texts(conn, **sample)})),
        tuple((row.day, row.owner_id, row.region, row.currency) for row in days),
        int(pending),
        tuple(campaign_results.check(conn, **sample)),
        tuple(campaign_results.check_sums(conn)),
        tuple((row.owner_id, row.region, row.stage) for row in _wrong_stages(conn)),
        tuple(cohort_sums.check_sums(conn)),
        tuple(baskets.check_sums(conn)),
    )


def _wrong_stages(conn: Connection) -> list[Any]:
    """Where the sums are not what the metrics add up to on the day of the sums; none where there are no sums yet."""
    made = conn.execute(select(_s.as_of, _s.rules).limit(1)).first()
    stages = definitions.stages_of(conn, made.rules) if made else None
    return [*_run(conn, WRONG_STAGES, today=made.as_of, rules=made.rules, **stages.stored())] if made and stages else []


def _days(conn: Connection) -> dict[str, Any]:
    """The day, the rules of the stages that are in force, and their number."""
    number, stages = definitions.stages_in_force(conn)
    return {"today": clock.today(settings.get(conn).time_zone), "rules": number, **stages.stored()}


def _restage(conn: Connection, days: dict[str, Any]) -> int:
    """The sums of the stages anew, a second for a million customers; gives the number of rows."""
    conn.execute(delete(schema.stage_sums))
    return _run(conn, STAGES, **days).rowcount


def _lock(conn: Connection) -> None:
    # A statement of its own: the snapshot of the next one is taken when the lock is held.
    _run(conn, "SELECT pg_advisory_xact_lock(%(key)s)", key=ADVISORY_LOCK)


def _run(conn: Connection, template: LiteralString, **values: Any) -> CursorResult[Any]:
    """One statement of this module, its shared pieces filled in and its values bound."""
    return conn.exec_driver_sql(statement(template), values)
