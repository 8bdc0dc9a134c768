"""Support, confidence and lift: the manual's example, what always holds, and how often the interval holds the truth."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from analytics.affinity import ORDERS, Pair, kept, lift, lift_interval, ranked
from analytics.intervals import wilson


def test_the_example_of_the_manual() -> None:
    pair = Pair("Tea", "Milk", together=50, first_orders=200, second_orders=100, orders=1000)
    assert (pair.support, pair.forward, pair.backward, pair.lift) == (0.05, 0.25, 0.5, 2.5)
    assert [round(100 * end, 1) for end in pair.support_interval] == [3.8, 6.5]
    assert [round(100 * end, 1) for end in pair.forward_interval] == [19.5, 31.4]
    assert [round(100 * end, 1) for end in pair.backward_interval] == [40.4, 59.6]
    # s² = 1/50 - 1/200 - 1/100 + 4/1000 = 0.009
    half = 1.959963984540054 * math.sqrt(0.009)
    assert pair.lift_interval == pytest.approx((2.5 * math.exp(-half), 2.5 * math.exp(half)))


def counts(random: Random) -> tuple[int, int, int, int]:
    both, one, other, none = (random.randrange(0, random.choice((3, 30, 3000))) for _n in range(4))
    return both, both + one, both + other, both + one + other + none


@pytest.mark.parametrize("seed", range(200))
def test_whatever_the_counts_rates_lie_in_their_intervals_and_directions_agree(seed: int) -> None:
    together, first, second, orders = counts(Random(seed))
    pair = Pair("a", "b", together, first, second, orders)
    turned = Pair("b", "a", together, second, first, orders)
    assert pair.forward == turned.backward
    assert pair.lift == pytest.approx(turned.lift)
    assert pair.lift_interval == pytest.approx(turned.lift_interval)
    for rate, interval in (
        (pair.support, pair.support_interval),
        (pair.forward, pair.forward_interval),
        (pair.backward, pair.backward_interval),
        (pair.lift, pair.lift_interval),
    ):
        assert interval[0] - 1e-12 <= rate <= interval[1] + 1e-12
    assert pair.support_interval == wilson(together, orders)
    if together:
        assert pair.lift == pytest.approx(pair.forward / (second / orders))
        assert pair.lift == pytest.approx(pair.support / (first / orders) / (second / orders))
        assert pair.lift <= orders / max(first, second) + 1e-9
        times = 4
        more = lift_interval(times * together, times * first, times * second, times * orders)
        assert math.log(more[1] / more[0]) == pytest.approx(math.log(pair.lift_interval[1] / pair.lift_interval[0]) / 2)


def test_the_variance_is_that_of_the_delta_method_written_out_cell_by_cell() -> None:
    random = Random(7)
    for _n in range(100):
        together, first, second, orders = (n + 1 for n in counts(random))
        orders = max(orders, first + second - together)
        cells = (together, first - together, second - together, orders - first - second + together)
        slopes = (
            1 / together - 1 / first - 1 / second + 1 / orders,
            -1 / first + 1 / orders,
            -1 / second + 1 / orders,
            1 / orders,
        )
        variance = sum(slope**2 * n for slope, n in zip(slopes, cells, strict=True))
        low, high = lift_interval(together, first, second, orders, z=1.0)
        assert math.log(high / low) == pytest.approx(2 * math.sqrt(max(variance, 0)), abs=1e-9)


def test_the_interval_holds_the_truth_in_about_95_of_a_hundred_samples() -> None:
    rng = np.random.default_rng(3)
    chances = (0.04, 0.16, 0.06, 0.74)  # lift 0.04 / (0.2 · 0.1) = 2
    drawn = rng.multinomial(2000, chances, size=4000)
    held = 0
    for both, one, other, _none in drawn.tolist():
        low, high = lift_interval(both, both + one, both + other, 2000)
        held += low <= 2.0 <= high
    assert 0.94 < held / len(drawn) < 0.96


def test_at_the_edges() -> None:
    assert lift(0, 5, 5, 10) == 0.0
    assert lift_interval(0, 5, 5, 10) == (0.0, math.inf)
    assert lift_interval(5, 5, 10, 10) == (1.0, 1.0)  # what is in every order tells nothing
    assert Pair("a", "b", 0, 0, 0, 0).support == Pair("a", "b", 0, 0, 0, 0).forward == 0.0
    for wrong in ((3, 2, 5, 10), (1, 11, 5, 10), (-1, 2, 2, 10), (0, 6, 6, 10)):
        with pytest.raises(ValueError):
            lift(*wrong)


def test_rare_pairs_are_left_out_and_the_others_ordered() -> None:
    strong = Pair("a", "b", 12, 12, 12, 1000)
    sure = Pair("a", "c", 100, 200, 120, 1000)
    weak = Pair("b", "c", 400, 600, 600, 1000)
    rare = Pair("c", "d", 9, 9, 9, 1000)
    found = [weak, strong, rare, sure]
    assert kept(found, support=0.0, together=10) == [weak, strong, sure]
    assert kept(found, support=0.1, together=10) == [weak, sure]
    assert kept([], support=0.0, together=0) == []
    firsts = {by: ranked(found, by)[0] for by in ORDERS}
    assert firsts == {"lift": rare, "sure": rare, "support": weak, "confidence": strong}
    assert ranked([strong, sure], "sure")[0] == strong
    assert ranked(found, "lift") == ranked(found[::-1], "lift")
