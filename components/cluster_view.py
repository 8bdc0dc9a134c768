"""Clusters as people read them: how their number was chosen, what each looks like, a picture, those that are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from components import board_keep, charts, explorer_view, format, places, segment_source, tables, wording
from db import board_charts
from db.cluster_values import FEATURES, SAVED, Model
from db.permissions import Viewer
from db.words import _


def choice(trials: Sequence[Any], *, chosen: int, method: str, stable: bool, least: float) -> None:
    """The numbers of clusters that were tried, and why it is this one; `trials` as analytics.clusters has them."""
    fit = _("Silhouette") if method == "kmeans" else _("BIC")
    rows = {
        _("How many"): [f"✓ {t.clusters}" if t.clusters == chosen else str(t.clusters) for t in trials],
        fit: [f"{t.fit:.3f}" if method == "kmeans" else format.number(round(t.fit)) for t in trials],
        _("Stability"): [f"{t.stability:.2f}" for t in trials],
    }
    with st.container(border=True):
        st.markdown("**" + _("How many clusters there are") + "**")
        better = _("greater is better") if method == "kmeans" else _("smaller is better")
        told = _("{criterion}: {better}. Stability is the agreement with clusters of random samples, 1 is perfect.")
        st.caption(told.format(criterion=fit, better=better))
        tables.small(pd.DataFrame(rows), right=list(rows))
        if stable:
            st.caption(_("Of those with a stability of at least {n} the best was taken.").format(n=least))
        else:
            st.warning(
                _(
                    "None is stable (at least {n}): another sample would give other clusters. Take them as a hint."
                ).format(n=least)
            )


def made_of(n: int, total: int, of: str) -> str:
    """Of whom the clusters were made, and who is scored by them; `of` is the segment's name, "" for everyone."""
    if not of:
        told = _("Made of {n} of {total} customers with orders; all of them are scored, and newcomers as they come.")
        return told.format(n=format.number(n), total=format.number(total))
    told = _(
        "Made of {n} of {total} customers with orders in “{name}”; who joins the segment later is scored, too. A rule "
        "by these clusters scores all customers; so the links to kept clusters ask for the segment as well."
    )
    return wording.sentence(told.format(n=format.number(n), total=format.number(total), name=of))


def profiles(rows: pd.DataFrame, model: Model, *, currency: str, of: str = "") -> None:
    """`averages` in a card of its own; `of` is a segment's name, "" for everyone."""
    with st.container(border=True):
        among = _("What they look like · averages of customers with orders in “{name}”").format(name=wording.plain(of))
        st.markdown("**" + (among if of else _("What they look like · averages of all customers with orders")) + "**")
        averages(rows, model, currency=currency, key="clusters_found_averages")


def averages(rows: pd.DataFrame, model: Model, *, currency: str, key: str, wide: bool = True) -> None:
    """A row for each cluster: how many of all customers with orders, or of those of a segment, and their averages.

    A phone has lines instead, as has a place that is not `wide`. `key` tells one such table of a screen from another.
    """
    total = int(rows["customers"].sum())
    by_number = {str(row["cluster"]): row for row in rows.to_dict("records")}
    table: dict[str, list[str]] = {_("Cluster"): [], _("Customers"): [], _("Share of all"): []}
    table |= {_(name): [] for name in FEATURES.values()}
    for number in model.numbers:
        row: dict[Any, Any] = by_number.get(number, {})
        n = int(row.get("customers", 0))
        table[_("Cluster")].append(model.called(number))
        table[_("Customers")].append(format.number(n))
        table[_("Share of all")].append(format.percent(n / total if total else None))
        for feature, name in FEATURES.items():
            table[_(name)].append(_figure(feature, row.get(feature), currency))
    if wide:
        with st.container(key=f"kehu_wide_{key}"):
            tables.small(pd.DataFrame(table), right=list(table)[1:])
    with st.container(gap="small", key=f"kehu_narrow_{key}" if wide else key):
        for cluster, n, share, *figures in zip(*table.values(), strict=True):
            st.markdown(wording.line(f"**{wording.plain(cluster)}**", n, share))
            told = zip(list(table)[3:], figures, strict=True)
            st.caption(wording.line(*(wording.labelled(name, figure) for name, figure in told)))


def _figure(key: str, value: Any, currency: str) -> str:
    if value is None or pd.isna(value):
        return "–"
    if key in ("revenue", "basket"):
        return format.money(value, currency)
    return format.number(round(value, 1) if key == "orders" else round(value))


