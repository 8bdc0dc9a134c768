"""Values of custom fields in memory: every answer is PostgreSQL's, whatever stands there and whoever asks."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, update

from db import changes, clock, connection, custom_fields, held, held_loading, held_own, schema, segments, undo
from db.connection import begin
from db.embedded import Server
from db.errors import Refused
from db.held_own import OwnValues, Values
from db.permissions import Permission
from tests.db.segment_data import TODAY, Data, filled
from tests.db.test_held import by_both, was_remembered

TYPES = ("text", "number", "date", "choice", "choices", "flag")
# As forms write them, and as whoever wrote past the form may have.
VALUES: dict[str, tuple[Any, ...]] = {
    "text": ("Ünlü", "ÜNLÜ Straße", "王小明", "İstanbul", "a_b%", "'; --", "", "[]", ["a"], 7, None, "\\"),
    "number": (
        "0",
        "-1.50",
        "1.5",
        "1.500001",
        "123456789012.000001",
        "123456789012",
        "x",
        "1e3",
        3.25,
    ),
    "date": ("2026-02-28", "2024-02-29", "2026-03-01", "1999-12-31", "abcd-ef-gh", "2026-3-1", "", 5),
    "choice": ("gold", "silver", "", "Gold", ["gold"], True),
    "choices": (["a"], ["b", "a"], [], '["a"]', "a", ["c", 1, None], {"a": 1}, None),
    "flag": (True, False, "true", "no", None, 1),
}
NUMBERS = st.sampled_from(["0", "-1.5", "1.5", "1.500001", 2, "123456789012", "123456789012.000001"])
DAYS = st.sampled_from(["2026-02-28", "2024-02-29", "2026-03-01", "2000-01-01"])
WORDS = st.sampled_from(["ünlü", "straße", "王", "istanbul", "i", "_", "%", "'", "gold", "a", "\\", "["])


def leaf(key: str, ops: list[str], value: st.SearchStrategy[Any] | None) -> st.SearchStrategy[dict[str, Any]]:
    fixed = {"field": st.just(f"custom.{key}"), "op": st.sampled_from(ops)}
    return st.fixed_dictionaries(fixed if value is None else {**fixed, "value": value})


def some(*words: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=2, unique=True)


LEAVES = st.one_of(
    *(leaf(kind, ["empty", "not empty"], None) for kind in TYPES),
    leaf("text", ["contains", "not contains", "is", "is not"], WORDS),
    leaf("number", ["=", "!=", "<", "<=", ">", ">="], NUMBERS),
    leaf("number", ["between"], st.sampled_from([["-2", "1.5"], ["1.5", "1.500001"], ["-1", "999999999999"]])),
    leaf("date", ["on", "before", "after"], DAYS),
    leaf("date", ["between"], st.just(["2024-02-29", "2026-02-28"])),
    leaf("date", ["in the last", "not in the last", "in the next", "anniversary in the next"], st.integers(1, 365)),
    leaf("date", ["during", "not during"], st.sampled_from(["this month", "last year", "this week"])),
    leaf("choice", ["in", "not in"], some("gold", "silver", "no such")),
    leaf("choices", ["any of", "none of", "all of"], some("a", "b", "c", "1")),
    leaf("flag", ["yes", "no"], None),
    st.just({"field": "orders", "op": ">", "value": 2}),
)
RULES = st.builds(
    lambda match, rules: json.dumps({match: rules}),
    st.sampled_from(["all", "any", "none"]),
    st.lists(LEAVES, min_size=1, max_size=3),
)


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    """Six custom fields, and values of all kinds."""
    with filled(server, template) as made:
        stamps, rng = {"created_at": clock.now(), "updated_at": clock.now()}, random.Random(11)
        with connection.begin_owner() as conn:
            for n, kind in enumerate(TYPES, 1):
                field = {"key": kind, "name": kind, "name_zh": "", "type": kind, "position": n}
                choices = {"choice": ["gold", "silver"], "choices": ["a", "b"]}.get(kind, [])
                conn.execute(insert(schema.custom_fields).values(**field, choices=choices, **stamps))
            secret = {"key": "secret", "name": "Secret", "name_zh": "", "type": "text", "position": 9, "personal": True}
            conn.execute(insert(schema.custom_fields).values(**secret, **stamps))
            c = schema.customers
            for one in made.ids:
                values = {kind: rng.choice(VALUES[kind]) for kind in TYPES if rng.random() < 0.8}
                hidden = {"secret": rng.choice(["x", "y"])}
                conn.execute(update(c).where(c.c.id == one).values(custom=values, custom_personal=hidden))
        assert held.load()
        yield made
    held.drop()


def test_every_answer_is_that_of_postgresql(data: Data) -> None:
    @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(RULES)
    def holds(rule: str) -> None:
        with begin(data.people.root) as conn:
            remembered = segments.count(conn, viewer=data.people.root, rule=rule, today=TODAY)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(held, "_held", None)
                assert remembered == segments.count(conn, viewer=data.people.root, rule=rule, today=TODAY), rule

    assert was_remembered(data.people.root, '{"all":[{"field":"custom.text","op":"is","value":"a_b%"}]}')
    holds()


def test_each_viewer_counts_their_own_and_personal_ones_are_refused_to_masked_roles(data: Data) -> None:
    rule = '{"any":[{"field":"custom.secret","op":"is","value":"X"},{"field":"custom.flag","op":"yes"}]}'
    for viewer in (data.people.root, data.people.mia, data.people.ann):
        assert was_remembered(viewer, rule)
        remembered, asked = by_both(viewer, rule)
        assert remembered == asked
        assert remembered["count"] > 0
    with begin(data.people.ana) as conn, pytest.raises(Refused, match="Secret"):
        segments.count(conn, viewer=data.people.ana, rule=rule, today=TODAY)


def test_what_is_edited_added_and_undone_is_known_to_the_next_answer(data: Data) -> None:
    root, one = data.people.root, data.ids[0]
    written = '{"all":[{"field":"custom.choice","op":"in","value":["platinum"]}]}'

    def count() -> int:
        assert was_remembered(root, written)
        remembered, asked = by_both(root, written)
        assert remembered == asked
        return int(remembered["count"])

    def save(patch: dict[str, Any]) -> int:
        with begin(root, write=True) as conn:
            asked: dict[str, Any] = {"permission": Permission.CUSTOMERS_EDIT, "source": "screen"}
            set_id = changes.start(conn, actor=root, command="customer.save", **asked)
            if "id" in patch:
                changes.update(conn, set_id, "customers", [patch])
            else:
                changes.insert(conn, set_id, "customers", [patch])
            return set_id

    assert count() == 0
    edited = save({"id": one, "custom": {"choice": "platinum"}})
    assert count() == 1
    save({"name": "New", "owner_id": data.people.ann.user_id, "custom": {"choice": "platinum"}})
    assert count() == 2
    with begin(root, write=True) as conn:
        undo.undo(conn, actor=root, change_set_id=edited, source="screen")
    assert count() == 1
    # A field that there was not when the columns were loaded.
    with begin(root, write=True) as conn:
        custom_fields.add(conn, actor=root, values={"name": "Later", "key": "later", "type": "number"})
    rule = '{"all":[{"field":"custom.later","op":">","value":1}]}'
    assert by_both(root, rule)[0]["count"] == 0
    save({"id": one, "custom": {"later": "2"}})
    remembered, asked = by_both(root, rule)
    assert remembered == asked
    assert remembered["count"] == 1


def test_a_field_with_too_many_values_is_asked_of_postgresql(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    root, rule = data.people.root, '{"all":[{"field":"custom.number","op":">","value":1}]}'
    before = by_both(root, rule)[1]
    monkeypatch.setattr(held_own, "MOST_WORDS", 3)
    assert held.load()
    standing = held.standing()
    assert standing
    assert standing.columns.own[("custom", "number")].dropped
    remembered, asked = by_both(root, rule)
    assert remembered == asked == before
    monkeypatch.undo()
    assert held.load()


def test_whatever_stands_past_the_forms_stops_nothing(data: Data) -> None:
    """No object, numbers of any length, lists in lists: what cannot be held is asked of PostgreSQL."""
    root = data.people.root

    def write(values: Sequence[str]) -> None:
        with connection.begin_owner() as conn:
            for one, value in zip(data.ids, values, strict=False):
                given = {"value": value, "id": one}
                conn.exec_driver_sql("UPDATE customers SET custom = %(value)s::jsonb WHERE id = %(id)s", given)

    long = '{"choices": [' + "9" * 5_000 + ', "a"], "text": ' + "8" * 5_000 + "}"
    write(("[]", '"x"', "7", "[[1]]", long, '{"choices": ["a", "b"]}'))
    rules = (
        '{"all":[{"field":"custom.choices","op":"any of","value":["a"]}]}',
        '{"all":[{"field":"custom.text","op":"not empty"}]}',
    )
    assert held.load()
    for rule in rules:
        assert was_remembered(root, rule)
        remembered, asked = by_both(root, rule)
        assert remembered == asked
    write(['{"choices": ' + "[" * 3_000 + "]" * 3_000 + "}"])
    assert held.load()
    remembered, asked = by_both(root, rules[0])
    assert remembered == asked


def test_who_fails_while_values_come_ends_the_transaction(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_args: object) -> None:
        raise MemoryError

    def load() -> None:
        with pytest.raises(MemoryError):
            held.load()

    monkeypatch.setattr(OwnValues, "put", failing)
    loading = threading.Thread(target=load, daemon=True)
    loading.start()
    loading.join(20)
    assert not loading.is_alive()
    monkeypatch.undo()
    assert held.load()
    # In the middle of a question: PostgreSQL answers it, and the keeper loads all anew.
    root, rule = data.people.root, '{"all":[{"field":"custom.text","op":"not empty"}]}'
    before = by_both(root, rule)[1]
    monkeypatch.setattr(OwnValues, "put", failing)
    with begin(root, write=True) as conn:
        asked: dict[str, Any] = {"permission": Permission.CUSTOMERS_EDIT, "source": "screen"}
        set_id = changes.start(conn, actor=root, command="customer.save", **asked)
        changes.update(conn, set_id, "customers", [{"id": data.ids[9], "custom": {"text": "Now"}}])
    with begin(root) as conn:
        assert segments.count(conn, viewer=root, rule=rule, today=TODAY) >= before["count"]
    standing = held.standing()
    assert standing
    assert standing.late
    monkeypatch.undo()
    assert held.load()


def test_a_field_dropped_between_two_looks_is_asked_of_postgresql(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another thread that has caught up meanwhile."""
    root, rule = data.people.root, '{"all":[{"field":"custom.text","op":"not empty"}]}'
    wanted = by_both(root, rule)[1]["count"]
    lower = held_loading.lower
    standing = held.standing()
    assert standing
    columns = standing.columns

    def dropping(*args: Any) -> dict[str, str]:
        columns.own[("custom", "text")].drop()
        return lower(*args)

    monkeypatch.setattr(held_loading, "lower", dropping)
    both = json.dumps({"any": [json.loads(rule), {"field": "custom.text", "op": "is", "value": "no such"}]})
    with begin(root) as conn:
        assert segments.count(conn, viewer=root, rule=both, today=TODAY) == wanted
    monkeypatch.undo()
    assert held.load()


def test_a_row_has_one_value_however_many_there_are() -> None:
    """More than a byte can tell apart, and more than two bytes can."""
    own, rng = OwnValues(), random.Random(3)
    rows = list(range(70_000))
    rng.shuffle(rows)
    for start in range(0, 70_000, 7_000):
        words = [str(n) for n in range(start, start + 7_000)]
        counts = np.ones(7_000, np.int64)
        places = np.asarray(rows[start : start + 7_000])
        own.put(Values(words, words, [False] * 7_000, counts, places), places, 70_001)
    codes = own.codes(70_001)
    assert codes[70_000] == 0
    assert [own.words[code] for code in codes[rows]] == [str(n) for n in range(70_000)]
    own.clear(np.asarray([3, 70_000, 90_000]))
    assert own.codes(70_001)[3] == 0
