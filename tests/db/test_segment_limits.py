"""Segments that take long, and the bounds of the scores: one slow rule keeps nothing else back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from db import clock, connection, schema, scores, segments
from db.connection import begin
from db.embedded import Server
from db.errors import Unavailable
from db.permissions import WORKER
from tests.db.segment_data import EVERYONE, TODAY, Data, _one, counted, filled, seen


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    with filled(server, template) as made:
        yield made


def test_the_job_takes_the_bounds_anew(data: Data) -> None:
    with connection.begin_owner() as conn:
        conn.execute(update(schema.score_bounds).values(bounds=[0, 0, 0, 0]))
    with begin(WORKER, write=True) as conn:
        assert scores.refresh(conn) == 4
        bounds, made = scores.bounds(conn)
    assert made == clock.now()
    assert bounds["monetary"][3] > 0


def test_a_slow_rule_keeps_no_other_number_back(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """The orders are locked by somebody else: what needs them is not counted, all the rest is."""
    monkeypatch.setattr(segments, "TOGETHER_MS", 200)
    monkeypatch.setattr(segments, "ALONE_MS", 200)
    slow, quick = _one("bought_category", "any of", {"of": ["BEEF"], "last_days": 30}), _one("region", "in", ["North"])
    ann = data.people.ann
    with connection.begin_owner() as other:
        other.exec_driver_sql("LOCK TABLE orders")
        with begin(ann) as conn:
            found = segments.counts(conn, viewer=ann, rules=(EVERYONE, slow, quick), today=TODAY)
            limit = conn.exec_driver_sql("SHOW statement_timeout").scalar_one()
        with begin(ann, timeout_ms=200) as conn, pytest.raises(DBAPIError, match="statement timeout"):
            segments.explore(conn, viewer=ann, rule=slow, today=TODAY)
    assert found == (len(seen(data, ann)), None, counted(ann, quick))
    assert limit == "15s", "the transaction's own limit is back"


def test_a_page_full_of_the_largest_rules_is_counted(data: Data) -> None:
    """Twenty shared segments at every limit of a rule: together more values than one statement may have."""
    several = [{"field": "bought_product", "op": "any of", "value": {"of": list(range(1, 201))}}] * 26
    rule = json.dumps({"any": several}, separators=(",", ":"))
    assert 18_000 < len(rule) < 20_000
    ann = data.people.ann
    bought = sum(bool(p.orders) for p in seen(data, ann))
    with begin(ann) as conn:
        assert segments.counts(conn, viewer=ann, rules=(rule,) * 20, today=TODAY) == (bought,) * 20


def test_two_workers_take_the_bounds_at_once(data: Data) -> None:
    done: list[Any] = []

    def second() -> None:
        with begin(WORKER, write=True) as conn:
            done.append(scores.refresh(conn))

    other = threading.Thread(target=second)
    with begin(WORKER, write=True) as conn:
        assert scores.refresh(conn) == 4
        other.start()
        other.join(0.5)
        assert other.is_alive(), "the second waits for the first"
    other.join(10)
    assert done == [4]


def test_a_worker_that_dies_while_it_takes_the_bounds_leaves_the_old_ones(data: Data) -> None:
    with begin(WORKER) as conn:
        before = scores.bounds(conn)
    with pytest.raises(Unavailable), begin(WORKER, write=True) as conn:
        conn.execute(schema.score_bounds.update().values(bounds=[0, 0, 0, 0]))
        scores.refresh(conn)
        mine = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with connection.engine().connect() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": mine})
    with begin(WORKER) as conn:
        assert scores.bounds(conn) == before


def test_many_slow_rules_are_given_up_together(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, ms in (("TOGETHER_MS", 100), ("ALONE_MS", 150), ("LATER_MS", 400)):
        monkeypatch.setattr(segments, limit, ms)
    bought = {"field": "bought_category", "op": "any of", "value": {"of": ["BEEF"], "last_days": 30}}
    slow = json.dumps({"all": [bought] * 3})
    ann = data.people.ann
    with connection.begin_owner() as other:
        other.exec_driver_sql("LOCK TABLE orders")
        began = time.monotonic()
        with begin(ann) as conn:
            found = segments.counts(conn, viewer=ann, rules=(slow,) * 20 + (EVERYONE,), today=TODAY)
        assert time.monotonic() - began < 2
    assert found == (*(None,) * 20, len(seen(data, ann))), "the shortest comes first"