def picture(found: Any) -> None:
    """Customers of a sample in the plane that shows most of their differences."""
    with st.container(border=True):
        st.markdown("**" + _("In a picture") + "**")
        told = _("{n} customers by their two principal components, which hold {share} of the differences.")
        st.caption(told.format(n=format.number(len(found.points)), share=format.percent(found.explained)))
        charts.points(
            list(found.points["x"]),
            list(found.points["y"]),
            list(found.points["cluster"]),
            list(zip(found.middles["x"], found.middles["y"], strict=True)),
            key="clusters_picture",
            alt=_("Customers as points, each cluster with its number at the middle"),
        )


def form(problem: str) -> str | None:
    """A name to keep the clusters under; gives it when it is sent."""
    with st.form("clusters_form", border=True):
        name = st.text_input(_("Name") + " *", key="clusters_name", help=_("Everybody may count by them."))
        if problem:
            st.markdown(f":red[:material/error: {wording.plain(problem)}]")
        sent = st.form_submit_button(_("Keep these clusters"), type="primary", key="clusters_send")
    return name if sent else None


def asked_for(models: Sequence[Model], viewer: Viewer) -> tuple[Model, str] | None:
    """The kept clusters that the address names, with the rule of the segment they are of; says why there are none."""
    written = st.query_params.get(board_charts.CLUSTERS)
    if written is None:
        return None
    found = next((model for model in models if str(model.id) == written), None)
    whose = explorer_view.called(found.of, viewer) if found and found.of else None
    if found is None or (found.of and whose is None):
        st.info(_(board_charts.PROBLEMS["clusters gone" if found is None else "segment gone"]))
        return None
    return found, whose.rule if whose else ""


def opened(model: Model, rows: pd.DataFrame, *, currency: str, viewer: Viewer) -> None:
    """What kept clusters look like now, each with the way to its segment; `rows` as for `averages`."""
    whose = explorer_view.called(model.of, viewer) if model.of else None
    with st.container(border=True, key="clusters_opened"):
        among = (
            _("averages of customers with orders in “{name}”").format(name=wording.plain(whose.name)) if whose else ""
        )
        title = wording.line(wording.plain(model.name), among or _("averages of all customers with orders"))
        st.markdown(f"**{title}**")
        averages(rows, model, currency=currency, key="clusters_opened_averages")
        _ways(model, whose)


def _ways(model: Model, whose: explorer_view.Whose | None) -> None:
    """From each cluster to its segment."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(_("As a segment:"), width="content")
        for number in model.numbers:
            rule = json.dumps(_rule(model, number, whose), separators=(",", ":"))
            places.link("segment", wording.plain(model.called(number)), **{segment_source.PARAMETER: rule})


def kept(models: Sequence[Model], *, zone: str, viewer: Viewer) -> int | None:
    """The kept clusters, each cluster with the way to its segment; gives the number of one to be taken off the list."""
    asked = None
    for model in models:
        with st.container(border=True, gap="small"):
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.markdown(f"**{wording.plain(model.name)}**", width="content")
                with st.container(horizontal=True, width="content", gap="small"):
                    told = {board_charts.CLUSTERS: str(model.id), "clusters_by": ",".join(model.features)}
                    told["clusters_method"] = model.method
                    places.link("clusters", _("Averages"), icon=":material/table_rows:", **told)
                    board_keep.button(viewer, "clusters", params=told, of=f"_{model.id}", named=model.name)
                    if model.mine and st.button(
                        _("Archive"), icon=":material/archive:", key=f"clusters_archive_{model.id}", type="tertiary"
                    ):
                        asked = model.id
            figures = wording.listed(_(FEATURES[key]) for key in model.features)
            by = _("by {name}").format(name=wording.plain(wording.person(model.owner)))
            whose = explorer_view.called(model.of, viewer) if model.of else None
            st.caption(wording.line(by, format.instant(model.made_at, zone), figures, _among(model, whose)))
            _ways(model, whose)
    return asked


def _among(model: Model, whose: explorer_view.Whose | None) -> str:
    if not model.of:
        return ""
    if whose is None:
        return _("made of a segment that you do not have: the links ask for the cluster alone")
    return _("among “{name}”").format(name=wording.plain(whose.name))


def _rule(model: Model, number: str, whose: explorer_view.Whose | None) -> dict[str, Any]:
    """Who is in a cluster; of clusters of a segment who is in that, too."""
    leaf = {"field": f"cluster.{model.id}", "op": "in", "value": [number]}
    if whose is None:
        return {"all": [leaf]}
    saved = model.of.removeprefix(SAVED)
    if saved != model.of and saved.isdecimal():
        return {"all": [{"field": "segment", "op": "in", "value": [int(saved)]}, leaf]}
    return {"all": [json.loads(whose.rule), leaf]}
