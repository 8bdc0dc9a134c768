"""Customers who buy alike: clusters found by their figures, explained, and kept so that rules can ask for them."""

from __future__ import annotations

import streamlit as st

from analytics.clusters import FEWEST, MOST, STABLE, find
from components import cluster_view as view
from components import controls, data, explain, explorer_view, page, wording
from db import campaigns, cluster_figures, clusters
from db.cluster_values import FEATURES, METHODS, data_of, read
from db.errors import Invalid
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.SEGMENTS_READ)

USUAL = ("recency", "orders", "basket")
settings, today = page.settings(), page.today()
fresh = wording.freshness(data.read(campaigns.waiting_since, viewer=viewer))
with page.heading(_("Clusters"), explain.context(viewer, fresh, wording.demo(settings.demo_days))):
    explain.share(viewer)

kept = data.read(clusters.kept, viewer=viewer)
opened = view.asked_for(kept, viewer)
if opened:
    model, rule = opened
    made = dict(data_of(model))
    averages = data.read(cluster_figures.profile, viewer=viewer, model=made, today=today, rule=rule)
    view.opened(model, averages, currency=settings.currency, viewer=viewer)
with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters_clusters"):
    of, whose = explorer_view.one("clusters_of", _("Among"), viewer)
    chosen = controls.several(
        "clusters_by",
        _("Told apart by"),
        list(FEATURES),
        lambda key: _(FEATURES[key]),
        most=len(FEATURES),
        placeholder=_("Days since the last order, orders, average basket"),
    )
    method = controls.order("clusters_method", _("Method"), list(METHODS), lambda code: _(METHODS[code]))
    numbers = [str(n) for n in range(FEWEST, MOST + 1)]
    number = controls.select("clusters_number", _("How many"), numbers, _("As many as fit best"), str)
    go = st.button(_("Find clusters"), type="primary", icon=":material/bubble_chart:", key="clusters_find")
features = tuple(key for key in FEATURES if key in (chosen or USUAL))
asked = (features, method, number, of, whose.rule, viewer.user_id)
if go:
    rows, total = data.read(cluster_figures.sample, viewer=viewer, features=features, today=today, rule=whose.rule)
    with st.spinner(_("Finding clusters …")):
        found = find(rows, method=method, clusters=int(number) if number else None)
    st.session_state["clusters_found"] = (asked, found, total)

last, found, total = st.session_state.get("clusters_found", (None, None, 0))
if last != asked:
    st.info(
        _(
            "Clusters are groups of customers whose figures are alike: found, not defined. Choose by what they are "
            "told apart, and press “Find clusters”."
        )
    )
elif found is None:
    st.info(_("There are too few customers with orders, or they are too much alike, to find clusters among them."))
else:
    made = {name: getattr(found, name) for name in ("method", "features", "centers", "scales", "constants")}
    made |= {name: getattr(found, name) for name in ("linear", "squares", "differences")}
    made |= {"of": of} if of else {}
    st.caption(view.made_of(found.rows, total, whose.name if of else ""))
    model = read(made)
    profiles = data.read(cluster_figures.profile, viewer=viewer, model=made, today=today, rule=whose.rule)
    view.profiles(profiles, model, currency=settings.currency, of=whose.name if of else "")
    left, right = st.columns([3, 2])
    with left:
        view.picture(found)
    with right:
        best = len(found.constants)
        view.choice(found.trials, chosen=best, method=found.method, stable=found.stable, least=STABLE)
        name = view.form(st.session_state.pop("clusters_problem", ""))
    if name is not None:
        with page.guard():
            try:
                _number, done = data.write(clusters.save, actor=viewer, name=name, model=made, screen="clusters")
            except Invalid as error:
                st.session_state["clusters_problem"] = error.message
                st.rerun()
            controls.saved(done, _("Clusters kept: count by them as a field of segments."))

if kept:
    st.markdown("**" + _("Kept clusters") + "**")
    archived = view.kept(kept, zone=settings.time_zone, viewer=viewer)
    if archived:
        with page.guard():
            done = data.write(clusters.archive, actor=viewer, clusters_id=archived, screen="clusters")
            controls.saved(done, _("Taken off the list."))
