"""`python -m worker`: runs jobs in the foreground until SIGTERM or SIGINT, and waits for a database that is away."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal

import psycopg
from procrastinate.exceptions import ConnectorException

from worker import log as lines
from worker.tasks import app, conninfo, drain, log, make_months, stopping, told

PAUSE_S = (0.5, 1.0, 2.0, 5.0)
"""Waits between attempts to reach the database; the last is repeated."""

POLL_S = 1.0
"""A deferred job is announced by the database; this is how often the worker looks by itself."""

HEARTBEAT_S = 5.0
STALLED_S = 20.0
"""A worker that gave no sign of life for so long is taken for dead, and its job is given back."""


async def serve() -> None:
    """Work until told to stop; whatever the database does, begin anew when it answers."""
    stop = asyncio.Event()

    def ask(name: str) -> None:
        log.info("stopping", extra={"signal": name})
        stopping.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number.name)
    failures = 0
    while not stop.is_set():
        try:
            await _work(stop)
            failures = 0
        except Exception:
            # Away, restarting, or not migrated yet: the same answer, which is to try again.
            level = log.warning if failures < len(PAUSE_S) or failures % 12 == 0 else log.debug
            level("cannot work with the database now", exc_info=True, extra={"attempt": failures + 1})
            failures += 1
        if not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PAUSE_S[min(failures, len(PAUSE_S) - 1)])
    log.info("stopped")


async def _work(stop: asyncio.Event) -> None:
    """Run jobs on one opening of the job library, until `stop` or until the database is lost."""
    # The library's pool would keep trying for half a minute, ever more slowly; a plain connection tells at once.
    async with await psycopg.AsyncConnection.connect(conninfo()):
        pass
    async with app.open_async():
        # Nothing may wait for a job that a dead worker held, nor for the next schedule.
        await _give_back_stalled()
        await asyncio.to_thread(make_months)
        await asyncio.to_thread(drain)
        log.info("working")
        work = asyncio.create_task(
            app.run_worker_async(
                name="kehu",
                concurrency=2,  # a long check does not hold up the figures
                fetch_job_polling_interval=POLL_S,
                update_heartbeat_interval=HEARTBEAT_S,
                stalled_worker_timeout=STALLED_S,
                delete_jobs="successful",
                install_signal_handlers=False,
                worker_middleware=[told],
            )
        )
        watch = asyncio.create_task(_watch_stalled())
        told_to_stop = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, watch, told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, watch, told_to_stop):
                task.cancel()
            results = await asyncio.gather(work, watch, told_to_stop, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


async def _watch_stalled() -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        await _give_back_stalled()


async def _give_back_stalled() -> None:
    """Queue again what a dead worker was doing."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_S):
        with contextlib.suppress(ConnectorException):  # another worker was faster, or the same job waits already
            await app.job_manager.retry_job(job)
            log.warning("job of a dead worker given back", extra={"job_id": job.id, "task": job.task_name})


def main() -> None:
    """Entry of the process; takes no arguments but --help."""
    argparse.ArgumentParser(prog="python -m worker", description=__doc__).parse_args()
    lines.configure()
    asyncio.run(serve())


if __name__ == "__main__":
    main()
