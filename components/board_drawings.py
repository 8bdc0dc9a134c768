"""How each chart of db/board_charts.py is drawn on a card: asked anew, with the rights of whoever looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import streamlit as st

from analytics import affinity as pairing
from analytics import cohorts as arithmetic
from analytics import flows as flowing
from analytics import survival
from components import (
    affinity_view,
    cluster_view,
    cohorts_view,
    data,
    explorer_view,
    flows_view,
    format,
    page,
    repeats_view,
    segment_life,
    segment_sets_view,
    segment_view,
    wording,
)
from components.explorer_view import Whose
from db import (
    affinity,
    board_charts,
    campaigns,
    cluster_figures,
    cluster_values,
    clusters,
    cohorts,
    flows,
    repeats,
    segment_moves,
    segment_sets,
    segment_spread,
    segments,
)
from db.errors import NotFound
from db.permissions import Viewer
from db.segment_moves import COURSES
from db.words import _, ngettext

LEAST = 10
"""Customers whom a curve of repeat purchases rests on at least, as on its screen."""


@dataclass(frozen=True)
class Asked:
    """What a card is asked to draw: `params` of the chart's screen, the `key` of its widget, and whether the card takes
    a whole row."""

    viewer: Viewer
    today: date
    currency: str
    key: str
    chart: str
    params: Mapping[str, str]
    wide: bool = False

    def choice(self, name: str, known: Sequence[str], usual: str) -> str:
        """A parameter, where it is one of the known values."""
        found = self.params.get(name, usual)
        return found if found in known else usual

    @cached_property
    def groups(self) -> tuple[Whose, ...]:
        """Everyone or the segments, in their order. Raises NotFound for what is not the viewer's."""
        chart, known = board_charts.CHARTS[self.chart], explorer_view.known(self.viewer)
        codes = list(board_charts.codes(chart, self.params))
        if chart.segments and not chart.must:
            of, *against = (self.params.get(name, "") for name in chart.segments)
            codes = list(dict.fromkeys([of or board_charts.EVERYONE, *filter(None, against)]))
        if any(code not in known for code in codes):
            raise NotFound(
                _("A segment of this chart cannot be counted with your rights, or its rule cannot be read any more.")
            )
        return tuple(known[code] for code in codes)

    @property
    def question(self) -> dict[str, Any]:
        """Who asks, and when."""
        return {"viewer": self.viewer, "today": self.today}


def draw(asked: Asked) -> None:
    """The chart below a line that says of whom it is, what was chosen, and how fresh it is."""
    above = st.empty()
    above.caption(wording.line(*DRAWN[asked.chart](asked)))


def _whose(asked: Asked) -> str:
    of, *against = asked.groups
    return explorer_view.named(of, against[0] if against else None)


def _span(asked: Asked, screen: str) -> str:
    return asked.choice(f"{screen}_span", explorer_view.SPANS, explorer_view.SPANS[1])


# --- cohorts and repeat purchases ------------------------------------------------------------------------------------


def _triangles(asked: Asked) -> tuple[dict[str, Any], cohorts.Cohorts, str, list[str]]:
    span, measures = _span(asked, "cohorts"), cohorts_view.measures()
    of_what = asked.choice("cohorts_measure", list(measures), "customers")
    found = [data.read(cohorts.cohorts, rule=each.rule, months=int(span), **asked.question) for each in asked.groups]
    made = {
        whose.name: arithmetic.triangle(each.rows, of_what, cohorts=each.months, until=asked.today)
        for whose, each in zip(asked.groups, found, strict=True)
    }
    fresh = wording.freshness(found[0].waiting_since)
    return made, found[0], of_what, [_whose(asked), explorer_view.spans()[span], measures[of_what], fresh]


def _cohorts(asked: Asked) -> list[str]:
    made, found, of_what, said = _triangles(asked)
    unit = asked.choice("cohorts_unit", list(cohorts_view.units()), "percent")
    first_known = found.first_known or asked.today
    cohorts_view.triangle(
        next(iter(made.values())),
        percent=unit == "percent",
        written=lambda value: format.short(value, "money" if of_what == "revenue" else "count", asked.currency),
        first=_("First month"),
        unknown=found.unknown,
        first_known=first_known,
        key=asked.key,
        counted=of_what == "customers",
        clickable=False,
    )
    st.caption(_("“…”: the month is not over."))
    return said


def _cohorts_curve(asked: Asked) -> list[str]:
    made, _found, of_what, said = _triangles(asked)
    counted = of_what == "customers"
    points = {name: arithmetic.curve(each, counted=counted) for name, each in made.items()}
    cohorts_view.curve(points, counted=counted, key=asked.key, beside=False)
    return said


