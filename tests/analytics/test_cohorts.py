"""Triangles and the average curve, by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from analytics.cohorts import curve, months_between, months_from, triangle
from analytics.intervals import wilson

SEP, OCT, NOV = date(2026, 9, 1), date(2026, 10, 1), date(2026, 11, 1)
ROWS = pd.DataFrame(
    [
        (SEP, SEP, 10),
        (SEP, OCT, 4),
        (SEP, NOV, 3),
        (OCT, OCT, 30),
        (OCT, NOV, 6),
        (NOV, NOV, 2),
        (date(2026, 8, 1), NOV, 99),  # a cohort that is not asked for
    ],
    columns=["cohort", "month", "customers"],
)
NAN = float("nan")


def test_a_cell_is_the_kth_month_of_a_cohort_and_empty_where_it_has_not_begun() -> None:
    found = triangle(ROWS, "customers", cohorts=(SEP, OCT, NOV), until=date(2026, 11, 20))
    np.testing.assert_array_equal(found.values, [[10, 4, 3], [30, 6, NAN], [2, NAN, NAN]])
    assert found.complete.tolist() == [[True, True, False], [True, False, False], [False, False, False]]
    np.testing.assert_allclose(found.shares, [[1, 0.4, 0.3], [1, 0.2, NAN], [1, NAN, NAN]])
    # On its last day November counts as over.
    over = triangle(ROWS, "customers", cohorts=(SEP, OCT, NOV), until=date(2026, 11, 30))
    assert over.complete.tolist() == [[True, True, True], [True, True, False], [True, False, False]]


def test_a_month_without_anybody_is_a_zero_and_a_cohort_without_anybody_has_no_share() -> None:
    found = triangle(ROWS.iloc[:1], "customers", cohorts=(SEP, OCT), until=date(2026, 11, 20))
    np.testing.assert_array_equal(found.values, [[10, 0, 0], [0, 0, NAN]])
    np.testing.assert_array_equal(found.shares, [[1, 0, 0], [NAN, NAN, NAN]])


def test_the_average_weighs_cohorts_by_their_size_and_leaves_out_what_is_not_over() -> None:
    found = triangle(ROWS, "customers", cohorts=(SEP, OCT, NOV), until=date(2026, 11, 20))
    points = curve(found, counted=True)
    assert [(p.month, p.part, p.whole, p.cohorts) for p in points] == [(0, 40, 40, 2), (1, 4, 10, 1)]
    assert points[1].share == 0.4
    assert points[1].interval == wilson(4, 10)
    later = curve(triangle(ROWS, "customers", cohorts=(SEP, OCT, NOV), until=date(2026, 11, 30)), counted=False)
    assert [(p.part, p.whole, p.cohorts, p.interval) for p in later] == [
        (42, 42, 3, None),
        (10, 40, 2, None),
        (3, 10, 1, None),
    ]


def test_nobody_and_nothing() -> None:
    none = triangle(ROWS.iloc[:0], "customers", cohorts=(), until=date(2026, 11, 20))
    assert none.values.shape == (0, 0)
    assert curve(none, counted=True) == ()
    empty = curve(triangle(ROWS.iloc[:0], "customers", cohorts=(SEP,), until=date(2026, 11, 20)), counted=True)
    assert [(p.share, p.interval) for p in empty] == [(None, None), (None, None)]


@pytest.mark.parametrize(("n", "expected"), [(0, OCT), (3, date(2027, 1, 1)), (-10, date(2025, 12, 1))])
def test_months_are_counted_over_the_ends_of_years(n: int, expected: date) -> None:
    assert months_from(OCT, n) == expected
    assert months_between(OCT, expected) == n
