"""The job library's tables, in a schema of their own."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_22_jobs"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS jobs")
    op.execute("SET LOCAL search_path = jobs")
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(written, execution_options={"no_parameters": True})
    op.execute("SET LOCAL search_path = public")
