"""The segments there are: ready-made, one's own, and those that colleagues share, each with its exact count."""

from __future__ import annotations

import streamlit as st

from components import (
    controls,
    data,
    explain,
    page,
    places,
    segment_choices,
    segment_list,
    segment_sets_view,
    tables,
    wording,
)
from db import campaigns, ready_segments, rules, saved_segments, segments
from db.metrics import SEGMENT_METRICS
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.SEGMENTS_READ)

PAGE = 20
settings, today = page.settings(), page.today()
kinds = {"": _("All"), "mine": _("Mine"), "shared": _("Shared"), "ready": _("Ready-made"), "archived": _("Archived")}
top = st.container()
kind = controls.switch("segments_kind", _("Kind"), list(kinds), kinds.__getitem__, default="")

everything = kept = data.read(saved_segments.saved, viewer=viewer, archived=kind == "archived")
if kind in ("mine", "shared"):
    kept = tuple(one for one in kept if (one.owner_id == viewer.user_id) == (kind == "mine"))
kept = () if kind == "ready" else kept
which = st.container()
narrowed = segment_list.narrowing(kept)
# Beside the saved ones the stages alone: the many others would hide them. Words look through all of them.
group = "stages"
if kind == "ready" and not narrowed.words:
    groups = {code: _(name) for code, name in ready_segments.GROUPS.items()}
    with which:
        group = controls.switch("segments_group", _("Which"), list(groups), groups.__getitem__, default=group)
ready = ready_segments.every() if kind in ("", "ready") else {}
offered = {code: one for code, one in ready.items() if narrowed.words or one.group == group}
found = segment_list.rows(kept, offered, narrowed)

fresh = wording.freshness(data.read(campaigns.waiting_since, viewer=viewer))
counted = _("Counted exactly, now, among your customers") if viewer.scoped else _("Counted exactly, now")
with top, page.heading(_("Segments"), explain.context(viewer, counted, fresh, wording.demo(settings.demo_days))):
    explain.share(viewer)
    explain.about(SEGMENT_METRICS.values(), filters=wording.line(kinds[kind], narrowed.said), fresh=fresh)
    if st.button(_("New segment"), icon=":material/add:", type="primary", key="segments_new"):
        places.go("segment")
if not found:
    st.info(segment_list.nothing(narrowed))
    st.stop()

number = min(controls.page_number("segments_page", f"{kind} {group} {narrowed}"), -(-len(found) // PAGE))
shown = found[(number - 1) * PAGE : number * PAGE]
written = (*(row.written for row in shown), rules.written(rules.EVERYONE))
*counted, everyone = data.read(segments.counts, viewer=viewer, rules=written, today=today)
counts = [None if row.one and row.one.problem else n for n, row in zip(counted, shown, strict=True)]
frame = segment_list.frame(shown, counts, everyone, zone=settings.time_zone)
height = tables.height(len(frame), PAGE)
picked = tables.pick_row(frame, segment_list.columns(shown), key="segments_list", widths=(8, 4), height=height)
with picked.below, st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
    most = saved_segments.MOST_SAVED
    cut = _("at most {n} kept ones: one's own first, then by name").format(n=most) if len(everything) == most else ""
    st.caption(wording.line(tables.position((number - 1) * PAGE, len(shown), len(found)), cut), width="content")
    if picked.row is None:
        st.caption(_("Click a row to see the rule."), width="content")
    controls.turner("segments_page", number, -(-len(found) // PAGE))
if picked.row is not None:
    with picked.beside:
        segment_list.card(shown[picked.row], counts[picked.row], viewer=viewer)
# Of all that are of this kind: what was chosen of them stays chosen while another is looked for.
named = segment_list.by_code(segment_list.rows(kept, ready, segment_list.NOTHING))
readable = {code: one for code, one in named.items() if not segment_choices.hidden(one[1], viewer)}
segment_sets_view.draw(readable, viewer=viewer, today=today)