def _repeats(asked: Asked) -> list[str]:
    span, steps = _span(asked, "repeats"), repeats_view.steps()
    step = asked.choice("repeats_step", list(steps), "1")
    more = {"step": int(step), "months": int(span), **asked.question}
    found = {each.name: data.read(repeats.waits, rule=each.rule, **more) for each in asked.groups}
    curves = {name: survival.kaplan_meier(each.rows, least=LEAST) for name, each in found.items()}
    told = {name: (each, survival.median_wait(each), ()) for name, each in curves.items()}
    sizes = {name: int(each.rows["customers"].sum()) for name, each in found.items()}
    repeats_view.curve(told, sizes, least=LEAST, key=asked.key, beside=False)
    first = next(iter(found.values()))
    if first.unknown and first.known_from:
        st.caption(repeats_view.left_out(first.unknown, first.known_from))
    return [_whose(asked), explorer_view.spans()[span], steps[step], wording.freshness(first.waiting_since)]


def _intervals(asked: Asked) -> list[str]:
    found = {each.name: data.read(repeats.intervals, rule=each.rule, **asked.question) for each in asked.groups}
    edges = list(repeats_view.EDGES)
    binned = {
        name: (
            survival.binned(each.rows["days"], each.rows["intervals"], edges),
            survival.weighted_median(each.rows["days"], each.rows["intervals"]),
        )
        for name, each in found.items()
    }
    repeats_view.intervals(binned, key=asked.key)
    made = next(iter(found.values())).made_at
    zone = page.settings().time_zone
    return [_whose(asked), _("of all time"), _("as of {time}").format(time=format.instant(made, zone)) if made else ""]


# --- pairs and flows -------------------------------------------------------------------------------------------------


def _turned(asked: Asked, screen: str) -> list[Whose]:
    """The groups, the one first whose table is chosen."""
    groups = list(asked.groups)
    return groups[::-1] if asked.choice(f"{screen}_side", ("of", "against"), "of") == "against" else groups


def _affinity(asked: Asked) -> list[str]:
    spans, shares, orders = affinity_view.spans(), affinity_view.shares(), affinity_view.orders()
    span = asked.choice("affinity_span", list(spans), affinity_view.USUAL_SPAN)
    share = asked.choice("affinity_least", list(shares), next(iter(shares)))
    by = asked.choice("affinity_by", list(orders), next(iter(orders)))
    groups = _turned(asked, "affinity")
    found = [data.read(affinity.affinity, rule=each.rule, months=int(span), **asked.question) for each in groups]
    category = asked.choice("affinity_category", list(found[0].categories), "")
    pairs, *others = [pairing.pairs(each.rows, each.orders) for each in found]
    of_category = [p for p in pairs if category in ("", p.first, p.second)]
    kept = pairing.kept(of_category, support=int(share) / 1000, together=affinity_view.LEAST)
    if kept:
        beside = {affinity_view.code(p): p for p in others[0]} if others else {}
        names = [wording.plain(each.name) for each in groups]
        against = names[1] if others else ""
        affinity_view.chart(pairing.ranked(kept, by), beside, of=names[0], against=against, key=asked.key)
    else:
        st.caption(_("No pair is in so many orders: choose a smaller share."))
    with_category = _("with {category}").format(category=wording.plain(category.title())) if category else ""
    said = [shares[share], orders[by], with_category, wording.freshness(found[0].waiting_since)]
    return [explorer_view.named(groups[0], groups[1] if others else None), spans[span], *said]


def _flowing(asked: Asked) -> tuple[str, tuple[date, ...], list[str]]:
    """The kind of class, the days (none where none are known yet), and what the line above says of them."""
    kinds = flows_view.kinds()
    by = asked.choice("flows_by", list(kinds), "stage")
    known = data.read(flows.days, viewer=asked.viewer)
    days, _few = flows_view.days_of(known, asked.params.get("flows_days", "").split(","))
    named = " → ".join(flows_view.day_name(day, asked.today) for day in days)
    said = [kinds[by], named, wording.freshness(known.waiting_since)]
    if len(days) < 2:
        st.caption(flows_view.none_yet())
        return by, (), said
    return by, days, said


def _flows(asked: Asked) -> list[str]:
    by, days, said = _flowing(asked)
    whose = _turned(asked, "flows")[0]
    if days:
        found = data.read(flows.flows, by=by, days=days, rule=whose.rule, **asked.question)
        states, last = ("", *flows.states(by)), len(days) - 1
        with st.container(key=f"kehu_wide_{asked.key}"):
            steps = flowing.steps(found.rows, len(days), states)
            flows_view.picture(by, steps, days, asked.today, key=f"{asked.key}_picture")
            st.caption(_("Grey: stayed."))
        with st.container(key=f"kehu_narrow_{asked.key}"):
            whole = flowing.step(found.rows, "day_0", f"day_{last}", states)
            flows_view.lines(by, whole)
            between = " → ".join(flows_view.day_name(days[at], asked.today) for at in (0, last))
            heading = _("From which class to which · customers and share of the class before · {between}")
            st.caption(heading.format(between=between))
    return [wording.plain(whose.name), *said]


