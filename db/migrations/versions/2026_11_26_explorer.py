"""What customers bought month by month, and its sums by the month of the first purchase. The SQL beside is frozen."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_26_explorer"
down_revision = "2026_11_26_reasons"


def upgrade() -> None:
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(written, execution_options={"no_parameters": True})
