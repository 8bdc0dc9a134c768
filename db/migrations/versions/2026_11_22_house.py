"""The first tables, rights and functions. The SQL beside this file is frozen: later changes are later revisions."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_22_house"
down_revision = "2026_11_22_jobs"


def upgrade() -> None:
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(written, execution_options={"no_parameters": True})
