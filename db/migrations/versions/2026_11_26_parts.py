"""Which part of a customer's columns in memory is out of date."""

from __future__ import annotations

from alembic import op

revision = "2026_11_26_parts"
down_revision = "2026_11_26_intervals"


def upgrade() -> None:
    op.execute("""ALTER TABLE moved_customers ADD COLUMN part text COLLATE "C" NOT NULL DEFAULT ''""")
