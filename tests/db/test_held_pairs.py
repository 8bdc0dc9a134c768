"""Pairs in memory against lists of tuples: any keys, any days, before and after customers have others."""

from __future__ import annotations

from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from db.arrays import Numbers
from db.held_made import Made
from db.held_pairs import BLOCK, LATEST, MANY, NEVER, Pairs, blocks_of, pairs

ROWS = 6
KEYS = st.integers(0, 3)
DAYS = st.integers(20_000, 20_000 + 5 * BLOCK) | st.integers(20_000 - 70 * BLOCK, 20_000)
ENTRIES = st.lists(st.tuples(KEYS, st.integers(0, ROWS - 1), DAYS), max_size=60)
OF_ONE_KEY = st.lists(st.tuples(st.just(0), st.integers(0, ROWS - 1), DAYS), min_size=2 * ROWS + 1, max_size=60)
Entries = list[tuple[int, int, int]]


def columns(entries: Entries) -> list[np.ndarray]:
    return [np.asarray([entry[i] for entry in entries], np.int64) for i in range(3)]


def compare(held: Pairs, entries: Entries, keys: list[int] | None, low: int, high: int) -> None:
    fits = [(row, day) for key, row, day in entries if (keys is None or key in keys) and low <= day <= high]
    rows = [row for row, _day in fits]
    last = [max([day for own, day in fits if own == row], default=NEVER) for row in range(ROWS)]
    assert held.hold(keys, low, high).tolist() == [row in rows for row in range(ROWS)]
    assert held.count(keys, low, high).tolist() == [rows.count(row) for row in range(ROWS)]
    assert held.latest(keys, low, high).tolist() == last
    assert sorted(zip(*(each.tolist() for each in held.entries(keys, low, high)), strict=True)) == sorted(fits)


@given(
    ENTRIES | OF_ONE_KEY,
    st.none() | st.lists(KEYS, max_size=3),
    DAYS | st.just(NEVER),
    DAYS | st.just(LATEST),
    st.sets(st.integers(0, ROWS - 1)),
    ENTRIES,
)
def test_the_same_as_lists_of_tuples(
    entries: Entries, keys: list[int] | None, low: int, high: int, moved: set[int], new: Entries
) -> None:
    held = pairs(*columns(entries), ROWS)
    compare(held, entries, keys, low, high)
    if not moved:
        return
    new = [entry for entry in new if entry[1] in moved]
    held.put(np.asarray(sorted(moved)), dict(zip(("key", "row", "day"), columns(new), strict=True)))
    entries = [entry for entry in entries if entry[1] not in moved] + new
    compare(held, entries, keys, low, high)
    compare(held.settled(), entries, keys, low, high)


@given(OF_ONE_KEY, DAYS, DAYS)
def test_long_periods_of_one_key_are_answered_by_blocks(entries: Entries, low: int, high: int) -> None:
    held = pairs(*columns(entries), ROWS)
    assert held.blocks
    compare(held, entries, None, low, high)
    compare(held, entries, [0], low, high)
    compare(held, entries, [1], low, high)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, ROWS - 1), DAYS), max_size=80),
    st.lists(st.integers(0, 22), min_size=MANY, max_size=30),
    DAYS | st.just(NEVER),
    DAYS | st.just(LATEST),
)
def test_many_keys_are_looked_up_at_once(entries: Entries, keys: list[int], low: int, high: int) -> None:
    compare(pairs(*columns(entries), ROWS), entries, keys, low, high)


@given(
    ENTRIES,
    DAYS | st.just(NEVER),
    DAYS | st.just(LATEST),
    st.sets(st.integers(0, ROWS - 1)),
    ENTRIES,
)
def test_keys_that_belong_together_are_answered_by_their_blocks(
    entries: Entries, low: int, high: int, moved: set[int], new: Entries
) -> None:
    groups = {"even": [0, 2], "odd": [1, 3, 9]}
    held = pairs(*columns(entries), ROWS)
    blocks = blocks_of(held, groups)
    assert blocks.keys() == (groups.keys() if entries else set())
    for asked in (["even"], ["odd"], ["even", "odd"]):
        keys = [key for name in asked for key in groups[name]]
        own = [blocks[name] for name in asked if name in blocks]
        wanted = held.hold(keys, low, high)
        assert held.hold(keys, low, high, own).tolist() == wanted.tolist()
        if moved:
            new = [entry for entry in new if entry[1] in moved]
            held.put(np.asarray(sorted(moved)), dict(zip(("key", "row", "day"), columns(new), strict=True)))
            assert held.hold(keys, low, high, own).tolist() == held.hold(keys, low, high).tolist()


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=12))))
def test_what_is_made_of_columns_follows_them(steps: list[tuple[int, list[tuple[int, int]]]]) -> None:
    """Four columns, each asked for now and then, while values change and rows are added."""
    values, made = np.arange(20), Made()

    def times(factor: int, some: Numbers | None) -> Numbers:
        return (values if some is None else values[some]) * factor

    for factor, changed in steps:
        rows = np.asarray([row for row, _value in changed], np.int64)
        values = np.concatenate([values, np.zeros(max([0, *(rows - len(values) + 1)]), np.int64)])
        for row, value in changed:
            values[row] = value
        rows = np.union1d(rows, np.arange(20, len(values)))
        if len(rows):
            made.moved(rows)
        found = made.get(factor, len(values), partial(times, factor))
        assert found.tolist() == (values * factor).tolist()


def test_what_was_made_is_forgotten_for_what_is_asked_for() -> None:
    made = Made()
    for key in range(100):
        made.get(key, 1_000, lambda _some: np.zeros(1_000, np.int8))
    assert made.bytes < 20_000


def test_keys_and_days_too_far_apart_for_one_number_are_in_order_too() -> None:
    held = pairs(np.asarray([2**60, 3, 3, 2**60]), np.asarray([0, 1, 2, 3]), np.asarray([5, NEVER, -7, 4]), 4)
    assert held.hold([2**60], 5).tolist() == [True, False, False, False]
    assert held.latest([3]).tolist() == [NEVER, NEVER, -7, NEVER]
    assert list(held.starts) == [3, 2**60]
