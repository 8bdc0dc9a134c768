"""A customer as people read it: header, figures, fields; for the list's quick view and the full page."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import quote

import streamlit as st

from components import customer_figures, explain, format, places, wording
from db import text
from db.metrics import CUSTOMER_METRICS
from db.permissions import Viewer
from db.words import _


def stage_badge(name: str, stage: str, about: str = "") -> None:
    """The lifecycle stage in words, with a colour beside it; `about` says what it means."""
    colours = {
        "prospect": "violet",
        "first": "blue",
        "repeat": "green",
        "loyal": "green",
        "at_risk": "orange",
        "lost": "gray",
    }
    st.badge(name, color=colours.get(stage, "gray"), help=about or None)  # type: ignore[arg-type]


def top(viewer: Viewer, number: str, *, fresh: str) -> None:
    """The way back to the list; to its right the link to share and what the figures mean."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        places.link("customers", _("Customers"), icon=":material/arrow_back:")
        with st.container(horizontal=True, horizontal_alignment="right", width="content", key="kehu_actions"):
            explain.share(viewer)
            explain.about(CUSTOMER_METRICS.values(), filters=f"#{wording.plain(number[:20])}", fresh=fresh)


def header(customer: Any, stage_name: str, *, about: str = "", sight: bool = False, page: bool = True) -> None:
    """Name, stage, owner, and the ways to reach the customer; with `sight` the way to who sees it.

    On its own `page` the name is the title; beside the list the way to the page stands with it.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if page:
            st.title(wording.plain(customer.name), anchor=False, width="content")
        else:
            st.subheader(wording.plain(customer.name), anchor=False, width="content")
        stage_badge(stage_name, customer.stage, about)
        if customer.archived_at:
            st.badge(_("Archived"), color="red")
        if not page:
            with st.container(width="content", key="kehu_open_customer"):
                places.link("customer", _("Open"), icon=":material/open_in_full:", id=str(customer.id))
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        owner = wording.plain(wording.person(customer.owner))
        st.caption(_("Owner: {name}").format(name=owner), width="content")
        if customer.phone:
            st.link_button(wording.plain(customer.phone), f"tel:+{text.digits(customer.phone)}", icon=":material/call:")
        if customer.email:
            address = quote(customer.email, safe="@")
            st.link_button(wording.plain(customer.email), f"mailto:{address}", icon=":material/mail:")
        if sight:
            where = {"users_part": "sight", "users_customer": str(customer.id)}
            places.link("users", _("Who sees this customer"), icon=":material/visibility:", **where)


def figures(customer: Any, *, currency: str, today: date, rhythm: bool = False) -> None:
    """Orders, revenue, average basket, last order; with `rhythm` also when the next is due, and the scores."""
    own_orders = customer.orders - customer.other_currency_orders
    basket = customer.revenue / own_orders if own_orders else None
    last = customer.last_order_on
    shown = {
        "orders": (format.number(customer.orders), ""),
        "revenue": (format.short(customer.revenue, "money", currency), format.money(customer.revenue, currency)),
        "basket": (format.short(basket, "money", currency), ""),
        "last_order": (format.ago(last, today) if last else "–", format.day(last) if last else ""),
    }
    with st.grid(columns="auto", min_column_width=150 if rhythm else 130, gap="small"):
        for key, (value, exact) in shown.items():
            metric = CUSTOMER_METRICS[key]
            told = [_(metric.formula), _("Exactly: {value}").format(value=exact) if exact else ""]
            st.metric(_(metric.name), value, border=True, height="stretch", help="\n\n".join(filter(None, told)))
        if rhythm:
            customer_figures.rhythm(customer, today)
    if rhythm:
        customer_figures.scores(customer)
    if customer.other_currency_orders:
        st.caption(wording.left_out(customer.other_currency_orders))


def fields(customer: Any, *, hidden: bool, brief: bool = False) -> None:
    """The profile as label and value; withheld ones say so, empty ones show a dash.

    In `brief` it leaves out what is empty, and what stands in the header above it.
    """
    withheld = _("hidden from your role")
    demographics = {
        _("Age"): customer.age_band,
        _("Income"): customer.income_band,
        _("Home"): customer.home_ownership,
        _("Marital status"): customer.marital_status,
        _("Household size"): customer.household_size,
        _("Household"): customer.household_kind,
        _("Children"): customer.children,
    }
    contact = {
        _("Company"): customer.company,
        _("E-mail"): customer.email,
        _("Phone"): customer.phone,
        _("Address"): customer.address,
    }
    if brief and not hidden:
        del contact[_("E-mail")], contact[_("Phone")]
    rows = {label: withheld if hidden else value for label, value in contact.items()}
    rows |= {_("City"): customer.city, _("Region"): wording.translated(customer.region)}
    rows |= {_("Source"): wording.translated(customer.source)}
    rows |= {label: wording.translated(value) for label, value in demographics.items()}
    with st.grid(columns="auto", min_column_width=130 if brief else 180, gap="small"):
        for label, value in rows.items():
            if brief and not value:
                continue
            with st.container(gap=None):
                st.caption(label)
                st.text(value or "–")


def quick_view(customer: Any, *, stage_name: str, currency: str, today: date, hidden: bool) -> None:
    """The selected customer beside the list, with the way to the full page."""
    with st.container(border=True):
        header(customer, stage_name, page=False)
        figures(customer, currency=currency, today=today)
        fields(customer, hidden=hidden, brief=True)
