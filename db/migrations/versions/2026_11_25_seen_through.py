"""Masked views that leave no row out are plain views: their queries are planned like those of the tables."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_25_seen_through"
down_revision = "2026_11_25_counters"


def upgrade() -> None:
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(written, execution_options={"no_parameters": True})
