"""Bought together: pairs of categories in the same orders, how much more often than by chance, and whom to offer."""

from __future__ import annotations

import streamlit as st

from analytics import affinity as arithmetic
from components import affinity_view as view
from components import board_keep, controls, data, explain, explorer_view, page, wording
from db import affinity, explorer
from db.metrics import AFFINITY_METRICS
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.SEGMENTS_READ)

settings, today = page.settings(), page.today()
top = st.container()
spans, shares, orders = view.spans(), view.shares(), view.orders()
bar = st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters")
with bar:
    label = _("Orders of the last")
    span = controls.switch("affinity_span", label, list(spans), spans.__getitem__, default=view.USUAL_SPAN)
    of, against, note = explorer_view.choose("affinity", viewer)
    share = controls.order("affinity_least", _("In at least"), list(shares), shares.__getitem__)
    by = controls.order("affinity_by", _("Sorted by"), list(orders), orders.__getitem__)
groups = {
    each: data.read(affinity.affinity, viewer=viewer, today=today, months=int(span), rule=each.rule)
    for each in (of, against)
    if each
}

filters = wording.line(spans[span], explorer_view.named(of, against), note)
fresh = wording.freshness(groups[of].waiting_since)
context = explain.context(viewer, filters, fresh, wording.demo(settings.demo_days))
with top, page.heading(_("Bought together"), context):
    board_keep.button(viewer, "affinity")
    explain.share(viewer)
    below = _("The people behind a pair are listed below.")
    explain.about(AFFINITY_METRICS.values(), filters=filters, fresh=fresh, rows=below)

if not any(len(each.rows) for each in groups.values()):
    if any(each.missing for each in groups.values()):
        st.info(_("The orders are being gone through for what stands in them together. Look again in a few minutes."))
        st.stop()
    st.info(_("No order of these months holds two categories yet. Pairs appear with the first one that does."))
    st.stop()
whose = explorer_view.side("affinity", of, against)
found = groups[whose]
pairs = {each.name: arithmetic.pairs(shown.rows, shown.orders) for each, shown in groups.items()}
known = {each: {view.code(p): p for p in made} for each, made in pairs.items()}
with bar:
    category = controls.select("affinity_category", _("With category"), list(found.categories), _("any"), str.title)
asked = [p for p in pairs[whose.name] if category in ("", p.first, p.second)]
kept = arithmetic.kept(asked, support=int(share) / 1000, together=view.LEAST)
listed = arithmetic.ranked(kept, by)
other = next((each for each in groups if each is not whose), None)

with st.container(border=True):
    st.markdown("**" + _("Lift of pairs · how many times as often in one order as by chance · 95% interval") + "**")
    if listed:
        beside = known[other.name] if other else {}
        view.chart(listed, beside, of=wording.plain(whose.name), against=wording.plain(other.name) if other else "")
        clicked = view.table(listed)
    else:
        st.caption(_("No pair is in so many orders: choose a smaller share."))
    told = view.left_out(
        shown=min(len(listed), view.LISTED),
        kept=len(listed),
        rarer=len(asked) - len(kept),
        others=found.others,
        orders=found.orders,
        share=view.percent(share),
        least=view.LEAST,
    )
    chance = _("Each interval is of its pair alone: among many pairs some stand out by chance.")
    st.caption(wording.run_on(*told, chance))
if not listed:
    st.stop()

with st.container(border=True):
    st.markdown("**" + _("The people behind a pair") + "**")
    pair, who = view.behind(clicked, listed)
    rates = {each.name: known[each.name].get(view.code(pair)) for each in groups}
    view.told(rates, first=pair.first, second=pair.second)
    first, second = (pair.second, pair.first) if who == "second" else (pair.first, pair.second)
    period = {"start": found.start, "end": found.end}
    rule = explorer.of_pair(whose.rule, first=first, second=second, without=who != "both", **period)
    st.caption(_("Who bought the categories in these months, in one order or in several."))
    explorer_view.people("affinity", rule, viewer=viewer)
