"""Intervals of a share and of the difference of two, so that a rate from few people does not look too sure."""

from __future__ import annotations

import math


def wilson(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The score interval of a binomial share, 95 % by default; (0, 1) without trials.

    Wilson, E. B. (1927), Probable inference, the law of succession, and statistical inference, JASA 22, 209-212.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    scale = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe(
    successes: int, trials: int, other_successes: int, other_trials: int, z: float = 1.959963984540054
) -> tuple[float, float, float]:
    """The difference of two independent shares, the first less the second, with its interval, 95 % by default.

    (0, -1, 1) where one of them has no trials. Newcombe, R. G. (1998), Interval estimation for the difference between
    independent proportions: comparison of eleven methods, Statistics in Medicine 17, 873-890, method 10: the square
    and add of two score intervals.
    """
    (low, high), (other_low, other_high) = wilson(successes, trials, z), wilson(other_successes, other_trials, z)
    if not trials or not other_trials:
        return 0.0, -1.0, 1.0
    share, other = successes / trials, other_successes / other_trials
    below = math.sqrt((share - low) ** 2 + (other_high - other) ** 2)
    above = math.sqrt((high - share) ** 2 + (other - other_low) ** 2)
    return share - other, max(-1.0, share - other - below), min(1.0, share - other + above)
