"""Rates of what is bought together: support, confidence and lift of a pair, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from analytics.intervals import wilson

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Pair:
    """Of `orders` orders, `together` hold both, `first_orders` the first and `second_orders` the second."""

    first: str
    second: str
    together: int
    first_orders: int
    second_orders: int
    orders: int

    @property
    def support(self) -> float:
        """The share of orders with both. Agrawal, Imielinski and Swami (1993), SIGMOD '93, 207-216."""
        return self.together / self.orders if self.orders else 0.0

    @property
    def support_interval(self) -> tuple[float, float]:
        """Wilson's, at 95 %."""
        return wilson(self.together, self.orders)

    @property
    def forward(self) -> float:
        """The confidence of first → second: of the orders with the first, the share with the second too."""
        return self.together / self.first_orders if self.first_orders else 0.0

    @property
    def forward_interval(self) -> tuple[float, float]:
        """Wilson's, at 95 %."""
        return wilson(self.together, self.first_orders)

    @property
    def backward(self) -> float:
        """The confidence of second → first."""
        return self.together / self.second_orders if self.second_orders else 0.0

    @property
    def backward_interval(self) -> tuple[float, float]:
        """Wilson's, at 95 %."""
        return wilson(self.together, self.second_orders)

    @property
    def lift(self) -> float:
        """How many times as many orders hold both as if each were bought regardless of the other; 0 without any.

        "Interest" in Brin, Motwani, Ullman and Tsur (1997), Dynamic itemset counting, SIGMOD '97, 255-264.
        """
        return lift(self.together, self.first_orders, self.second_orders, self.orders)

    @property
    def lift_interval(self) -> tuple[float, float]:
        """As `lift_interval`, at 95 %."""
        return lift_interval(self.together, self.first_orders, self.second_orders, self.orders)


def pairs(rows: pd.DataFrame, orders: int) -> list[Pair]:
    """Those of `rows` (first, second, together, first_orders, second_orders), of so many orders."""
    return [Pair(a, b, n, of_a, of_b, orders) for a, b, n, of_a, of_b in rows.itertuples(index=False, name=None)]


def lift(together: int, first: int, second: int, orders: int) -> float:
    """together · orders / (first · second); 0 where nothing is together."""
    _sound(together, first, second, orders)
    return together * orders / (first * second) if together else 0.0


def lift_interval(together: int, first: int, second: int, orders: int, z: float = Z95) -> tuple[float, float]:
    """The interval of a lift L, exp(log L ± z·s), for orders drawn independently; (0, ∞) where nothing is together.

    By the delta method (Agresti 2013, Categorical Data Analysis, 3rd ed., section 16.1) for the logarithm of
    p11 / (p1. · p.1) of a multinomial: s² = 1/together - 1/first - 1/second + (2·L - 1)/orders. Where one of them is
    in all orders, lift is 1 and s is 0. Few orders together make it wide and, below ten or so, rough.
    """
    found = lift(together, first, second, orders)
    if not together:
        return 0.0, math.inf
    variance = 1 / together - 1 / first - 1 / second + (2 * found - 1) / orders
    half = z * math.sqrt(max(variance, 0.0))
    return found * math.exp(-half), found * math.exp(half)


def _sound(together: int, first: int, second: int, orders: int) -> None:
    if not 0 <= together <= min(first, second) or max(first, second) > orders or first + second - together > orders:
        raise ValueError(f"{together} of {first} and {second} in {orders}")


def kept(pairs: Iterable[Pair], *, support: float, together: int) -> list[Pair]:
    """Those with at least this share of all orders, and at least so many orders."""
    return [p for p in pairs if p.together >= together and p.together >= support * p.orders]


ORDERS = {
    "lift": lambda p: (-p.lift, -p.together),
    "sure": lambda p: (-p.lift_interval[0], -p.together),
    "support": lambda p: (-p.together, -p.lift),
    "confidence": lambda p: (-max(p.forward, p.backward), -p.together),
}
"""By what pairs are put in order, greatest first: `sure` is the lower end of lift's interval."""


def ranked(pairs: Iterable[Pair], by: str) -> list[Pair]:
    """In one of ORDERS; equal ones by name."""
    return sorted(pairs, key=lambda p: (*ORDERS[by](p), p.first, p.second))
