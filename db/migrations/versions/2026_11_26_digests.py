"""What tells the orders of a customer from others, told from numbers. The SQL beside is frozen."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_26_digests"
down_revision = "2026_11_26_segmentgaps"


def upgrade() -> None:
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(written, execution_options={"no_parameters": True})
