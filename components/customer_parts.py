"""The parts of the customer page below its figures, one tab each: what it reads and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from components import (
    controls,
    customer_details,
    customer_files,
    customer_tabs,
    customer_talks,
    customer_tasks,
    data,
    page,
    segment_why,
    undo_since_view,
    wording,
)
from db import customer, customers, history
from db.permissions import Viewer
from db.settings import Settings
from db.words import N_, _

ORDERS = 20
LINES = 500


@dataclass(frozen=True)
class Opened:
    """The customer whose page is open, for whom; `people` can be handed customers over to, `consents` hold now."""

    found: customer.Customer
    viewer: Viewer
    settings: Settings
    people: Mapping[int, str]
    consents: Mapping[str, Any]


def draw(opened: Opened) -> None:
    """The row of tabs and the chosen one."""
    tab = controls.switch(
        "customer_tab",
        _("About the customer"),
        list(TABS),
        lambda name: _(TABS[name][0]),
        default=next(iter(TABS)),
        hidden=True,
    )
    TABS[tab][1](opened)


def _timeline(opened: Opened) -> None:
    customer_talks.timeline(viewer=opened.viewer, customer_id=opened.found.id, zone=opened.settings.time_zone)


def _tasks(opened: Opened) -> None:
    zone = opened.settings.time_zone
    customer_tasks.listed(viewer=opened.viewer, customer_id=opened.found.id, today=page.today(), zone=zone)


def _purchases(opened: Opened) -> None:
    one: dict[str, Any] = {"viewer": opened.viewer, "customer_id": opened.found.id}
    currency = opened.settings.currency
    if not opened.found.orders:
        st.info(_("No orders yet."))
        return
    left, right = st.columns(2)
    with left:
        customer_tabs.months(data.read(customer.monthly, currency=currency, **one), currency=currency)
    with right:
        customer_tabs.categories(data.read(customer.top_categories, currency=currency, **one), currency=currency)
    if opened.found.other_currency_orders:
        st.caption(wording.left_out(opened.found.other_currency_orders))
    number = controls.page_number("customer_orders_page", opened.found.id)
    rows, total = data.read(customer.purchases, offset=(number - 1) * ORDERS, limit=ORDERS, **one)
    if rows.empty:  # a link to a page that is no longer there
        number = 1
        rows, total = data.read(customer.purchases, limit=ORDERS, **one)
    picked = customer_tabs.orders(rows, total, number=number, page_size=ORDERS, zone=opened.settings.time_zone)
    if picked.row is not None:
        order_id = int(rows.iloc[picked.row]["id"])
        with picked.beside:
            customer_tabs.lines(data.read(customer.order_lines, order_id=order_id, limit=LINES, **one), most=LINES)


def _campaigns(opened: Opened) -> None:
    customer_tabs.campaigns(data.read(customer.campaigns, viewer=opened.viewer, customer_id=opened.found.id))


def _notes(opened: Opened) -> None:
    customer_talks.notes(viewer=opened.viewer, customer_id=opened.found.id, zone=opened.settings.time_zone)


def _details(opened: Opened) -> None:
    place: dict[str, Any] = {"zone": opened.settings.time_zone, "currency": opened.settings.currency}
    customer_details.draw(opened.found, opened.viewer, opened.consents, today=page.today(), **place)


def _files(opened: Opened) -> None:
    customer_files.draw(opened.found.id, opened.viewer, zone=opened.settings.time_zone)


def _history(opened: Opened) -> None:
    made = data.read(history.of_customer, viewer=opened.viewer, customer_id=opened.found.id)
    names = data.read(customers.owners, viewer=opened.viewer) | dict(opened.people)
    zone = opened.settings.time_zone
    undo_since_view.draw(opened.found.id, viewer=opened.viewer, people=names, zone=zone)
    customer_tabs.history(made, viewer=opened.viewer, people=names, zone=zone, customer_id=opened.found.id)


def _segments(opened: Opened) -> None:
    segment_why.memberships(opened.found.id, viewer=opened.viewer, today=page.today())


TABS: Mapping[str, tuple[str, Callable[[Opened], None]]] = {
    "timeline": (N_("Timeline"), _timeline),
    "tasks": (N_("Tasks"), _tasks),
    "purchases": (N_("Purchases"), _purchases),
    "campaigns": (N_("Campaigns"), _campaigns),
    "notes": (N_("Notes"), _notes),
    "details": (N_("Details"), _details),
    "files": (N_("Files"), _files),
    "segments": (N_("Segments"), _segments),
    "history": (N_("History"), _history),
}
"""Code in the address → what the tab is called and who draws it; the first is open at first."""
