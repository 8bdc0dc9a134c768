"""From received to redeemed: the steps of a campaign, cut by group, and the people behind each bar."""

from __future__ import annotations

import streamlit as st

from analytics.intervals import wilson
from components import campaign_view, controls, data, explain, format, funnel_view, page, places, tables, wording
from db import campaigns, funnel
from db.metrics import CAMPAIGN_METRICS
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.CAMPAIGNS_READ)
settings, today = page.settings(), page.today()

PAGE = 50


def rate(part: int, whole: int) -> str:
    """A share with its interval."""
    return tables.rate(part, whole, wilson(part, whole))


names = data.read(campaigns.names, viewer=viewer)
top = st.container()
if not names:
    with top:
        page.heading(_("Funnel"))
    st.info(_("No campaign yet, hence no funnel. Both appear as soon as the first campaigns are loaded."))
    st.stop()
cuts = {"": _("All together"), "age_band": _("Age"), "income_band": _("Income"), "region": _("Region")}
with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters"):
    ids = [str(i) for i in names]
    chosen = controls.order("funnel_campaign", _("Campaign"), ids, lambda i: wording.campaign(names[int(i)]))
    by = controls.switch("funnel_by", _("Cut by"), list(cuts), cuts.__getitem__, default="")
one = data.read(campaigns.get, viewer=viewer, campaign_id=int(chosen), today=today)
rows = data.read(funnel.steps, viewer=viewer, campaign_id=one.id, by=by)

filters = wording.line(wording.campaign(one.name), format.days(one.starts_on, one.ends_on), cuts[by] if by else "")
fresh = wording.freshness(data.read(campaigns.waiting_since, viewer=viewer))
with top:
    actions = page.heading(_("Funnel"), explain.context(viewer, filters, fresh, wording.demo(settings.demo_days)))
    with actions:
        explain.share(viewer)
        explained = [CAMPAIGN_METRICS[key] for key in ("reached", "buyers", "promoted_buyers", "redeemers")]
        explain.about(explained, filters=filters, fresh=fresh, rows=_("The people behind each bar are listed below."))
if not one.reached:
    st.info(_("This campaign has reached nobody you may see."))
    st.stop()

whole = rows[["received", "bought", "promoted", "redeemed", "unmatched"]].sum()
counts = [int(whole[step]) for step in funnel_view.names()]
pairs = zip(counts[1:], counts[:-1], strict=True)
clicked = funnel_view.bars(whole, [(rate(n, before), rate(n, counts[0])) for n, before in pairs])
campaign_view.incomplete([one])
if by:
    funnel_view.slices(rows, [rate(r.redeemed, r.received) for r in rows.itertuples()])

steps = funnel_view.names()
if clicked is not None:
    funnel_view.follow(clicked)
with st.container(border=True):
    st.markdown("**" + _("The people behind a bar") + "**")
    with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters_people"):
        step = controls.switch("funnel_step", _("Step"), list(steps), steps.__getitem__, default="redeemed")
        values = list(rows["slice"]) if by else []
        coded = {value or "-": campaign_view.slice_name(value) for value in values}
        value = controls.select("funnel_value", cuts[by], list(coded), _("All"), coded.__getitem__) if by else ""
    question = {"campaign_id": one.id, "step": step}
    if value:
        question |= {"by": by, "value": "" if value == "-" else value}
    number = controls.page_number("funnel_page", tuple(question.values()))
    found = data.read(funnel.people, viewer=viewer, offset=(number - 1) * PAGE, limit=PAGE, **question)
    if found.rows.empty:
        st.caption(_("Nobody."))
    else:
        funnel_view.people(found.rows, currency=settings.currency)
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.caption(tables.position((number - 1) * PAGE, len(found.rows), found.total), width="content")
            controls.turner("funnel_page", number, -(-found.total // PAGE))
            written = funnel_view.segment_rule(**question)
            places.link("segment", _("Make it a segment"), icon=":material/pie_chart:", segment_rule=written)
