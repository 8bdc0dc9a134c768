"""In which cluster each customer is, from columns in memory: the same numbers as `fields.of_cluster` gives by SQL."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from db.arrays import Numbers
from db.cluster_values import Model
from db.fields import FARTHEST, STEPS_OF_ONE
from db.held_pairs import NEVER


def numbers(model: Model, of: Callable[[str], Numbers], today: int) -> Numbers:
    """The number of each one's cluster, from 1; 0 without orders. `of` gives columns, `today` is a day as they have it.

    The greatest score counts, and of equal ones the earlier cluster; scores are equal to STEPS_OF_ONE.
    """
    x = [_scaled(_figure(key, of, today), model, i) for i, key in enumerate(model.features)]
    best = np.full(len(of("orders")), np.iinfo(np.int64).min)
    for k, constant in enumerate(model.constants):
        score = np.full(len(best), constant)
        for i, own in enumerate(x):
            if model.linear[k][i]:
                score += own * model.linear[k][i]
            if model.squares[k][i]:
                score += own * own * model.squares[k][i]
        np.maximum(best, np.floor(score * STEPS_OF_ONE).astype(np.int64) * 16 + (15 - k), out=best)
    return np.where(of("orders") > 0, 16 - (best & 15), 0)


def _figure(key: str, of: Callable[[str], Numbers], today: int) -> Numbers:
    """As `fields.figures`; NaN is not known."""
    orders, cents = of("orders").astype(np.int64), of("cents")
    first, last = of("first_order_on").astype(np.int64), of("last_order_on").astype(np.int64)
    if key in ("orders", "revenue"):
        return np.where(orders > 0, orders if key == "orders" else cents / 100.0, np.nan)
    if key == "basket":
        return _divided(cents / 100.0, of("own_orders"))
    if key == "interval":
        return np.where(last != NEVER, _divided((last - first).astype(np.float64), orders - 1), np.nan)
    day = last if key == "recency" else first
    return np.where(day != NEVER, (today - day).astype(np.float64), np.nan)


def _divided(above: Numbers, below: Numbers) -> Numbers:
    found = np.full(len(above), np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found


def _scaled(value: Numbers, model: Model, i: int) -> Numbers:
    apart = (np.log(1.0 + np.maximum(value, 0.0)) - model.centers[i]) / model.scales[i]
    return np.where(np.isnan(value), 0.0, np.clip(apart, -FARTHEST, FARTHEST))
