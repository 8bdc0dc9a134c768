"""The engine of the tests' process: one that is replaced leaves nothing open that would be found in a later test.

And the folders of their clusters: those of killed runs go, those of others stay.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from db import connection
from db.embedded import UNUSED_PID
from tests.engine import forget, home, serving, sweep


def _kept() -> Any:
    """A connection that the pool keeps for the next use."""
    borrowed = connection.engine().raw_connection()
    found = borrowed.dbapi_connection
    borrowed.close()
    return found


def test_an_engine_that_is_replaced_closes_its_connections(clone: str) -> None:
    outer = _kept()
    assert not outer.closed
    with serving(os.environ["DATABASE_URL"]):
        assert outer.closed
        inner = _kept()
    assert inner.closed
    with connection.begin_owner() as conn:
        assert conn.exec_driver_sql("SELECT 1").scalar() == 1
    forget()
    assert connection.engine.cache_info().currsize == 0


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = [f"kehu-tests-{os.getpid()}-a", "kehu-tests-abc", "kehu-tests-x-1", f"other-{UNUSED_PID}-a"]
    for name in [*kept, f"kehu-tests-{UNUSED_PID}-a"]:
        (tmp_path / name / "run").mkdir(parents=True)
    sweep(tmp_path)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == sorted(kept)


def test_a_cluster_goes_to_a_folder_of_its_own_that_later_runs_may_remove() -> None:
    one, two = home(), home()
    assert one != two
    one.rmdir()
    sweep(two.parent)
    assert two.is_dir()
    two.rmdir()
