"""How each campaign did: rates with their intervals, and a table to sort, filter and open."""

from __future__ import annotations

import streamlit as st

from analytics.intervals import wilson
from components import campaign_view, charts, controls, data, explain, format, page, places, tables, wording
from db import campaigns
from db.metrics import CAMPAIGN_METRICS
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.CAMPAIGNS_READ)
settings, today = page.settings(), page.today()

MOST_DRAWN = 30

every, more = data.read(campaigns.league, viewer=viewer, today=today)
waiting = data.read(campaigns.waiting_since, viewer=viewer)
top = st.container()
if not every:
    with top:
        page.heading(_("Campaigns"))
    st.info(_("No campaign yet. They appear here as soon as the first ones are loaded."))
    st.stop()

sorts = {
    "newest": _("Newest first"),
    "rate": _("Redemption rate"),
    "reached": _("Reached"),
    "revenue": _("Revenue in the window"),
}
orders = {
    "newest": lambda one: (one.starts_on, one.id),
    "rate": lambda one: (one.redeemers / one.reached if one.reached else 0, one.reached),
    "reached": lambda one: (one.reached, one.id),
    "revenue": lambda one: (one.revenue, one.id),
}
with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters"):
    kind = controls.select("campaigns_kind", _("Type"), sorted({c.kind for c in every}), _("All types"), str)
    states = list(dict.fromkeys(c.state.value for c in every))
    state = controls.select("campaigns_state", _("State"), states, _("All states"), campaign_view.state)
    sort = controls.order("campaigns_sort", _("Sort by"), list(sorts), sorts.__getitem__)
shown = [c for c in every if kind in ("", c.kind) and state in ("", c.state)]
shown.sort(key=orders[sort], reverse=True)

filters = wording.line(
    wording.labelled(_("Type"), wording.plain(kind)) if kind else _("All types"),
    campaign_view.state(state) if state else _("All states"),
    tables.position(0, len(shown), len(every)),
    _("more than {n} campaigns: the oldest are left out").format(n=len(every)) if more else "",
)
fresh = wording.freshness(waiting)
with top:
    actions = page.heading(_("Campaigns"), explain.context(viewer, filters, fresh, wording.demo(settings.demo_days)))
    with actions:
        explain.share(viewer)
        explain.about(CAMPAIGN_METRICS.values(), filters=filters, fresh=fresh)
if not shown:
    st.info(_("No campaign matches. Remove a filter."))
    st.stop()

intervals = [wilson(c.redeemers, c.reached) for c in shown]
picked = campaign_view.pick(shown, intervals, currency=settings.currency)
with picked.below:
    if picked.row is None:
        st.caption(_("Click a row to see the campaign."))
    campaign_view.incomplete(shown)
if picked.row is not None:
    one = shown[picked.row]
    with picked.beside, st.container(border=True):
        st.subheader(wording.campaign(one.name), anchor=False)
        st.caption(wording.line(campaign_view.state(one.state), format.days(one.starts_on, one.ends_on)))
        with st.container(horizontal=True):
            places.link("campaign", _("Open"), icon=":material/open_in_full:", id=str(one.id))
            places.link("funnel", _("Funnel"), icon=":material/filter_alt:", funnel_campaign=str(one.id))
        campaign_view.figures(one, intervals[picked.row], currency=settings.currency)

reached = [i for i, c in enumerate(shown) if c.reached]
reached.sort(key=lambda i: shown[i].redeemers / shown[i].reached, reverse=True)
drawn = reached[:MOST_DRAWN]
if drawn:
    with st.container(border=True):
        st.markdown("**" + _("Redemption rate · with its 95% interval · highest first") + "**")
        charts.whiskers(
            [wording.campaign(shown[i].name) for i in drawn],
            [shown[i].redeemers / shown[i].reached for i in drawn],
            [intervals[i] for i in drawn],
            [tables.rate(shown[i].redeemers, shown[i].reached, intervals[i]) for i in drawn],
            key="campaigns_rates",
            alt=_("Redemption rate with its interval"),
        )
        if len(reached) > len(drawn):
            st.caption(_("The first {n} of {total}.").format(n=len(drawn), total=len(reached)))
