"""The company's settings: time zone, currency, name, and what the demo says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from db import schema
from db.clock import DEFAULT_ZONE


@dataclass(frozen=True)
class Settings:
    """Values with their defaults; `more` holds the rest by key."""

    company_name: str = ""
    time_zone: str = DEFAULT_ZONE
    currency: str = "USD"
    demo: bool = False
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def demo_days(self) -> int | None:
        """How far the demo's dates were moved, in days; None for a company's own data."""
        return int(self.more.get("demo_shift_days", 0)) if self.demo else None


def get(conn: Connection) -> Settings:
    """The settings as they stand; everybody who is signed in may read them."""
    rows = {key: value for key, value in conn.execute(select(schema.settings.c.key, schema.settings.c.value))}
    known = {k: rows.pop(k) for k in ("company_name", "time_zone", "currency", "demo") if k in rows}
    return Settings(**known, more=rows)
