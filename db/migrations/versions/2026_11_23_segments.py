"""Kept segments, the bounds of the scores, and the role that masked people write as. The SQL beside is frozen."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_23_segments"
down_revision = "2026_11_23_campaign_results"


def upgrade() -> None:
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(written, execution_options={"no_parameters": True})
