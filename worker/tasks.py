"""The jobs and their schedules. Any number of workers may run them: each job is right when run twice or at once."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, datetime
from functools import cache
from time import monotonic

from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.job_context import JobContext
from procrastinate.middleware import AsyncCallNext
from procrastinate.worker import Worker
from psycopg.conninfo import make_conninfo

from db import (
    attachments,
    baskets,
    clock,
    connection,
    derived,
    drafts,
    moved,
    partitions,
    past_classes,
    repeats,
    search_keys,
    segment_members,
    segment_moves,
    settings,
)
from db.connection import begin, bump
from db.errors import Unavailable
from db.permissions import DATABASE_ROLE, WORKER

log = logging.getLogger("kehu.worker")

CHECK_ONE_IN = 30
"""Each night's check looks at one customer and one day in thirty: all of them within a month."""

CHECK_TIMEOUT_MS = 600_000
TURN_S = 1.0
"""How long figures are refreshed before members are."""
KEEP_FINISHED_HOURS = 7 * 24

stopping = threading.Event()
"""Set when the process should end: long jobs look at it between two transactions."""


@cache
def conninfo() -> str:
    """The engine's connection as libpq writes it, with the job library's schema and the worker's rights."""
    engine = connection.engine()
    parts = dict(engine.dialect.create_connect_args(engine.url)[1])
    parts.pop("context", None)  # the engine's own adapters
    asked = parts.pop("options", "")
    role = DATABASE_ROLE[WORKER.role]
    return make_conninfo(
        **(parts | {"connect_timeout": 5, "application_name": "kehu-worker"}),
        options=f"{asked} -c search_path=jobs -c role={role}".strip(),
    )


# A short timeout: when the database is away the worker should notice, not wait for it in the middle of things.
app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=1, max_size=4, timeout=5.0))
again = RetryStrategy(max_attempts=5, wait=1, linear_wait=5, retry_exceptions=[Unavailable])


def drain(*, for_s: float = float("inf")) -> int:
    """Refresh until the queue of touched customers is empty, the time is up or the process should stop.

    Gives the entries taken. Raises Unavailable.
    """
    started = monotonic()
    total = 0
    while not stopping.is_set() and monotonic() - started < for_s:
        with begin(WORKER, write=True) as conn:
            taken = derived.refresh(conn)
        total += taken
        if not taken:
            break
    if total:
        log.info("metrics refreshed", extra={"entries": total, "ms": round((monotonic() - started) * 1000)})
    return total


def keep_current() -> None:
    """Figures and members by turns, until nobody waits: while orders come in all the time neither waits for the other.

    Raises Unavailable.
    """
    with begin(WORKER) as conn:
        due, missing = past_classes.outdated(conn), baskets.missing(conn)
    if missing:
        with begin(WORKER, write=True, timeout_ms=CHECK_TIMEOUT_MS) as conn:
            derived.fill(conn)
    if due:
        with begin(WORKER, write=True, timeout_ms=CHECK_TIMEOUT_MS) as conn:
            derived.retake(conn)
    while not stopping.is_set():
        taken = drain(for_s=TURN_S)
        keep_segments()
        if not taken:
            break


def keep_segments() -> int:
    """Bring the members of live segments up to date; gives how many joined and left. Raises Unavailable.

    Changed customers go before each segment that has to be found anew: of these there are many on a new day.
    """
    started = monotonic()
    moved = entries = 0
    while not stopping.is_set():
        with begin(WORKER, write=True) as conn:
            taken = segment_members.refresh(conn)
        entries += taken
        if taken:
            continue
        with begin(WORKER) as conn:
            due = segment_members.due(conn)
        if not due:
            break
        with begin(WORKER, write=True, timeout_ms=CHECK_TIMEOUT_MS) as conn:
            moved += segment_members.evaluate(conn, due[0])
        drain(for_s=TURN_S)  # figures do not wait for all segments
    if entries or moved:
        told = {"entries": entries, "moves": moved, "ms": round((monotonic() - started) * 1000)}
        log.info("segments kept", extra=told)
    return moved


def make_months() -> None:
    """Partitions of the months to come, and the alarm for events that lie in none. Raises Unavailable."""
    with begin(WORKER) as conn:
        strays = partitions.strays(conn)
        zone = settings.get(conn).time_zone
    if strays:
        log.error("events outside the months' partitions", extra={"table": "campaign_events_default", "rows": strays})
    with begin(WORKER, write=True) as conn:
        made = partitions.make_ahead(conn, today=clock.today(zone))
    if made:
        log.info("partitions made", extra={"months": made})


@app.periodic(cron="* * * * *", queueing_lock="refresh_metrics every minute")
@app.task(name="refresh_metrics", queue="default", retry=again)
async def refresh_metrics(timestamp: int | None = None) -> None:
    """Deferred by each writer in its transaction (public.defer_refresh), and every minute in case one was lost.

    What waits behind this job was committed before and is done by it: the others are dropped, not run one by one.
    """
    await app.connector.execute_query_async(
        "DELETE FROM procrastinate_jobs WHERE id IN (SELECT id FROM procrastinate_jobs "
        "WHERE task_name = 'refresh_metrics' AND status = 'todo' FOR UPDATE SKIP LOCKED)"
    )
    await asyncio.to_thread(keep_current)


