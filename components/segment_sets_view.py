"""Some segments beside one another: how they overlap, how two of them differ, and what they are together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import accumulate
from typing import Any
from unicodedata import east_asian_width

import pandas as pd
import streamlit as st

from components import (
    board_keep,
    charts,
    controls,
    data,
    format,
    page,
    places,
    segment_actions,
    segment_life,
    segment_view,
    tables,
    wording,
)
from db import rules, segment_sets, segments
from db.errors import Invalid
from db.permissions import Viewer
from db.rules import Group
from db.saved_segments import MOST_FROZEN
from db.segment_sets import DIFFERENCE, INTERSECTION, MOST_SETS, UNION, Overlap
from db.words import _

MOST_REGIONS, WIDEST = 12, 24


def draw(found: Mapping[str, tuple[str, Group]], *, viewer: Viewer, today: date) -> None:
    """Choose some of the segments (code → name and rule) and see them together."""
    with st.expander(_("Overlap, compare and combine segments"), icon=":material/join_inner:"):
        names = {code: name for code, (name, _rule) in found.items()}
        chosen = controls.several(
            "segments_sets",
            _("Segments, at most {n}").format(n=MOST_SETS),
            list(names),
            names.__getitem__,
            most=MOST_SETS,
            placeholder=_("Choose two or more"),
        )
        if len(chosen) < 2:
            st.caption(_("Choose two to {n} segments of the list.").format(n=MOST_SETS))
            return
        groups = [found[code][1] for code in chosen]
        written = tuple(rules.written(group) for group in groups)
        overlap = data.read(segment_sets.overlap, viewer=viewer, rules=written, today=today)
        called = [found[code][0] for code in chosen]
        left, right = st.columns([7, 5])
        with left:
            regions(overlap, called)
        with right:
            _combine(groups, written, overlap, called, viewer=viewer, today=today)
        if len(chosen) == 2:
            _compare(written, called, viewer=viewer, today=today)
        both = ("segments_overlap", "segments_compare") if len(chosen) == 2 else ("segments_overlap",)
        board_keep.button(viewer, "segments", charts=both)


def regions(found: Overlap, names: Sequence[str], *, key: str = "segments_regions") -> None:
    """Bars of the exact sizes of what overlaps: who is in exactly these and in no other of the chosen ones."""
    st.markdown("**" + _("Who is in exactly which · customers") + "**")
    if not found.regions:
        st.caption(_("Nobody is in any of them."))
        return
    shown, called = found.regions[:MOST_REGIONS], _apart(names)
    charts.bars(
        [" +\n".join(called[i] for i in region.of) for region in shown],
        [region.customers for region in shown],
        [_share(region.customers, found.everyone) for region in shown],
        key=key,
        alt=_("Customers who are in exactly these segments"),
    )
    if len(found.regions) > len(shown):
        st.caption(_("The first {n} of {total}.").format(n=len(shown), total=len(found.regions)))


def _short(name: str) -> str:
    """At most so wide; Chinese signs are twice as wide as Latin ones."""
    wide = list(accumulate(2 if east_asian_width(sign) in "WF" else 1 for sign in name))
    fits = sum(1 for at in wide if at <= WIDEST)
    return name if fits == len(name) else name[: fits - 1] + "…"


def _share(n: int, everyone: int) -> str:
    return f"{format.number(n)} · {format.percent(n / everyone)}" if everyone else format.number(n)


def _size(found: Overlap, operation: str) -> int:
    each = [region for region in found.regions if _within(region.of, operation, len(found.sizes))]
    return sum(region.customers for region in each)


def _within(of: tuple[int, ...], operation: str, n: int) -> bool:
    if operation == UNION:
        return True
    return len(of) == n if operation == INTERSECTION else of == (0,)


def _combine(
    groups: Sequence[Group],
    written: tuple[str, ...],
    found: Overlap,
    names: Sequence[str],
    *,
    viewer: Viewer,
    today: date,
) -> None:
    """A set of the chosen ones: how many, and keeping it as a rule or as a frozen segment."""
    st.markdown("**" + _("Combine them") + "**")
    named = {
        UNION: _("In any of them"),
        INTERSECTION: _("In all of them"),
        DIFFERENCE: _("Only in the first"),
    }
    operation = controls.switch("segments_set", _("How"), list(named), named.__getitem__, default=UNION, hidden=True)
    if operation == DIFFERENCE:
        st.caption(_("In “{name}” and in none of the others.").format(name=wording.plain(names[0])))
    n = _size(found, operation)
    st.metric(_("Customers"), format.number(n))
    rule = segment_sets.combined(operation, groups)
    try:
        rules.parse(rules.data_of(rule), {c.field.key: c.field for c in rules.conditions(rule)})
    except Invalid:
        st.caption(_("Together the rules are too long or too deep for a live segment; freeze the customers instead."))
    else:
        places.link("segment", _("Open as a rule"), icon=":material/open_in_full:", segment_rule=rules.written(rule))
    if not segment_life.may_freeze(viewer) or not n:
        return
    with st.popover(_("Freeze"), icon=":material/ac_unit:", key="segments_freeze"):
        values = segment_actions.form("segments_freeze_form", send=_("Freeze"))
    if values:
        form = values.pop("form")
        with page.guard():
            try:
                ids = data.read(
                    segment_sets.who,
                    viewer=viewer,
                    operation=operation,
                    rules=written,
                    today=today,
                    limit=MOST_FROZEN + 1,
                )
                segment_life.kept(ids, written, values, viewer=viewer, screen="segments")
            except Invalid as error:
                segment_actions.refused(form, error)


def _compare(written: tuple[str, ...], names: Sequence[str], *, viewer: Viewer, today: date) -> None:
    """Two side by side: count, share, and how each spreads."""
    both = [data.read(segments.explore, viewer=viewer, rule=rule, today=today) for rule in written]
    st.markdown("**" + _("Side by side · share of the segment's customers by") + "**")
    labels = segment_view.dimensions_of(segments.DIMENSIONS)
    by = controls.switch("segments_by", _("Cut by"), list(labels), labels.__getitem__, default="stage", hidden=True)
    side_by_side(both, names, by)


def side_by_side(both: Sequence[Any], names: Sequence[str], by: str) -> None:
    """Two segments, each as db.segments.explore gives it, and everyone by one dimension."""
    labels = segment_view.dimensions_of(segments.DIMENSIONS)
    frames = [found.spread[found.spread["dimension"] == by] for found in both]
    columns: dict[str, Any] = {labels[by]: [segment_view.value_name(by, value) for value in frames[0]["value"]]}
    for name, found, frame in zip(_apart(names), both, frames, strict=True):
        columns[f"{wording.plain(name)} ({format.number(found.customers)})"] = [
            format.percent(n / found.customers) if found.customers else "–" for n in frame["customers"]
        ]
    everyone = both[0].everyone
    columns[_("Everyone") + f" ({format.number(everyone)})"] = [
        format.percent(n / everyone) if everyone else "–" for n in frames[0]["everyone"]
    ]
    tables.small(pd.DataFrame(columns), right=list(columns)[1:])


def _apart(names: Sequence[str]) -> list[str]:
    """Names of which no two are alike: they head columns and stand beside bars."""
    shown = [_short(name) for name in names]
    return [f"{name} #{i}" if shown.count(name) > 1 else name for i, name in enumerate(shown, 1)]