def _flows_moves(asked: Asked) -> list[str]:
    by, days, said = _flowing(asked)
    if days:
        states, steps = ("", *flows.states(by)), {}
        for each in asked.groups:
            found = data.read(flows.flows, by=by, days=(days[0], days[-1]), rule=each.rule, **asked.question)
            steps[each.name] = flowing.step(found.rows, "day_0", "day_1", states)
        flows_view.said(by, steps)
        said[1] = " → ".join(flows_view.day_name(day, asked.today) for day in (days[0], days[-1]))
    return [_whose(asked), *said]


# --- clusters and segments -------------------------------------------------------------------------------------------


def _fresh(asked: Asked) -> str:
    return wording.freshness(data.read(campaigns.waiting_since, viewer=asked.viewer))


def _clusters(asked: Asked) -> list[str]:
    kept = {str(each.id): each for each in data.read(clusters.kept, viewer=asked.viewer)}
    model = kept.get(asked.params.get(board_charts.CLUSTERS, ""))
    if model is None:
        raise NotFound(_(board_charts.PROBLEMS["clusters gone"]))
    plain = dict(cluster_values.data_of(model))
    whose = explorer_view.called(model.of, asked.viewer) if model.of else None
    if model.of and whose is None:
        raise NotFound(_(board_charts.PROBLEMS["segment gone"]))
    rows = data.read(cluster_figures.profile, model=plain, rule=whose.rule if whose else "", **asked.question)
    cluster_view.averages(rows, model, currency=asked.currency, key=f"{asked.key}_averages", wide=asked.wide)
    among = _("averages of customers with orders in “{name}”").format(name=wording.plain(whose.name)) if whose else ""
    return [wording.plain(model.name), among or _("averages of all customers with orders"), _fresh(asked)]


def _spread(asked: Asked) -> list[str]:
    whose = asked.groups[0]
    by = asked.choice("segment_by", (*segments.DIMENSIONS, *segment_spread.MORE), "stage")
    found = data.read(segments.explore, rule=whose.rule, **asked.question)
    if by in segment_spread.MORE:
        rows = data.read(segment_spread.spread, rule=whose.rule, by=by, **asked.question)
    else:
        rows = found.spread[found.spread["dimension"] == by]
    segment_view.bars(found, by, rows, key=asked.key)
    n = ngettext("{n} customer", "{n} customers", found.customers).format(n=format.number(found.customers))
    return [wording.plain(whose.name), n, segment_view.dimensions_of([by])[by], _fresh(asked)]


def _size(asked: Asked) -> list[str]:
    whose, number = asked.groups[0], int(asked.params["id"])
    days = asked.choice("segment_days", [str(n) for n in COURSES], str(COURSES[0]))
    state = data.read(segment_moves.state, segment_id=number, **asked.question)
    said = [wording.plain(whose.name), _("{n} days").format(n=days)]
    zone = page.settings().time_zone
    if state.began_at is None:
        st.caption(_("Nothing is recorded of its members over time."))
        return said
    segment_life.members(
        data.read(segment_moves.course, segment_id=number, days=int(days), **asked.question), key=asked.key
    )
    return [*said, segment_life.currency(state, zone)]


def _overlap(asked: Asked) -> list[str]:
    written = tuple(each.rule for each in asked.groups)
    found = data.read(segment_sets.overlap, rules=written, **asked.question)
    segment_sets_view.regions(found, [each.name for each in asked.groups], key=asked.key)
    return [wording.plain(wording.listed(each.name for each in asked.groups)), _fresh(asked)]


def _compare(asked: Asked) -> list[str]:
    two = asked.groups[:2]
    by = asked.choice("segments_by", segments.DIMENSIONS, "stage")
    both = [data.read(segments.explore, rule=each.rule, **asked.question) for each in two]
    segment_sets_view.side_by_side(both, [each.name for each in two], by)
    return [wording.plain(wording.listed(each.name for each in two)), _fresh(asked)]


DRAWN: Mapping[str, Callable[[Asked], list[str]]] = {
    "cohorts": _cohorts,
    "cohorts_curve": _cohorts_curve,
    "repeats": _repeats,
    "repeats_intervals": _intervals,
    "affinity": _affinity,
    "flows": _flows,
    "flows_moves": _flows_moves,
    "clusters": _clusters,
    "segment_spread": _spread,
    "segment_size": _size,
    "segments_overlap": _overlap,
    "segments_compare": _compare,
}
"""Code of a chart → what draws it and gives the parts of the line above it."""
