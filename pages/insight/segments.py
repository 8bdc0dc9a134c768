"""The segments there are: ready-made, one's own, and those that colleagues share, each with its exact count."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from components import (
    controls,
    data,
    explain,
    explorer_view,
    format,
    page,
    places,
    segment_choices,
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
found = [] if kind == "ready" else [(one.name, one.rule, {"id": str(one.id)}, one) for one in kept]
# Beside the saved ones the stages alone: the many others would hide them.
group = "stages"
if kind == "ready":
    groups = {code: _(name) for code, name in ready_segments.GROUPS.items()}
    group = controls.switch("segments_group", _("Which"), list(groups), groups.__getitem__, default=group)
if kind in ("", "ready"):
    ready = {code: one for code, one in ready_segments.every().items() if one.group == group}
    found += [(one.name, one.rule, {"segment_ready": code}, None) for code, one in ready.items()]

fresh = wording.freshness(data.read(campaigns.waiting_since, viewer=viewer))
counted = _("Counted exactly, now, among your customers") if viewer.scoped else _("Counted exactly, now")
with top, page.heading(_("Segments"), explain.context(viewer, counted, fresh, wording.demo(settings.demo_days))):
    explain.share(viewer)
    explain.about(SEGMENT_METRICS.values(), filters=kinds[kind], fresh=fresh)
    if st.button(_("New segment"), icon=":material/add:", type="primary", key="segments_new"):
        places.go("segment")
if not found:
    st.info(_("No segment here yet. Build one with “New segment”, or begin with a ready-made one."))
    st.stop()

number = min(controls.page_number("segments_page", f"{kind} {group}"), -(-len(found) // PAGE))
shown = found[(number - 1) * PAGE : number * PAGE]
written = (*(rules.written(rule) for _name, rule, _where, _one in shown), rules.written(rules.EVERYONE))
*numbers, everyone = data.read(segments.counts, viewer=viewer, rules=written, today=today)
counts = [None if one and one.problem else n for n, (*_rest, one) in zip(numbers, shown, strict=True)]
frame = pd.DataFrame(
    {
        "name": [name for name, _rule, _where, _one in shown],
        "customers": pd.array(counts, dtype="Int64"),
        "share": [format.percent(n / everyone) if n is not None and everyone else "–" for n in counts],
        "owner": [one.owner if one else _("ready-made") for _name, _rule, _where, one in shown],
        "state": [(_("shared") if one.shared else _("private")) if one else "" for _name, _rule, _where, one in shown],
        "changed": [format.instant(one.updated_at, settings.time_zone) if one else "" for *_rest, one in shown],
    }
)
label = st.column_config.TextColumn
picked = tables.pick_row(
    frame,
    {
        "name": label(_("Name"), width=180),
        "customers": st.column_config.NumberColumn(_("Customers"), format="localized", width=90),
        "share": label(_("Share of all"), width=80, alignment="right"),
        "owner": label(_("Saved by"), width=120),
        "state": label(_("Who sees it"), width=90),
        "changed": label(_("Changed"), width=130),
    },
    key="segments_list",
    widths=(7, 4),
    height=36 * (len(frame) + 1) + 3,
)
with picked.below, st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
    most = saved_segments.MOST_SAVED
    cut = _("at most {n} kept ones: one's own first, then by name").format(n=most) if len(everything) == most else ""
    st.caption(wording.line(tables.position((number - 1) * PAGE, len(shown), len(found)), cut), width="content")
    if picked.row is None:
        st.caption(_("Click a row to see the rule."), width="content")
    controls.turner("segments_page", number, -(-len(found) // PAGE))
if picked.row is not None:
    name, rule, where, one = shown[picked.row]
    with picked.beside, st.container(border=True):
        st.subheader(wording.plain(name), anchor=False)
        if one and one.description:
            st.text(one.description)
        if one and one.problem:
            st.error(wording.sentence(one.problem))
        else:
            choices = segment_choices.Choices(viewer, fields=(), rule=rule)
            st.markdown(wording.plain(segment_choices.sentence(rule, choices)))
            n = counts[picked.row]
            none = _("hidden from your role") if segment_choices.hidden(rule, viewer) else _("not counted: too slow")
            st.metric(_("Customers who fit"), format.number(n) if n is not None else none)
        places.link("segment", _("Open"), icon=":material/open_in_full:", **where)
        explorer_view.links(one, where.get("segment_ready", ""))
named = {("s" + where["id"]) if one else where["segment_ready"]: (name, rule) for name, rule, where, one in found}
readable = {code: kept for code, kept in named.items() if not segment_choices.hidden(kept[1], viewer)}
segment_sets_view.draw(readable, viewer=viewer, today=today)
