"""What keeps screens fast at a million customers: days of orders, sums of campaigns, a narrow index of profiles."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_25_scale"
down_revision = "2026_11_23_segments"


def upgrade() -> None:
    # No refresh meanwhile (db/derived.py holds this lock too). What waits in the queue is brought up to date later.
    op.execute("SELECT pg_advisory_xact_lock(7203452)")
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(written, execution_options={"no_parameters": True})
