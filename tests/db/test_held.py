"""Columns in memory: the same answers as PostgreSQL and as the slow way, for everybody, after whatever is written."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Connection, delete, select, text

from db import (
    affinity,
    changes,
    clock,
    cluster_values,
    clusters,
    cohorts,
    connection,
    held,
    held_check,
    moved,
    saved_segments,
    schema,
    segment_sets,
    segment_spread,
    segments,
)
from db.connection import begin
from db.embedded import Server
from db.errors import Refused
from db.permissions import WORKER, Permission, Viewer
from db.segment_question import Question
from tests import make
from tests.db.segment_data import BIG, EVERYONE, TODAY, Data, filled, seen
from tests.db.segment_rules import RULES
from tests.db.segment_writes import Writes


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    with filled(server, template) as made:
        yield made


@pytest.fixture(autouse=True)
def loaded(data: Data) -> Iterator[None]:
    assert held.load()
    yield
    held.drop()


BATTERY: tuple[dict[str, Any], ...] = (
    {"field": "region", "op": "in", "value": ["North", "Nowhere yet", "Elsewhere"]},
    {"field": "region", "op": "empty"},
    {"field": "owner", "op": "empty"},
    {"field": "phone", "op": "in", "value": ["yes"]},
    {"field": "stage", "op": "in", "value": ["repeat", "prospect"]},
    {"field": "basket", "op": ">=", "value": "10.01"},
    {"field": "orders", "op": "between", "value": [1, 3]},
    {"field": "ordered", "op": "not within", "value": {"last_days": 40}},
    {"field": "ordered", "op": "within", "value": {"during": "last month"}},
    {"field": "last_order_on", "op": "during", "value": "this month"},
    {"field": "bought_product", "op": "any of", "value": {"of": [2], "during": "this year"}},
    {"field": "bought_category", "op": "any of", "value": {"of": ["MILK"]}},
    {"field": "bought_category", "op": "any of", "value": {"of": ["BEEF"], "last_days": 50}},
    {"field": "bought_product", "op": "none of", "value": {"of": [2], "last_days": 50}},
    {"field": "redeemed", "op": "any of", "value": {"of": [1, 2]}},
    {"field": "funnel", "op": "reached", "value": {"campaign": 2, "step": "bought"}},
    {"field": "tags", "op": "any of", "value": ["Fresh", "Second"]},
    {"field": "tags", "op": "all of", "value": ["Fresh", "Second"]},
    {"field": "contacts", "op": ">=", "value": {"count": 2, "last_days": 20}},
    {"field": "contact_days", "op": "<=", "value": 9},
    {"field": "contacted", "op": "none of", "value": {"of": ["call", "note"], "last_days": 30}},
    {"field": "overdue_tasks", "op": ">", "value": 0},
    {"field": "consent_mail", "op": "in", "value": ["given"]},
    {"field": "received_count", "op": ">=", "value": {"count": 1}},
    {"field": "converted", "op": "any of", "value": {"of": [1, 2]}},
    {"field": "converted", "op": "any of", "value": {"of": [1, 2], "last_days": 60}},
    {"field": "held_out", "op": "none of", "value": {"of": [1]}},
    {"field": "first_order_on", "op": "anniversary in the next", "value": 60},
)


def answers(viewer: Viewer, rule: str) -> dict[str, Any]:
    """Everything that is asked of one rule."""
    with begin(viewer) as conn:
        asked: dict[str, Any] = {"viewer": viewer, "rule": rule, "today": TODAY}
        found = segments.explore(conn, **asked)
        pages = [segments.preview(conn, **asked, sort=sort, limit=7) for sort in ("revenue", "orders", "last_order")]
        return {
            "count": segments.count(conn, **asked),
            "customers": found.customers,
            "everyone": found.everyone,
            "effects": found.effects,
            "spread": found.spread.values.tolist(),
            "counts": segments.counts(conn, viewer=viewer, rules=(rule, EVERYONE), today=TODAY),
            "more": [segment_spread.spread(conn, **asked, by=by).values.tolist() for by in segment_spread.MORE],
            "overlap": segment_sets.overlap(conn, viewer=viewer, rules=(rule, BIG, EVERYONE), today=TODAY),
            "pages": [(page.total, page.rows.astype(str).values.tolist()) for page in pages],
        }


def by_both(viewer: Viewer, rule: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """From memory, then from PostgreSQL."""
    standing = held.standing()
    assert standing
    assert not standing.late
    remembered = answers(viewer, rule)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held, "_held", None)
        return remembered, answers(viewer, rule)


def was_remembered(viewer: Viewer, rule: str = EVERYONE) -> bool:
    """Whether this is answered from memory."""
    met: list[bool] = []
    with begin(viewer) as conn, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Question, "count", lambda *_args: met.append(True) or 0)
        segments.count(conn, viewer=viewer, rule=rule, today=TODAY)
    return not met


def test_every_count_is_that_of_the_slow_way(data: Data) -> None:
    viewers = (data.people.root, data.people.mia, data.people.ann)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(RULES)
    def holds(rule: Any) -> None:
        for viewer in viewers:
            slow = sum(data.world.fits(rule, person) for person in seen(data, viewer))
            with begin(viewer) as conn:
                assert segments.count(conn, viewer=viewer, rule=json.dumps(rule), today=TODAY) == slow

    assert all(was_remembered(viewer) for viewer in viewers)
    holds()


def test_all_that_is_said_of_a_rule_is_what_postgresql_says(data: Data) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(RULES)
    def holds(rule: Any) -> None:
        written = json.dumps({"all": [rule]})
        for viewer in (data.people.root, data.people.bo, data.people.max):
            remembered, asked = by_both(viewer, written)
            assert remembered == asked

    holds()
    for viewer in data.people.everyone:
        for written in (EVERYONE, BIG, '{"any":[]}'):
            remembered, asked = by_both(viewer, written)
            assert remembered == asked, viewer.username


def test_what_is_not_held_is_asked_of_postgresql_and_joined(data: Data) -> None:
    """A frozen list beside a held field; as each viewer may see it."""
    root = data.people.root
    with begin(root, write=True) as conn:
        values: dict[str, Any] = {"viewer": root, "rule": EVERYONE, "today": TODAY, "limit": 40}
        few = segments.who(conn, **values)
        number = saved_segments.freeze(conn, actor=root, name="Forty", ids=few)[0]
    rule = f'{{"all":[{{"field":"listed","op":"any of","value":[{number}]}},{{"field":"orders","op":">","value":0}}]}}'
    for viewer in (root, data.people.mia, data.people.ann):
        remembered, asked = by_both(viewer, rule)
        assert remembered == asked
        assert was_remembered(viewer, rule)
    assert by_both(root, rule)[0]["count"] > 0


def test_whatever_is_written_the_next_answer_knows_it(data: Data) -> None:
    """Commands, orders and refreshes in any order; each answer is PostgreSQL's. Now and then all is settled."""
    root, writes = data.people.root, Writes(data, seed=3)
    rules = [json.dumps({"any": [leaf]}) for leaf in BATTERY] + [EVERYONE, BIG]
    for n in range(60):
        writes.any()
        if n % 4 == 3:
            writes.refresh()  # what waits there is seen by PostgreSQL in lines already, in figures not yet
            for viewer in (root, data.people.mia, data.people.ann):
                written = writes.rng.choice(rules)
                remembered, asked = by_both(viewer, written)
                assert remembered == asked, written
            assert was_remembered(root)
        if n % 20 == 19:
            standing = held.standing()
            assert standing
            assert any(each.changed.any() for each in standing.columns.pairs.values())
            standing.columns.settle()
            assert not any(each.changed.any() for each in standing.columns.pairs.values())


