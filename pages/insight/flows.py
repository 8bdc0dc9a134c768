"""Flows: in which stage or RFM class customers were on some days, and who moved from which to which."""

from __future__ import annotations

import streamlit as st

from analytics import flows as arithmetic
from components import board_keep, controls, data, explain, explorer_view, page, segment_actions, segment_life, wording
from components import flows_view as view
from db import flows
from db.errors import Invalid
from db.metrics import FLOW_METRICS
from db.permissions import Permission
from db.saved_segments import MOST_FROZEN
from db.words import _

viewer = page.require(Permission.SEGMENTS_READ)

settings, today = page.settings(), page.today()
top = st.container()
known = data.read(flows.days, viewer=viewer)
kinds = view.kinds()
with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters"):
    by = controls.switch("flows_by", _("Kind of class"), list(kinds), kinds.__getitem__, default="stage")
    days, few = view.choose_days(known, today)
    of, against, note = explorer_view.choose("flows", viewer)

filters = wording.line(
    kinds[by], " → ".join(view.day_name(day, today) for day in days), explorer_view.named(of, against), note, few
)
fresh = wording.freshness(known.waiting_since)
with top, page.heading(_("Flows"), explain.context(viewer, filters, fresh, wording.demo(settings.demo_days))):
    board_keep.button(viewer, "flows")
    explain.share(viewer)
    below = _("The people of a flow are listed below.")
    explain.about(FLOW_METRICS.values(), filters=filters, fresh=fresh, rows=below)

if len(days) < 2:
    st.info(view.none_yet())
    st.stop()
question = {"viewer": viewer, "today": today, "by": by}
groups = {each: data.read(flows.flows, **question, days=days, rule=each.rule) for each in (of, against) if each}
states = ("", *flows.states(by))
i, j = view.choose_step(days, today)
step = {each.name: arithmetic.step(found.rows, f"day_{i}", f"day_{j}", states) for each, found in groups.items()}
between = f"{view.day_name(days[i], today)} → {view.day_name(days[j], today)}"
with st.container(border=True):
    st.markdown("**" + _("The largest moves · {between}").format(between=between) + "**")
    view.said(by, step)
whose = explorer_view.side("flows", of, against)
with st.container(border=True, key="kehu_wide_flows"):
    st.markdown("**" + _("{kind} on each day · customers · grey: stayed").format(kind=kinds[by]) + "**")
    view.picture(by, arithmetic.steps(groups[whose].rows, len(days), states), days, today)
with st.container(border=True):
    heading = _("From which class to which · customers and share of the class before · {between}")
    st.markdown("**" + heading.format(between=between) + "**")
    clicked = view.matrix(by, step[whose.name], key="flows_matrix")
    told = view.meant(known, (days[i], days[j]), settings.time_zone)
    st.caption(wording.run_on(told, view.left_out(known)))

with st.container(border=True):
    st.markdown("**" + _("The people of a flow") + "**")
    before, after = view.behind(by, clicked, step[whose.name])
    asked = question | {"way": {days[i]: before, days[j]: after}, "rule": whose.rule}
    number = controls.page_number("flows_page", str(asked))
    offset = (number - 1) * explorer_view.PAGE
    found = data.read(flows.people, **asked, offset=offset, limit=explorer_view.PAGE)
    listed = explorer_view.listed("flows", found, number, viewer=viewer)
    if listed is not None and segment_life.may_freeze(viewer):
        with listed, st.popover(_("Freeze"), icon=":material/ac_unit:", key="flows_freeze"):
            st.caption(_("Keeps these customers as a segment of its own, which no longer changes."))
            values = segment_actions.form("flows_freeze_form")
        if values:
            form = values.pop("form")
            with page.guard():
                try:
                    ids = data.read(flows.who, **asked, limit=MOST_FROZEN + 1)
                    of_rules = (whose.rule,) if whose.rule else ()
                    segment_life.kept(ids, of_rules, values, viewer=viewer, screen="flows")
                except Invalid as error:
                    segment_actions.refused(form, error)
