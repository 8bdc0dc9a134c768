"""The card of a figure: what changed is told with its sign and colour, what did not with neither."""

from __future__ import annotations

from decimal import Decimal

import pytest
from streamlit.testing.v1 import AppTest

from components import cards


@pytest.mark.parametrize(
    ("value", "before", "unit", "told"),
    [
        (110, 100, "count", "+10.0%"),
        (90, 100, "count", "-10.0%"),
        (100, 100, "count", "0.0%"),
        (Decimal("10004"), Decimal("10000"), "money", "0.0%"),
        (Decimal("9996"), Decimal("10000"), "money", "0.0%"),
        (100_050, 100_000, "count", "+0.1%"),
        (0.25, 0.25, "rate", "0.0 points"),
        (0.2499, 0.25, "rate", "0.0 points"),
        (0.26, 0.25, "rate", "+1.0 points"),
        (1, 0, "count", None),
        (None, 1, "count", None),
    ],
)
def test_a_change(value: float, before: float, unit: str, told: str | None) -> None:
    assert cards.change(value, before, unit) == told


def _cards() -> None:
    from components import cards

    for after in (100, 101, 99):
        cards.figure("N", after, unit="count", currency="USD", before=100, definition="d")


def test_no_change_has_no_colour_and_no_arrow() -> None:
    app = AppTest.from_function(_cards, default_timeout=30).run()
    same, more, less = (metric.proto for metric in app.metric)
    proto = type(same)
    assert (same.color, same.direction) == (proto.MetricColor.GRAY, proto.MetricDirection.NONE)
    assert (more.color, more.direction) == (proto.MetricColor.GREEN, proto.MetricDirection.UP)
    assert (less.color, less.direction) == (proto.MetricColor.RED, proto.MetricDirection.DOWN)
