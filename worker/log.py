"""The worker's log: lines of JSON on standard error; ids, counts and times, never values that tables hold."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path
from types import TracebackType

import psycopg

from db import clock
from db.errors import KehuError

ROOT = Path(__file__).parent.parent
_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_LIBRARY_EXTRAS = frozenset({"worker", "job", "kwargs", "start_timestamp", "end_timestamp", "result"})


class Lines(logging.Formatter):
    """One record, one line: what `extra` holds beside time, level and event."""

    def format(self, record: logging.LogRecord) -> str:
        extra = {k: v for k, v in record.__dict__.items() if k not in _PLAIN | _LIBRARY_EXTRAS}
        line = {
            "at": clock.now().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **extra,
        }
        if record.exc_info and record.exc_info[1]:
            line["error"] = failure(record.exc_info[1], record.exc_info[2])
        return json.dumps(line, ensure_ascii=False, default=str)


def failure(error: BaseException, trace: TracebackType | None = None) -> dict[str, object]:
    """What went wrong and where. The message only where it is ours or about the connection: others quote values."""
    told: dict[str, object] = {"type": type(error).__name__, "where": _places(trace or error.__traceback__)}
    origin = _origin(error)
    if isinstance(origin, psycopg.Error) and origin.sqlstate:
        told["sqlstate"] = origin.sqlstate
    if isinstance(error, KehuError):
        told["message"] = error.message
    elif isinstance(origin, psycopg.OperationalError):
        told["message"] = str(origin).partition("\n")[0]
    return told


def _origin(error: BaseException) -> BaseException:
    """The driver's error at the bottom of what was made of it."""
    while True:
        deeper = getattr(error, "orig", None) or error.__cause__
        if not isinstance(deeper, BaseException):
            return error
        error = deeper


def _places(trace: TracebackType | None) -> list[str]:
    """Our own lines of a traceback, outermost first, and the library's line that raised."""
    frames = traceback.extract_tb(trace)
    places = []
    for frame in frames:
        path = Path(frame.filename)
        ours = path.is_relative_to(ROOT) and "site-packages" not in path.parts
        if ours or frame is frames[-1]:
            places.append(f"{path.relative_to(ROOT) if ours else path.name}:{frame.lineno} {frame.name}")
    return places


def configure() -> None:
    """All records as lines; of the libraries only warnings, because each job would be told twice."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("kehu").setLevel(logging.INFO)
    # Failed jobs are told by the worker's own middleware; the library's record would carry the message.
    logging.getLogger("procrastinate.worker").setLevel(logging.CRITICAL)