@app.periodic(cron="27 * * * *", queueing_lock="refresh_scores")
@app.task(name="refresh_scores", queue="default", retry=again)
def refresh_scores(timestamp: int) -> None:
    """Hourly: where the five scores begin and end, and who is in which class by them.

    A customer's own score moves with every order in between.
    """
    with begin(WORKER, write=True, timeout_ms=CHECK_TIMEOUT_MS) as conn:
        derived.retake(conn)


@app.periodic(cron="32 * * * *", queueing_lock="add_up_intervals")
@app.task(name="add_up_intervals", queue="default", retry=again)
def add_up_intervals(timestamp: int) -> None:
    """Hourly: everybody's waits for the next purchase and intervals between purchases."""
    with begin(WORKER, write=True, timeout_ms=CHECK_TIMEOUT_MS) as conn:
        repeats.add_up(conn)
        bump(conn, ["metrics"])


@app.periodic(cron="7 2 * * *", queueing_lock="make_event_months")
@app.task(name="make_event_months", queue="default", retry=again)
def make_event_months(timestamp: int) -> None:
    """Daily, and once when a worker starts."""
    make_months()


@app.periodic(cron="37 2 * * *", queueing_lock="check_metrics")
@app.task(name="check_metrics", queue="default", retry=again)
def check_metrics(timestamp: int) -> None:
    """Nightly: compare a share of the derived tables with the raw ones; a difference is an error in the log."""
    drain()
    night = datetime.fromtimestamp(timestamp, UTC).toordinal()
    with begin(WORKER, timeout_ms=CHECK_TIMEOUT_MS) as conn:
        drift = derived.check(conn, one_in=CHECK_ONE_IN, turn=night % CHECK_ONE_IN)
    if drift.found:
        told = {
            "customers": len(drift.customers),
            "first_customers": drift.customers[:10],
            "days": len(drift.days),
            "first_days": [str(day) for day, *_rest in drift.days[:10]],
            "results": len(drift.results),
            "first_results": drift.results[:10],
            "sums": len(drift.sums),
            "first_sums": drift.sums[:10],
            "stages": len(drift.stages),
            "first_stages": drift.stages[:10],
            "cohorts": len(drift.cohorts),
            "first_cohorts": [(owner, str(cohort), str(month)) for owner, cohort, month in drift.cohorts[:10]],
            "baskets": len(drift.baskets),
            "first_baskets": [(owner, str(month), a, b) for owner, month, a, b in drift.baskets[:10]],
        }
        log.error("metrics differ from the orders: rebuild them", extra=told)
    else:
        log.info("metrics checked", extra={"one_in": CHECK_ONE_IN, "pending": drift.pending})


@app.periodic(cron="52 2 * * *", queueing_lock="count_parts")
@app.task(name="count_parts", queue="default", retry=again)
def count_parts(timestamp: int) -> None:
    """Nightly: how frequent parts of words are among the customers there are now; searches look up the rare ones."""
    with begin(WORKER, write=True) as conn:
        search_keys.count_parts(conn)


@app.periodic(cron="42 * * * *", queueing_lock="forget_moved")
@app.task(name="forget_moved", queue="default", retry=again)
def forget_moved(timestamp: int) -> None:
    """Hourly: what processes that hold customers in memory have heard long ago."""
    with begin(WORKER, write=True) as conn:
        moved.forget(conn)


@app.periodic(cron="47 2 * * *", queueing_lock="discard_old_drafts")
@app.task(name="discard_old_drafts", queue="default", retry=again)
def discard_old_drafts(timestamp: int) -> None:
    """Daily: what was typed into a form and never saved; nobody is shown it any more."""
    with begin(WORKER, write=True) as conn:
        gone = drafts.discard_old(conn, actor=WORKER)
    if gone:
        log.info("old drafts removed", extra={"rows": gone})


@app.periodic(cron="42 2 * * *", queueing_lock="discard_old_moves")
@app.task(name="discard_old_moves", queue="default", retry=again)
def discard_old_moves(timestamp: int) -> None:
    """Daily: who joined segments and left them so long ago that no screen tells it any more."""
    with begin(WORKER, write=True, timeout_ms=CHECK_TIMEOUT_MS) as conn:
        gone = segment_moves.discard_old(conn, today=clock.today(settings.get(conn).time_zone))
    if gone:
        log.info("old moves between segments removed", extra={"rows": gone})


@app.periodic(cron="57 2 * * *", queueing_lock="discard_removed_files")
@app.task(name="discard_removed_files", queue="default", retry=again)
def discard_removed_files(timestamp: int) -> None:
    """Daily: the bytes of files that were deleted so long ago that they are not brought back any more."""
    total = 0
    while not stopping.is_set():
        with begin(WORKER, write=True) as conn:
            gone = attachments.discard_removed(conn, actor=WORKER)
        total += gone
        if not gone:
            break
    if total:
        log.info("deleted files removed", extra={"rows": total})


@app.periodic(cron="17 2 * * *", queueing_lock="delete_old_jobs")
@app.task(name="delete_old_jobs", queue="default", retry=again)
async def delete_old_jobs(timestamp: int) -> None:
    """Daily: what failed, was cancelled or aborted a week ago. Successful jobs go at once."""
    await app.job_manager.delete_old_jobs(
        nb_hours=KEEP_FINISHED_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
    )


async def told(call_next: AsyncCallNext, context: JobContext, worker: Worker) -> object:
    """Wraps every job: one line for each that fails, with the places and without the values."""
    try:
        return await call_next()
    except Exception:
        job = context.job
        log.exception("job failed", extra={"job_id": job.id, "task": job.task_name, "attempts": job.attempts})
        raise
