"""Pairs in memory against lists of tuples: any keys, any days, before and after customers have others."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from db.held_columns import BLOCK, LATEST, NEVER, Pairs, pairs

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


def test_keys_and_days_too_far_apart_for_one_number_are_in_order_too() -> None:
    held = pairs(np.asarray([2**60, 3, 3, 2**60]), np.asarray([0, 1, 2, 3]), np.asarray([5, NEVER, -7, 4]), 4)
    assert held.hold([2**60], 5).tolist() == [True, False, False, False]
    assert held.latest([3]).tolist() == [NEVER, NEVER, -7, NEVER]
    assert list(held.starts) == [3, 2**60]
