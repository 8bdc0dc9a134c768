"""One campaign: its figures, its days, its people, its products, and another one beside it."""

from __future__ import annotations

import streamlit as st

from analytics.intervals import newcombe, wilson
from components import campaign_effect, campaign_view, charts, controls, data, explain, format, page, places, wording
from db import campaigns, funnel, started_campaigns
from db.metrics import CAMPAIGN_METRICS
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.CAMPAIGNS_READ)
settings, today = page.settings(), page.today()

places.link("campaigns", _("Campaigns"), icon=":material/arrow_back:")
asked = st.query_params.get("id", "")
if not (asked.isascii() and asked.isdecimal() and len(asked) < 19):
    page.heading(_("Campaign"))
    st.info(_("Choose a campaign from the list."))
    st.stop()
one = data.read(campaigns.get, viewer=viewer, campaign_id=int(asked), today=today)
interval = wilson(one.redeemers, one.reached)
days = format.days(one.starts_on, one.ends_on)
fresh = wording.freshness(data.read(campaigns.waiting_since, viewer=viewer))
kind = wording.labelled(_("Type"), wording.plain(one.kind))
actions = page.heading(
    wording.plain(wording.campaign(one.name)),
    explain.context(viewer, kind, days, campaign_view.state(one.state), fresh, wording.demo(settings.demo_days)),
)
with actions:
    places.link("funnel", _("Funnel"), icon=":material/filter_alt:", funnel_campaign=str(one.id))
    explain.share(viewer)
    explain.about(CAMPAIGN_METRICS.values(), filters=wording.line(wording.campaign(one.name), days), fresh=fresh)

begun = data.read(started_campaigns.get, viewer=viewer, campaign_id=one.id)
waiting = not one.reached and begun is not None and begun.received.customers
if waiting:
    st.info(_("The figures are still being added up: this takes a minute at most."))
else:
    campaign_view.figures(one, interval, currency=settings.currency)
    campaign_view.incomplete([one])
if begun:
    campaign_effect.draw(begun, one.id, viewer=viewer, rate=wilson, difference=newcombe)
if not one.reached:
    if not waiting:
        st.info(_("This campaign has reached nobody you may see."))
    st.stop()

left, right = st.columns(2)
with left.container(border=True, height="stretch"):
    st.markdown("**" + _("Redemptions · by day") + "**")
    daily = data.read(campaigns.redemptions_by_day, viewer=viewer, campaign_id=one.id)
    if daily["redemptions"].any():
        charts.columns(
            [format.short_day(day) for day in daily["day"]],
            list(daily["redemptions"]),
            [f"{format.day(r.day)}: {format.number(r.redemptions)}" for r in daily.itertuples()],
            key="campaign_days",
            alt=_("Redemptions by day"),
        )
    else:
        st.caption(_("No coupon was redeemed."))
with right.container(border=True, height="stretch"):
    st.markdown("**" + _("Redemption rate · by group, with how many were reached") + "**")
    cuts = {"age_band": _("Age"), "income_band": _("Income"), "region": _("Region")}
    by = controls.switch("campaign_by", _("Cut by"), list(cuts), cuts.__getitem__, default="age_band", hidden=True)
    rows = data.read(funnel.steps, viewer=viewer, campaign_id=one.id, by=by)
    redeemed = rows["redeemed"] + rows["unmatched"]
    slices = [wilson(part, whole) for part, whole in zip(redeemed, rows["received"], strict=True)]
    campaign_view.by_slice(rows, slices, key="campaign_slices")

with st.container(border=True):
    st.markdown("**" + _("Compare with another campaign") + "**")
    names = data.read(campaigns.names, viewer=viewer)
    others = [str(i) for i in names if i != one.id]
    chosen = controls.select(
        "campaign_with", _("Campaign"), others, _("None"), lambda i: wording.campaign(names[int(i)])
    )
    if chosen:
        other = data.read(campaigns.get, viewer=viewer, campaign_id=int(chosen), today=today)
        both = (interval, wilson(other.redeemers, other.reached))
        campaign_view.versus(one, other, both, currency=settings.currency)
        campaign_view.incomplete([one, other])

with st.container(border=True):
    head = _("Promoted products · {currency} · what members bought most of in the window")
    st.markdown("**" + head.format(currency=settings.currency) + "**")
    sold = data.read(campaigns.products, viewer=viewer, campaign_id=one.id)
    campaign_view.products(sold, most=campaigns.MOST_PRODUCTS, currency=settings.currency)