def test_clusters_are_told_from_memory_as_by_postgresql(data: Data) -> None:
    """Of any weights; a rule that asks for them is not looked up in tables."""
    root, rng = data.people.root, random.Random(5)
    with begin(root, write=True) as conn:
        made = [clusters.save(conn, actor=root, name=f"C{n}", model=any_model(rng))[0] for n in range(6)]
    for number in made:
        for value in ({"op": "in", "value": ["1"]}, {"op": "not in", "value": ["2", "3"]}, {"op": "empty"}):
            written = json.dumps({"all": [{"field": f"cluster.{number}", **value}]})
            for viewer in (root, data.people.mia):
                remembered, asked = by_both(viewer, written)
                assert remembered == asked
            assert was_remembered(root, written)


def any_model(rng: random.Random) -> dict[str, Any]:
    """Three clusters by some of the features."""
    features = rng.sample(list(cluster_values.FEATURES), rng.randint(1, 6))
    weights = [[rng.uniform(-1, 1) if rng.random() < 0.8 else 0.0 for _f in features] for _k in range(6)]
    return {
        "method": "mixture",
        "features": features,
        "centers": [rng.uniform(0, 5) for _f in features],
        "scales": [rng.uniform(0.2, 2) for _f in features],
        "constants": [rng.uniform(-1, 1) for _k in range(3)],
        "linear": weights[:3],
        "squares": weights[3:],
        "differences": weights[:3],
    }


