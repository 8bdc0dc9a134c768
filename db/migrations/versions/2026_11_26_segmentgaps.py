"""Kept views use segments, too, and rules and boards use clusters. The SQL beside is frozen."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_26_segmentgaps"
down_revision = "2026_11_26_usedsegments"


def upgrade() -> None:
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(written, execution_options={"no_parameters": True})
