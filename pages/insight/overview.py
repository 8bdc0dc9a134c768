"""The figures of a period for managers, and of their own customers for salespeople."""

from __future__ import annotations

import streamlit as st

from analytics.intervals import wilson
from components import (
    cards,
    charts,
    controls,
    data,
    explain,
    format,
    lifecycle_view,
    overview_view,
    page,
    period,
    places,
    segment_source,
    tables,
    wording,
)
from db import customers, overview
from db.errors import Invalid
from db.metrics import METRICS, STAGE_NAMES, Stage
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.OVERVIEW_READ)
settings = page.settings()
today = page.today()
first_day, last_day = data.read(overview.span, viewer=viewer)

top = st.container()
with st.container(horizontal=True, vertical_alignment="bottom"):
    start, end = period.choose("overview", last_day=last_day, today=today)
    regions = data.read(customers.regions, viewer=viewer)
    region = controls.select("overview_region", _("Region"), regions, _("All regions"), wording.translated)
question = {"today": today, "currency": settings.currency, "start": start, "end": end, "region": region}
try:
    shown = data.read(overview.overview, viewer=viewer, **question)
except Invalid:
    with top:
        page.heading(_("Overview"))
    raise
fresh = wording.freshness(shown.waiting_since)
filters = wording.line(
    format.days(shown.period.start, shown.period.end),
    wording.plain(wording.translated(region)) if region else _("All regions"),
)
with top:
    actions = page.heading(_("Overview"), explain.context(viewer, filters, fresh, wording.demo(settings.demo_days)))
    with actions:
        explain.share(viewer)
        with explain.about(METRICS.values(), filters=filters, fresh=fresh):
            overview_view.behind(shown.period.start, shown.period.end, region)

if first_day is None:
    st.info(_("No orders yet among the customers you see. They appear here with the first ones."))

with st.grid(columns="auto", min_column_width=122, gap="small"):
    for key, metric in METRICS.items():
        figure = shown.figures[key]
        cards.figure(
            _(metric.name),
            figure.value,
            unit=metric.unit,
            currency=shown.currency,
            before=figure.before,
            better=metric.better,
            definition=_(metric.formula),
            trend=list(shown.series[key]) if key in shown.series else [],
        )
if shown.other_currency_orders:
    st.caption(wording.left_out(shown.other_currency_orders))

left, right = st.columns([3, 2])
with left.container(border=True, height="stretch"):
    st.markdown("**" + _("Revenue · {currency} · with the period before").format(currency=shown.currency) + "**")
    charts.over_time(
        list(shown.series["bucket"]),
        list(shown.series["revenue"]),
        [format.money(v, shown.currency) for v in shown.series["revenue"]],
        before=list(shown.series["before"]),
        before_texts=[format.money(v, shown.currency) for v in shown.series["before"]],
        bucket=shown.period.bucket,
        name=_("Revenue"),
        key="overview_revenue",
    )
with right.container(border=True, height="stretch"):
    said = lifecycle_view.version_said(viewer, "stages", settings.time_zone)
    st.markdown("**" + _("Lifecycle · customers today") + "**", help=f"{lifecycle_view.rules_said(viewer)}\n\n{said}")
    total = int(shown.stages["customers"].sum())
    counts = [int(n) for n in shown.stages["customers"]]
    clicked = charts.bars(
        [_(STAGE_NAMES[Stage(s)]) for s in shown.stages["stage"]],
        counts,
        [format.number(n) + (f" · {format.percent(n / total)}" if total else "") for n in counts],
        key="overview_lifecycle",
        alt=_("Customers by lifecycle stage"),
        clickable=True,
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
        st.caption(_("Click a bar to see the customers."), width="content")
        lifecycle_view.way(viewer)
    if clicked is not None:
        del st.session_state["overview_lifecycle"]
        places.go(
            "segment", segment_rule=segment_source.within(region, "stage", "in", [shown.stages["stage"][clicked]])
        )

rates = [tables.rate(c.redeemers, c.reached, wilson(c.redeemers, c.reached)) for c in shown.campaigns.itertuples()]
overview_view.running(shown.campaigns, rates, on=shown.period.end)
