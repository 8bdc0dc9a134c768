"""The card of one figure: name, value, change against the period before, sparkline, and its definition on hover."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from components import format
from components.format import Value
from db.words import _


def change(value: Value, before: Value, unit: str) -> str | None:
    """'+3.2%' against the value before; percentage points for rates; None where either is unknown or it was zero."""
    if value is None or before is None or format.unknown(value) or format.unknown(before):
        return None
    if unit == "rate":
        points = (float(value) - float(before)) * 100
        return _("{change} points").format(change=_signed(points))
    return _signed((float(value) - float(before)) / float(before) * 100) + "%" if before else None


def _signed(change: float) -> str:
    """With its sign; what is none when it is rounded has none."""
    return "0.0" if abs(change) < 0.05 else f"{change:+.1f}"


def figure(
    name: str,
    value: Value,
    *,
    unit: str,
    currency: str,
    before: Value = None,
    better: str = "up",
    definition: str,
    trend: Sequence[float] = (),
) -> None:
    """Draw the card. The value is shortened by unit so that it is never cut; hovering tells it in full."""
    delta = change(value, before, unit)
    same = delta is not None and delta.startswith("0.0")
    told = [definition, _("Exactly: {value}").format(value=format.exact(value, unit, currency))]
    if delta:
        told.append(_("The period before: {value}").format(value=format.exact(before, unit, currency)))
    known = [float(v) for v in trend if not format.unknown(v)]
    st.metric(
        name,
        format.short(value, unit, currency),
        delta,
        delta_color="off" if same else "normal" if better == "up" else "inverse",
        delta_arrow="off" if same else "auto",
        help="\n\n".join(told),
        border=True,
        chart_data=known if len(known) > 1 else None,
        height="stretch",
    )