def test_a_customer_who_is_gone_is_not_counted(data: Data) -> None:
    before = answers(data.people.root, EVERYONE)["count"]
    with begin(data.people.root, write=True) as conn:
        permission = Permission.CUSTOMERS_EDIT
        actor = data.people.root
        set_id = changes.start(conn, actor=actor, command="customer.add", permission=permission, source="screen")
        [one] = changes.insert(conn, set_id, "customers", [{"name": "Short"}])
    assert answers(data.people.root, EVERYONE)["count"] == before + 1
    with begin(data.people.root, write=True) as conn:
        set_id = changes.start(conn, actor=actor, command="undo", permission=permission, source="screen")
        changes.delete(conn, set_id, "customers", [{"id": one}])
    assert answers(data.people.root, EVERYONE)["count"] == before
    assert was_remembered(data.people.root)


def test_a_transaction_that_was_under_way_is_heard_when_it_commits(data: Data) -> None:
    """It began before another that was heard; a high-water mark of numbers would leave it out."""
    root, region = data.people.root, json.dumps({"all": [{"field": "region", "op": "in", "value": ["Slow", "Fast"]}]})

    def start(conn: Any) -> int:
        permission = Permission.CUSTOMERS_EDIT
        return changes.start(conn, actor=root, command="customer.save", permission=permission, source="screen")

    one, other = data.ids[0], data.ids[1]
    with begin(root, write=True) as slow:
        changes.update(slow, start(slow), "customers", [{"id": one, "region": "Slow", "archived_at": None}])
        with begin(root, write=True) as fast:
            changes.update(fast, start(fast), "customers", [{"id": other, "region": "Fast", "archived_at": None}])
            slow_set = fast.exec_driver_sql("SELECT pg_current_xact_id()::text::bigint").scalar_one()
        assert answers(root, region)["count"] == 1
        standing = held.standing()
        assert standing
        assert slow_set in standing.heard.values(), "as long as an older one is open it stands apart"
    assert answers(root, region)["count"] == 2
    assert was_remembered(root, region)


def test_who_writes_is_answered_by_postgresql(data: Data) -> None:
    root = data.people.root
    with begin(root, write=True) as conn:
        permission = Permission.CUSTOMERS_EDIT
        set_id = changes.start(conn, actor=root, command="customer.add", permission=permission, source="screen")
        changes.insert(conn, set_id, "customers", [{"name": "Mine", "region": "Own"}])
        rule = json.dumps({"all": [{"field": "region", "op": "in", "value": ["Own"]}]})
        assert segments.count(conn, viewer=root, rule=rule, today=TODAY) == 1
        conn.execute(delete(schema.customers).where(text("false")))


