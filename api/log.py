"""Logs as lines of JSON on standard error: ids, screens, times; never values that people typed or that tables hold."""

from __future__ import annotations

import json
import logging

from db import clock

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class Lines(logging.Formatter):
    """One record, one line: what `extra` holds beside time, level and event."""

    def format(self, record: logging.LogRecord) -> str:
        extra = {k: v for k, v in record.__dict__.items() if k not in _PLAIN}
        at = clock.now().isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "event": record.getMessage(), **extra}
        return json.dumps(line, ensure_ascii=False, default=str)


def configure() -> None:
    """Send Kehu's records out as lines, and keep Streamlit from printing messages of exceptions, which hold values."""
    logger = logging.getLogger("kehu")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(Lines())
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logging.getLogger("streamlit.error_util").addFilter(_without_values)
    for name in ("runtime.caching.cache_data_api", "runtime.scriptrunner_utils.script_run_context"):
        # They wonder that modules are imported before anybody visits: that is what the lifespan is for.
        logging.getLogger(f"streamlit.{name}").setLevel(logging.ERROR)


def _without_values(record: logging.LogRecord) -> bool:
    """Streamlit's own record of an uncaught exception: its traceback ends with the message. Ours has the places."""
    return record.exc_info is None
