"""The engine of the tests' process: one that is replaced leaves nothing open that would be found in a later test."""

from __future__ import annotations

import os
from typing import Any

from db import connection
from tests.engine import forget, serving


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