def test_too_much_at_once_and_everybody_are_left_to_the_keeper(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    root = data.people.root
    monkeypatch.setattr(held, "MOST_AT_ONCE", 3)
    with begin(WORKER, write=True) as conn:
        moved.tell(conn, data.ids[:4])
        conn.exec_driver_sql("SELECT public.move_generations('{metrics}')")
    expected = len(seen(data, root))
    assert not was_remembered(root)
    standing = held.standing()
    assert standing
    held._tend(standing, None)
    assert was_remembered(root)
    with begin(WORKER, write=True) as conn:
        moved.tell(conn, None)
        conn.exec_driver_sql("SELECT public.move_generations('{metrics}')")
    assert not was_remembered(root)
    assert standing.late, "it is loaded anew"
    assert expected


def test_columns_that_are_wrong_are_found_and_not_used(data: Data, caplog: pytest.LogCaptureFixture) -> None:
    root, standing = data.people.root, held.standing()
    assert standing
    held._tend(standing, held_check.verify)
    assert was_remembered(root)
    standing.columns.values["listed"][:] = True
    standing.columns.values["orders"][:] = 9
    for _n in range(30):
        held._tend(standing, held_check.verify)
    assert standing.late
    assert "columns in memory differ" in caplog.text
    assert not was_remembered(root)


def test_what_was_said_is_forgotten_and_columns_that_did_not_hear_are_loaded_anew(data: Data) -> None:
    root, standing = data.people.root, held.standing()
    assert standing
    with connection.begin_owner() as conn:
        m = schema.moved_customers
        conn.execute(m.update().values(made_at=clock.now() - moved.KEPT - timedelta(minutes=1)))
    with begin(WORKER, write=True) as conn:
        assert moved.forget(conn) > 0
        assert conn.scalar(select(schema.moved_customers.c.id).limit(1)) is None
        conn.exec_driver_sql("SELECT public.move_generations('{metrics}')")
    standing.at -= moved.KEPT.total_seconds()
    assert not was_remembered(root)
    assert standing.late


def test_nobody_but_the_worker_reads_whose_columns_moved(data: Data) -> None:
    for viewer in data.people.everyone:
        with pytest.raises(Refused), begin(viewer) as conn:
            conn.exec_driver_sql("SELECT customer_ids FROM public.moved_customers").all()


def test_another_database_is_not_answered_from_these_columns(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    standing = held.standing()
    assert standing
    monkeypatch.setattr(standing, "url", "postgresql://elsewhere")
    assert held.standing() is None


def test_an_empty_database_is_held_too(clone: str, people: make.People) -> None:
    assert held.load()
    with begin(people.root) as conn:
        found = segments.explore(conn, viewer=people.root, rule=EVERYONE, today=date(2026, 3, 1))
    assert (found.customers, found.everyone, len(found.spread)) == (0, 0, 0)


def test_what_is_read_of_members_is_the_same_when_they_are_told_by_number(data: Data) -> None:
    for viewer in (data.people.root, data.people.mia, data.people.ann, data.people.ana):
        for rule in (BIG, '{"any":[]}'):
            with begin(viewer) as conn, pytest.MonkeyPatch.context() as patch:
                asked: dict[str, Any] = {"viewer": viewer, "rule": rule, "today": TODAY}

                def told(conn: Connection = conn, asked: dict[str, Any] = asked) -> Any:
                    by_month = cohorts.cohorts(conn, **asked, months=36)
                    together = affinity.affinity(conn, **asked, months=24)
                    ids = segments.members(conn, asked["viewer"], asked["rule"], TODAY)
                    return (
                        by_month.rows.astype(str).values.tolist(),
                        (together.rows.values.tolist(), together.orders),
                        sorted(conn.scalars(ids)),
                    )

                remembered = told()
                patch.setattr(segments, "MOST_BY_NUMBER", -1)
                assert told() == remembered
                assert bool(remembered[2]) is (rule == BIG)
