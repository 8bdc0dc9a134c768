"""Repeat purchases: the share that bought again by a day after a purchase, and the intervals between purchases."""

from __future__ import annotations

import streamlit as st

from analytics import survival
from components import board_keep, controls, data, explain, explorer_view, format, page, wording
from components import repeats_view as view
from db import explorer, repeats
from db.metrics import REPEAT_METRICS
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.SEGMENTS_READ)

LEAST = 10
settings, today = page.settings(), page.today()
top = st.container()
spans, steps = explorer_view.spans(), view.steps()
with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters"):
    label = _("First purchases of the last")
    span = controls.switch("repeats_span", label, list(spans), spans.__getitem__, default="12")
    of, against, note = explorer_view.choose("repeats", viewer)
    step = controls.order("repeats_step", _("From purchase"), list(steps), steps.__getitem__)
groups = [whose for whose in (of, against) if whose]
question = {"viewer": viewer, "today": today}
asked = {"step": int(step), "months": int(span)}
waits = {each.name: data.read(repeats.waits, rule=each.rule, **question, **asked) for each in groups}
gaps = {each.name: data.read(repeats.intervals, rule=each.rule, **question) for each in groups}
found = waits[of.name]

filters = wording.line(spans[span], steps[step], explorer_view.named(of, against), note)
fresh = wording.freshness(found.waiting_since)
context = explain.context(viewer, filters, fresh, wording.demo(settings.demo_days))
with top, page.heading(_("Repeat purchases"), context):
    board_keep.button(viewer, "repeats")
    explain.share(viewer)
    below = _("The people who have not ordered again are listed below.")
    explain.about(REPEAT_METRICS.values(), filters=filters, fresh=fresh, rows=below)

with st.container(border=True):
    st.markdown("**" + _("Share that bought again, by days after the purchase") + "**")
    curves = {name: survival.kaplan_meier(each.rows, least=LEAST) for name, each in waits.items()}
    told = {
        name: (each, survival.median_wait(each), [survival.by_day(each, day) for day in view.DAYS])
        for name, each in curves.items()
    }
    view.curve(told, {name: int(each.rows["customers"].sum()) for name, each in waits.items()}, least=LEAST)
    if found.unknown and found.known_from:
        st.caption(view.left_out(found.unknown, found.known_from))
    if found.made_at:
        counted = _("Everyone's waits are as of {time}; they are added up anew every hour.")
        st.caption(counted.format(time=format.instant(found.made_at, settings.time_zone)))
with st.container(border=True):
    st.markdown("**" + _("Days between two purchases · share of all intervals · of all time") + "**")
    made = gaps[of.name].made_at
    view.intervals(
        {
            name: (
                survival.binned(each.rows["days"], each.rows["intervals"], list(view.EDGES)),
                survival.weighted_median(each.rows["days"], each.rows["intervals"]),
            )
            for name, each in gaps.items()
        }
    )
    if made:
        counted = _("Everyone's intervals are as of {time}; they are added up anew every hour.")
        st.caption(counted.format(time=format.instant(made, settings.time_zone)))

whose = explorer_view.side("repeats", of, against)
with st.container(border=True):
    st.markdown("**" + _("Who ordered once in these months and never again") + "**")
    rule = explorer.of_once(whose.rule, start=explorer.month_before(today, int(span) - 1), end=today)
    explorer_view.people("repeats", rule, viewer=viewer)
