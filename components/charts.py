"""The few kinds of charts that screens use, in the theme's colours and the user's language. Plotly is loaded late."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import streamlit as st

from components import format
from db.words import _

BLUE = "#2563EB"
GREY = "#8A94A6"
HEIGHT = 260


def _layout(**more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "height": HEIGHT,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "showlegend": False,
        "hovermode": "x unified",
        "hoverlabel": {"namelength": -1},
        "dragmode": False,
    }
    return base | more


def _draw(data: list[dict[str, Any]], layout: dict[str, Any], *, key: str, alt: str) -> None:
    """A figure as plain dicts: building go.Figure objects costs more than drawing them."""
    st.plotly_chart(
        {"data": data, "layout": layout},
        key=key,
        alt=alt,
        config={"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "responsive": True},
    )


def over_time(
    buckets: Sequence[date],
    values: Sequence[float],
    texts: Sequence[str],
    *,
    before: Sequence[float],
    before_texts: Sequence[str],
    bucket: str,
    name: str,
    key: str,
) -> None:
    """A line over days, weeks or months, and the period before in grey where the data reaches."""
    step = math.ceil(len(buckets) / (5 if bucket == "month" else 6)) or 1
    places = list(range(len(buckets)))
    data: list[dict[str, Any]] = []
    if any(not format.unknown(v) for v in before):
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": places,
                "y": list(before),
                "name": _("Period before"),
                "line": {"color": GREY, "width": 1.5, "dash": "dot"},
                "customdata": list(before_texts),
                "hovertemplate": "%{customdata}",
            }
        )
    data.append(
        {
            "type": "scatter",
            "mode": "lines+markers" if len(buckets) <= 31 else "lines",
            "x": places,
            "y": list(values),
            "name": name,
            "line": {"color": BLUE, "width": 2.5},
            "marker": {"size": 5},
            "customdata": list(texts),
            "hovertemplate": "%{customdata}",
        }
    )
    shown = places[::step]
    top = max((v for v in [*values, *before] if not format.unknown(v)), default=0)
    layout = _layout(
        xaxis={
            "tickvals": shown,
            "ticktext": [format.short_day(buckets[i], bucket) for i in shown],
            "showgrid": False,
            "tickangle": 0,
            "fixedrange": True,
            "range": [-0.3, max(len(places) - 0.7, 0.3)],
        },
        yaxis=_axis(top),
    )
    _draw(data, layout, key=key, alt=name)


def _axis(top: float) -> dict[str, Any]:
    """From zero to a little above the top, three to five round marks, written as the language shortens numbers."""
    step = _round_step(top / 4) if top > 0 else 1.0
    marks = [step * i for i in range(int(top * 1.08 / step) + 1)]
    return {
        "fixedrange": True,
        "range": [0, top * 1.08 or 1],
        "tickvals": marks,
        "ticktext": [format.compact(mark) for mark in marks],
    }


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough)


def bars(names: Sequence[str], values: Sequence[float], texts: Sequence[str], *, key: str, alt: str) -> None:
    """Horizontal bars in the given order, labelled directly, starting at zero."""
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "y": list(names),
            "x": list(values),
            "text": list(texts),
            "textposition": "outside",
            "cliponaxis": False,
            "marker": {"color": BLUE},
            "hoverinfo": "skip",
        }
    ]
    top = max(values, default=0)
    layout = _layout(
        xaxis={"visible": False, "range": [0, top * 1.35 or 1], "fixedrange": True},
        yaxis={"autorange": "reversed", "fixedrange": True, "automargin": True, "ticksuffix": "  "},
        bargap=0.35,
    )
    _draw(data, layout, key=key, alt=alt)
