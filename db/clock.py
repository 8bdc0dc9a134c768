"""The only source of today and now. `KEHU_NOW` (ISO 8601 with offset) fixes it for tests and screenshots."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

DEFAULT_ZONE = "UTC"


def now() -> datetime:
    """The present instant, aware, in UTC."""
    fixed = os.environ.get("KEHU_NOW")
    if fixed:
        return datetime.fromisoformat(fixed).astimezone(UTC)
    return datetime.now(UTC)


def today(zone: str = DEFAULT_ZONE) -> date:
    """The present day in the company's time zone (an IANA name)."""
    return now().astimezone(ZoneInfo(zone)).date()
