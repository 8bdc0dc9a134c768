"""The few kinds of charts that screens use, in the theme's colours and the user's language. Plotly is loaded late."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import streamlit as st

from components import format
from db.words import _

_BAND = {"color": "rgba(37, 99, 235, 0.16)", "other": "rgba(138, 148, 166, 0.22)"}
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


_CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "responsive": True}


def _draw(data: list[dict[str, Any]], layout: dict[str, Any], *, key: str, alt: str) -> None:
    """A figure as plain dicts: building go.Figure objects costs more than drawing them."""
    st.plotly_chart({"data": data, "layout": layout}, key=key, alt=alt, config=_CONFIG)


def _labels(names: Sequence[str]) -> list[str]:
    """What people entered, for a place where plotly would make links and bold letters of its tags."""
    return [name.replace("&", "&amp;").replace("<", "&lt;") for name in names]


# Names are never numbers or days to count along, whatever they look like.
_BY_NAME = {"type": "category", "autorange": "reversed", "fixedrange": True, "automargin": True, "ticksuffix": "  "}


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


def bars(
    names: Sequence[str],
    values: Sequence[float],
    texts: Sequence[str],
    *,
    key: str,
    alt: str,
    clickable: bool = False,
) -> int | None:
    """Horizontal bars in the given order, labelled directly, starting at zero; gives the position of a clicked one.

    A name may have several lines.
    """
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": [name.replace("\n", "<br>") for name in _labels(names)],
        "x": list(values),
        "text": list(texts),
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": BLUE},
        "hoverinfo": "skip",
    }
    top = max(values, default=0)
    tall = sum(18 + 15 * (1 + name.count("\n")) for name in names) if any("\n" in name for name in names) else 0
    layout = _layout(
        height=max(HEIGHT, tall),
        xaxis={"visible": False, "range": [0, top * 1.35 or 1], "fixedrange": True},
        yaxis=_BY_NAME,
        bargap=0.35,
    )
    if clickable:
        return _clicked(bar, layout, key=key, alt=alt)
    _draw([bar], layout, key=key, alt=alt)
    return None


def _clicked(bar: dict[str, Any], layout: dict[str, Any], *, key: str, alt: str) -> int | None:
    """Draw bars of which one may be clicked; gives its position."""
    bar |= {"hoverinfo": "none"}  # no label, but with "skip" a click would be none either
    layout |= {"hovermode": "closest", "clickmode": "event+select"}
    clicked = st.plotly_chart(
        {"data": [bar], "layout": layout}, key=key, alt=alt, config=_CONFIG, on_select="rerun", selection_mode="points"
    )
    points = clicked["selection"]["points"]
    return int(points[0]["point_index"]) if points else None


def compared(
    names: Sequence[str],
    shares: Sequence[float],
    others: Sequence[float],
    texts: Sequence[str],
    *,
    of_whom: str,
    others_of_whom: str,
    key: str,
    alt: str,
) -> None:
    """Shares of two groups, bar beside bar: the one that is looked at in colour and labelled, the other in grey."""
    shared: dict[str, Any] = {"type": "bar", "orientation": "h", "y": _labels(names), "hoverinfo": "skip"}
    data = [
        shared
        | {
            "x": list(shares),
            "name": of_whom,
            "text": list(texts),
            "textposition": "outside",
            "cliponaxis": False,
            "marker": {"color": BLUE},
        },
        shared | {"x": list(others), "name": others_of_whom, "marker": {"color": GREY}, "width": 0.22, "offset": 0.2},
    ]
    data[0] |= {"width": 0.42, "offset": -0.26}
    layout = _layout(
        height=44 * len(names) + 44,
        barmode="overlay",
        xaxis={"visible": False, "range": [0, (max([*shares, *others], default=0) or 1) * 1.45], "fixedrange": True},
        yaxis=_BY_NAME,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemclick": False},
    )
    _draw(data, layout, key=key, alt=alt)


SERIES = (BLUE, "#0D9488", "#D97706", "#8B5CF6", "#DB2777", "#64748B", "#65A30D", "#B91C1C")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "pentagon")


def points(
    x: Sequence[float],
    y: Sequence[float],
    groups: Sequence[int],
    middles: Sequence[tuple[float, float]],
    *,
    key: str,
    alt: str,
) -> None:
    """Points of groups, each with a colour and a sign of its own, and the number of each group, from 1, at its middle.

    Plotly leaves out what belongs to no group of `middles`.
    """
    data: list[dict[str, Any]] = []
    for group in range(len(middles)):
        at = [i for i, of in enumerate(groups) if of == group]
        marker = {"color": SERIES[group % len(SERIES)], "symbol": SYMBOLS[group % len(SYMBOLS)], "size": 5}
        where = {"x": [x[i] for i in at], "y": [y[i] for i in at]}
        data.append(
            {"type": "scatter", "mode": "markers", "marker": marker | {"opacity": 0.9}, "hoverinfo": "skip"} | where
        )
    notes = [
        {"x": a, "y": b, "text": f"<b>{i}</b>", "showarrow": False, "font": {"size": 15, "color": "#FFFFFF"}}
        | {"bgcolor": SERIES[(i - 1) % len(SERIES)], "borderpad": 4, "bordercolor": "#FFFFFF", "borderwidth": 1}
        for i, (a, b) in enumerate(middles, 1)
    ]
    hidden = {"showticklabels": False, "zeroline": False, "showgrid": False, "fixedrange": True}
    layout = _layout(height=340, hovermode=False, xaxis=hidden, yaxis=hidden, annotations=notes)
    _draw(data, layout, key=key, alt=alt)


def steps(names: Sequence[str], values: Sequence[int], texts: Sequence[str], *, key: str, alt: str) -> int | None:
    """The bars of a funnel, each as long as its part of the first; gives the position of the bar that was clicked."""
    top = max(values, default=0)
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": _labels(names),
        "x": list(values),
        "text": list(texts),
        "textposition": ["inside" if value > top * 0.55 else "outside" for value in values],
        "insidetextanchor": "start",
        "cliponaxis": False,
        "marker": {"color": BLUE},
        "hoverinfo": "skip",
    }
    layout = _layout(
        height=56 * len(names) + 24,
        xaxis={"visible": False, "range": [0, top * 1.02 or 1], "fixedrange": True},
        yaxis=_BY_NAME,
        bargap=0.25,
    )
    return _clicked(bar, layout, key=key, alt=alt)


def whiskers(
    names: Sequence[str],
    rates: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    texts: Sequence[str],
    *,
    key: str,
    alt: str,
    written: Callable[[float], str] = format.percent,
    others: Sequence[tuple[float, tuple[float, float]] | None] = (),
    level: float | None = None,
) -> None:
    """Rates as dots with their intervals as whiskers, in the given order, on one axis from zero.

    `others` are another group's, in grey and beside; `level` is where a line stands. A name may have two lines.
    """
    beside = {i: other for i, other in enumerate(others) if other}
    highs = [high for _low, high in intervals] + [interval[1] for _rate, interval in beside.values()]
    top = max([*highs, level or 0], default=0)
    places = [i - 0.14 if others else float(i) for i in range(len(names))]
    data = [_dots(places, rates, intervals, BLUE, "circle") | {"customdata": list(texts)}]
    data[0] |= {"hovertemplate": "%{customdata}<extra></extra>"}
    if beside:
        found = list(beside.values())
        grey = _dots([i + 0.2 for i in beside], [r for r, _i in found], [i for _r, i in found], GREY, "diamond")
        data.append(grey | {"hoverinfo": "skip"})
    line = {"type": "line", "x0": level, "x1": level, "y0": 0, "y1": 1, "yref": "paper"}
    shapes = [line | {"line": {"color": GREY, "width": 1, "dash": "dot"}}] if level is not None else []
    step = _round_step(top / 4) if top > 0 else 0.25
    marks = [step * i for i in range(int(top * 1.04 / step) + 1)]
    layout = _layout(
        height=(36 if any("\n" in name for name in names) else 26) * len(names) + 44,
        hovermode="closest",
        shapes=shapes,
        xaxis={
            "range": [0, top * 1.04 or 1],
            "tickvals": marks,
            "ticktext": [written(mark) for mark in marks],
            "fixedrange": True,
            "zeroline": False,
        },
        yaxis={
            "tickvals": list(range(len(names))),
            "ticktext": [name.replace("\n", "<br>") for name in _labels(names)],
            "range": [len(names) - 0.4, -0.6],
            "fixedrange": True,
            "automargin": True,
            "ticksuffix": "  ",
            "showgrid": False,
            "zeroline": False,
        },
    )
    _draw(data, layout, key=key, alt=alt)


def _dots(
    places: Sequence[float],
    rates: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    colour: str,
    symbol: str,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "y": list(places),
        "x": list(rates),
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [high - rate for rate, (_low, high) in zip(rates, intervals, strict=True)],
            "arrayminus": [rate - low for rate, (low, _high) in zip(rates, intervals, strict=True)],
            "color": GREY,
            "thickness": 1.5,
            "width": 4,
        },
        "marker": {"color": colour, "size": 9, "symbol": symbol},
    }


def columns(names: Sequence[str], values: Sequence[float], texts: Sequence[str], *, key: str, alt: str) -> None:
    """Upright bars over equal steps of time, few of them named."""
    step = math.ceil(len(names) / 6) or 1
    places = list(range(len(names)))
    bar = {
        "type": "bar",
        "x": places,
        "y": list(values),
        "marker": {"color": BLUE},
        "customdata": list(texts),
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    layout = _layout(
        height=220,
        bargap=0.15,
        hovermode="closest",
        xaxis={
            "tickvals": places[::step],
            "ticktext": _labels(names)[::step],
            "showgrid": False,
            "tickangle": 0,
            "fixedrange": True,
        },
        yaxis=_axis(max(values, default=0)),
    )
    _draw([bar], layout, key=key, alt=alt)


def course(
    days: Sequence[date],
    sizes: Sequence[int],
    came: Sequence[int],
    went: Sequence[int],
    *,
    names: tuple[str, str, str],
    key: str,
    alt: str,
) -> None:
    """A size by day as a line from zero; below it who came (upwards) and who went (downwards). `names` of the three."""
    step = math.ceil(len(days) / 6) or 1
    places = list(range(len(days)))
    top = max([*came, *went], default=0) or 1
    texts = [
        f"{format.day(day)}<br>{names[0]}: {format.number(size)}<br>{names[1]}: {format.number(a)}"
        f"<br>{names[2]}: {format.number(b)}"
        for day, size, a, b in zip(days, sizes, came, went, strict=True)
    ]
    hover = {"customdata": texts, "hovertemplate": "%{customdata}<extra></extra>"}
    line = {"type": "scatter", "mode": "lines+markers" if len(days) == 1 else "lines", "x": places, "y": list(sizes)}
    bar: dict[str, Any] = {"type": "bar", "x": places, "yaxis": "y2", "hoverinfo": "skip"}
    data = [
        line | hover | {"line": {"color": BLUE, "width": 2}},
        bar | {"y": list(came), "marker": {"color": BLUE}},
        bar | {"y": [-n for n in went], "marker": {"color": GREY}},
    ]
    layout = _layout(
        height=HEIGHT + 60,
        barmode="relative",
        hovermode="x",
        xaxis={
            "fixedrange": True,
            "tickvals": places[::step],
            "ticktext": [format.short_day(days[i]) for i in places[::step]],
            "anchor": "y2",
        },
        yaxis=_axis(float(max(sizes, default=0))) | {"domain": [0.38, 1]},
        yaxis2={
            "fixedrange": True,
            "domain": [0, 0.26],
            "range": [-top * 1.1, top * 1.1],
            "tickvals": [-top, 0, top],
            "ticktext": [format.compact(top), "0", format.compact(top)],
        },
    )
    _draw(data, layout, key=key, alt=alt)


@dataclass(frozen=True)
class Line:
    """One curve of shares: `x`, `shares`, what hovering says of each, and the intervals where they are known."""

    name: str
    x: Sequence[float]
    shares: Sequence[float]
    texts: Sequence[str]
    intervals: Sequence[tuple[float, float]] = ()


def curves(
    lines: Sequence[Line], *, marks: Sequence[tuple[float, str]], key: str, alt: str, steps: bool = False
) -> None:
    """Shares over one axis: the first line in colour, the other in grey and dotted, each with its band of intervals.

    `marks` are the places and words of the axis below. With `steps` a share holds until the next one.
    """
    data: list[dict[str, Any]] = []
    for i, line in enumerate(lines[:2]):
        drawn = {"color": GREY if i else BLUE, "width": 2 if i else 2.5, "shape": "hv" if steps else "linear"}
        edge = {"width": 0, "shape": drawn["shape"]}
        shared = {"type": "scatter", "mode": "lines", "x": list(line.x)}
        if line.intervals:
            quiet = shared | {"line": edge, "hoverinfo": "skip", "showlegend": False}
            data.append(quiet | {"y": [low for low, _high in line.intervals]})
            band = {"fill": "tonexty", "fillcolor": _BAND["other" if i else "color"]}
            data.append(quiet | band | {"y": [high for _low, high in line.intervals]})
        data.append(
            shared
            | {
                "y": list(line.shares),
                "name": _labels([line.name])[0],
                "mode": "lines" if steps or len(line.x) > 40 else "lines+markers",
                "line": drawn | ({"dash": "dot"} if i else {}),
                "marker": {"size": 5},
                "customdata": list(line.texts),
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        )
    highs = [high for line in lines for _low, high in line.intervals]
    top = max([*highs, *(share for line in lines for share in line.shares if not format.unknown(share))], default=0)
    step = _round_step(top / 4) if top > 0 else 0.25
    ticks = [step * i for i in range(math.ceil(round(top / step, 6)) + 1)]
    places = [place for place, _text in marks]
    layout = _layout(
        height=HEIGHT + 40,
        xaxis={
            "tickvals": places,
            "ticktext": [text for _place, text in marks],
            "showgrid": False,
            "fixedrange": True,
            "tickangle": 0,
            "range": [min(places, default=0) - 0.02 * _width(places), max(places, default=1) + 0.03 * _width(places)],
        },
        yaxis={
            "fixedrange": True,
            "range": [0, max(top, ticks[-1]) * 1.04 or 1],
            "tickvals": ticks,
            "ticktext": [f"{mark * 100:g}%" for mark in ticks],
        },
        showlegend=len(lines) > 1,
        # Bands filled between lines would turn the order around.
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemclick": False, "traceorder": "normal"},
        hovermode="x unified" if len(lines) > 1 else "closest",
    )
    _draw(data, layout, key=key, alt=alt)


def _width(places: Sequence[float]) -> float:
    return (max(places) - min(places) if places else 0) or 1
