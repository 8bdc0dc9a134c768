"""Intervals of differences against the published ones."""

from __future__ import annotations

import pytest

from analytics.intervals import newcombe


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Newcombe (1998), Table II, method 10.
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_differences_have_the_published_intervals(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    found = newcombe(*counts)
    assert found[1:] == pytest.approx((low, high), abs=5e-5)
    other = newcombe(counts[2], counts[3], counts[0], counts[1])
    assert other == pytest.approx((-found[0], -found[2], -found[1]))


def test_without_anybody_nothing_is_known() -> None:
    assert newcombe(0, 0, 1, 2) == newcombe(1, 2, 0, 0) == (0.0, -1.0, 1.0)
    with pytest.raises(ValueError, match="3 successes in 2 trials"):
        newcombe(3, 2, 0, 1)
