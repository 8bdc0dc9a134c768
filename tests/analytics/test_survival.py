"""Kaplan and Meier by hand, against a naive evaluation person by person, and medians."""

from __future__ import annotations

import math
from random import Random

import pandas as pd
import pytest

from analytics.survival import binned, by_day, kaplan_meier, median_wait, weighted_median


def waits(*rows: tuple[int, bool, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["days", "happened", "customers"])


def test_the_remission_times_that_every_textbook_has() -> None:
    """6-MP group of Freireich et al. (1963): S(6) = 0.857, S(7) = 0.807, S(10) = 0.753, … S(23) = 0.448."""
    happened = (6, 6, 6, 7, 10, 13, 16, 22, 23)
    censored = (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)
    rows = [*((d, True, 1) for d in happened), *((d, False, 1) for d in censored)]
    steps = kaplan_meier(waits(*rows))
    assert [(s.day, s.at_risk) for s in steps] == [(6, 21), (7, 17), (10, 15), (13, 12), (16, 11), (22, 7), (23, 6)]
    expected = [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert [round(1 - s.happened, 3) for s in steps] == expected
    # The standard error of S(6) is 0.0764 by Greenwood.
    survival, half = 18 / 21, 1.959964 * math.sqrt(3 / (21 * 18)) / abs(math.log(18 / 21))
    assert steps[0].interval == pytest.approx((1 - survival ** math.exp(-half), 1 - survival ** math.exp(half)))
    assert median_wait(steps) == 23
    assert by_day(steps, 9) == steps[1]
    assert by_day(steps, 5) is None


def test_without_censoring_it_is_the_plain_share_and_nobody_gives_no_step() -> None:
    steps = kaplan_meier(waits((1, True, 2), (5, True, 1), (9, True, 1)))
    assert [(s.day, s.happened) for s in steps] == [(1, 0.5), (5, 0.75), (9, 1.0)]
    assert steps[-1].interval == (0.0, 1.0)
    assert kaplan_meier(waits()) == ()
    assert kaplan_meier(waits((9, False, 5))) == ()
    assert kaplan_meier(waits((1, True, 3), (9, True, 1)), least=2) == steps[:0] + kaplan_meier(
        waits((1, True, 3), (9, False, 1)), least=2
    )


@pytest.mark.parametrize("seed", range(20))
def test_counts_give_what_people_one_by_one_give(seed: int) -> None:
    random = Random(seed)
    people = [(random.randrange(1, 12), random.random() < 0.6) for _n in range(random.randrange(1, 40))]
    steps = kaplan_meier(waits(*((d, e, 1) for d, e in people)))
    survival = 1.0
    naive = {}
    for day in sorted({d for d, happened in people if happened}):
        survival *= 1 - sum(d == day and e for d, e in people) / sum(d >= day for d, _e in people)
        naive[day] = 1 - survival
    assert {s.day: s.happened for s in steps} == pytest.approx(naive)
    assert all(0 <= s.interval[0] <= s.happened + 1e-9 and s.happened - 1e-9 <= s.interval[1] <= 1 for s in steps)


def test_medians_and_bins_weigh_values() -> None:
    values, weights = pd.Series([7, 1, 30]), pd.Series([2, 3, 1])
    assert weighted_median(values, weights) == 1
    assert weighted_median(values, pd.Series([3, 2, 1])) == 7
    assert weighted_median(pd.Series([], dtype=int), pd.Series([], dtype=int)) is None
    assert binned(values, weights, [1, 7, 14]) == [3, 2, 1]
