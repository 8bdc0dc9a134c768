"""Retention: of the customers whose first purchase lies in one month, who bought in the months after it."""

from __future__ import annotations

import streamlit as st

from analytics import cohorts as arithmetic
from components import board_keep, controls, data, explain, explorer_view, format, page, wording
from components import cohorts_view as view
from db import cohorts, explorer
from db.metrics import COHORT_METRICS
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.SEGMENTS_READ)

settings, today = page.settings(), page.today()
top = st.container()
spans, measures, units = explorer_view.spans(), view.measures(), view.units()
with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters"):
    label = _("First purchases of the last")
    span = controls.switch("cohorts_span", label, list(spans), spans.__getitem__, default="12")
    of, against, note = explorer_view.choose("cohorts", viewer)
    of_what = controls.switch(
        "cohorts_measure", _("Measure"), list(measures), measures.__getitem__, default="customers"
    )
    unit = controls.switch("cohorts_unit", _("Shown as"), list(units), units.__getitem__, default="percent")
question = {"viewer": viewer, "today": today, "months": int(span)}
groups = {whose: data.read(cohorts.cohorts, rule=whose.rule, **question) for whose in (of, against) if whose}

filters = wording.line(spans[span], explorer_view.named(of, against), note)
fresh = wording.freshness(groups[of].waiting_since)
with top, page.heading(_("Cohorts"), explain.context(viewer, filters, fresh, wording.demo(settings.demo_days))):
    board_keep.button(viewer, "cohorts")
    explain.share(viewer)
    below = _("The people behind a cell are listed below.")
    explain.about(COHORT_METRICS.values(), filters=filters, fresh=fresh, rows=below)

whose = explorer_view.side("cohorts", of, against)
found = groups[whose]
if not any(each.unknown or len(each.rows) for each in groups.values()):
    st.info(_("No first purchase in these months yet. Cohorts appear with the first month that the data hold whole."))
    st.stop()
counted, currency = of_what == "customers", settings.currency
triangles = {
    each.name: arithmetic.triangle(shown.rows, of_what, cohorts=shown.months, until=today)
    for each, shown in groups.items()
}
with st.container(border=True):
    heading = _("{measure} by month of the first purchase · in the months +1, +2, … after it")
    st.markdown("**" + heading.format(measure=measures[of_what]) + "**")
    clicked = view.triangle(
        triangles[whose.name],
        percent=unit == "percent",
        written=lambda value: format.short(value, "count" if of_what != "revenue" else "money", currency),
        first=_("First month"),
        unknown=found.unknown,
        first_known=found.first_known or today,
        key="cohorts_triangle",
        counted=counted,
    )
    st.caption(wording.run_on(_("Click a cell to see the customers."), _("“…”: the month is not over.")))
    if found.unknown:
        st.caption(view.left_out(found.unknown, found.first_known or today))
with st.container(border=True):
    st.markdown("**" + _("All cohorts together · share of the first month · only months that are over") + "**")
    points = {name: arithmetic.curve(each, counted=counted) for name, each in triangles.items()}
    view.curve(points, counted=counted, key="cohorts_curve")

with st.container(border=True):
    st.markdown("**" + _("The people behind a cell") + "**")
    cohort, later = view.behind(clicked, found.months, unknown=bool(found.unknown), today=today)
    if cohort:
        month = arithmetic.months_from(cohort, later) if later else None
        rule = explorer.of_cohort(whose.rule, cohort=cohort, month=month)
    else:
        start = explorer.month_before(today, int(span) - 1)
        rule = explorer.of_unknown(whose.rule, start=start, first_known=found.first_known or today)
    explorer_view.people("cohorts", rule, viewer=viewer)
