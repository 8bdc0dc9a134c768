"""The charts that a board can keep: each of a screen, with the parameters of its address that tell what it shows.

Whoever adds a chart declares it here and says in components/board_drawings.py how it is drawn; its screen then calls
components/board_keep.py for the button.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db import text
from db.errors import Invalid
from db.words import N_, _

MOST_VALUE = 200
"""Characters of one parameter."""
EVERYONE = "everyone"
CLUSTERS = "clusters_kept"
"""The parameter that names kept clusters by their number."""
PROBLEMS: Mapping[str, str] = {
    "chart": N_("This version of Kehu does not know the chart."),
    "segment gone": N_("A segment of this chart is not there any more, or is not shared with you."),
    "segment archived": N_("A segment of this chart is archived. The chart is back once it is put back on the list."),
    "clusters gone": N_("The clusters of this chart are not there any more."),
    "clusters archived": N_("The clusters of this chart were taken off the list."),
}
"""Why a card shows no chart."""
_SAVED = re.compile(r"s([0-9]{1,18})")


@dataclass(frozen=True)
class Chart:
    """One chart of `screen`. `params` are choices; `segments` are parameters that name segments, by the codes that
    screens use: "s12", a ready-made one's, several with commas; `must` of them stand in it at least."""

    screen: str
    name: str
    params: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    must: int = 0


def _explored(screen: str, name: str, *params: str) -> Chart:
    """Of a screen that shows everyone or a segment, and may show another one against it."""
    choices = tuple(f"{screen}_{param}" for param in params)
    return Chart(screen, name, choices, (f"{screen}_segment", f"{screen}_against"))


CHARTS: Mapping[str, Chart] = {
    "cohorts": _explored("cohorts", N_("Cohorts by month"), "span", "measure", "unit"),
    "cohorts_curve": _explored("cohorts", N_("All cohorts together"), "span", "measure", "unit"),
    "repeats": _explored("repeats", N_("Share that bought again"), "span", "step"),
    "repeats_intervals": _explored("repeats", N_("Days between two purchases"), "span", "step"),
    "affinity": _explored("affinity", N_("Lift of pairs"), "span", "least", "by", "category", "side"),
    "flows": _explored("flows", N_("Classes on each day"), "by", "days", "side"),
    "flows_moves": _explored("flows", N_("Largest moves between classes"), "by", "days"),
    "clusters": Chart("clusters", N_("Clusters and their averages"), (CLUSTERS, "clusters_by", "clusters_method")),
    "segment_spread": Chart("segment", N_("Against everyone"), ("segment_by",), ("id", "segment_ready"), must=1),
    "segment_size": Chart("segment", N_("Members over time"), ("segment_days",), ("id",), must=1),
    "segments_overlap": Chart(
        "segments", N_("Overlap"), ("segments_kind", "segments_group"), ("segments_sets",), must=2
    ),
    "segments_compare": Chart(
        "segments", N_("Side by side"), ("segments_kind", "segments_group", "segments_by"), ("segments_sets",), must=2
    ),
}


def of_screen(screen: str) -> dict[str, Chart]:
    """Code → chart of those that this screen shows."""
    return {code: chart for code, chart in CHARTS.items() if chart.screen == screen}


def taking_segments() -> tuple[str, ...]:
    """The screens that show any one segment, by the parameter `<screen>_segment`."""
    found = (c.screen for c in CHARTS.values() if f"{c.screen}_segment" in c.segments)
    return tuple(dict.fromkeys(found))


def checked(chart: Any, params: Any) -> dict[str, str]:
    """What is kept of a chart's parameters, without empty ones. Raises Invalid.

    Whether its segments are there is not asked: they may be gone tomorrow, and another reader may not see them.
    """
    found = CHARTS.get(chart) if isinstance(chart, str) else None
    if found is None:
        raise Invalid(_("This chart is not known. Open its screen and keep it from there."))
    names = (*found.params, *found.segments)
    if not isinstance(params, Mapping) or any(
        name not in names or not isinstance(value, str) or len(value) > MOST_VALUE for name, value in params.items()
    ):
        raise Invalid(_("What this chart shows cannot be kept. Open its screen and keep it from there."))
    kept = {name: text.clean(value) for name, value in params.items()}
    kept = {name: value for name, value in kept.items() if value}
    if len(codes(found, kept)) < found.must:
        raise Invalid(_("A board keeps what is shown of saved and ready-made segments. Save the segment first."))
    return kept


def codes(chart: Chart, params: Mapping[str, str]) -> tuple[str, ...]:
    """The codes of the segments that a chart is about, "s12" for saved ones, in their order."""
    found: list[str] = []
    for name in chart.segments:
        for value in params.get(name, "").split(","):
            if value and value != EVERYONE:
                found.append(f"s{value}" if name == "id" else value)
    return tuple(dict.fromkeys(found))


def number_of(code: str) -> int | None:
    """The number of a saved segment, by its code; None for any other code."""
    found = _SAVED.fullmatch(code)
    return int(found[1]) if found else None
