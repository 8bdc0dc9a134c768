"""Tags are looked up by key and counted without reading all customers; stages are summed by owner.

The oldest waiting change is found by an index. The worker fills the sums. The SQL beside is frozen.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "2026_11_26_lighter"
down_revision = "2026_11_26_texts"


def upgrade() -> None:
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(written, execution_options={"no_parameters": True})
