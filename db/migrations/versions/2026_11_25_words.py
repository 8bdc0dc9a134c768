"""What was written is searched by what it holds. The SQL beside is frozen; db/search_keys.py fills the columns."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_25_words"
down_revision = "2026_11_25_forms"


def upgrade() -> None:
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(written, execution_options={"no_parameters": True})
