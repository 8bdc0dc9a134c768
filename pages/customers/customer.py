"""Everything about one customer, on one page, safe to edit."""

from __future__ import annotations

import streamlit as st

from components import (
    controls,
    customer_actions,
    customer_form,
    customer_tabs,
    customer_talks,
    data,
    page,
    profile,
    wording,
)
from db import campaigns, customer, customers, history
from db.errors import Conflict, Invalid
from db.metrics import STAGE_NAMES, Stage
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.CUSTOMERS_READ)

ORDERS = 20
LINES = 500

settings, today = page.settings(), page.today()
asked = st.query_params.get("id", "")
profile.top(viewer, asked, fresh=wording.freshness(data.read(campaigns.waiting_since, viewer=viewer)))
if not (asked.isascii() and asked.isdecimal()) or len(asked) > 18:
    st.info(_("No customer is chosen. Open one from the list."))
    st.stop()

found = data.read(customer.get, viewer=viewer, customer_id=int(asked), today=today)
may_edit = viewer.can(Permission.CUSTOMERS_EDIT)
profile.header(found, _(STAGE_NAMES[Stage(found.stage)]), sight=viewer.can(Permission.USERS_MANAGE))

people = data.read(customer.assignees, viewer=viewer) if viewer.can(Permission.CUSTOMERS_ASSIGN) else {}
if may_edit:
    match customer_actions.bar(found, people=people, today=today):
        case ("edit", _nothing):
            customer_form.opened(vars(found), found.id, found.version)
            st.rerun()
        case ("log", values):
            customer_talks.log(values, viewer=viewer, customer_id=found.id, zone=settings.time_zone)
        case ("assign", owner_id):
            done = data.write(
                customer.assign, actor=viewer, customer_ids=[found.id], owner_id=owner_id, screen="customer"
            )
            name = wording.plain(wording.person(people[owner_id]))
            controls.saved(done, _("Handed over to {name}.").format(name=name), leave_to="customers")
        case ("archive", archived):
            done = data.write(
                customer.archive, actor=viewer, customer_id=found.id, archived=archived, screen="customer"
            )
            controls.saved(done, _("Archived.") if archived else _("Put back on the lists."))

if may_edit and customer_form.is_open(found.id) and not customer_form.choose():
    sent = customer_form.draw(customer.LIMITS, submit=_("Save customer"))
    if sent:
        values, version = sent
        try:
            result = data.write(
                customer.save, actor=viewer, customer_id=found.id, version=version, values=values, screen="customer"
            )
        except Invalid as error:
            customer_form.explain(error)
        except Conflict as error:
            customer_form.clash(error)
        else:
            said = customer_form.told(result.changed, result.merged_with)
            if result.change_set_id is not None:
                customer_form.close()
                controls.saved(result.change_set_id, said)
            st.info(said)

profile.figures(found, currency=settings.currency, today=today)
tabs = {
    "timeline": _("Timeline"),
    "purchases": _("Purchases"),
    "campaigns": _("Campaigns"),
    "notes": _("Notes"),
    "details": _("Details"),
    "history": _("History"),
}
tab = controls.switch(
    "customer_tab", _("About the customer"), list(tabs), tabs.__getitem__, default="timeline", hidden=True
)
one = {"viewer": viewer, "customer_id": found.id}
if tab == "timeline":
    customer_talks.timeline(zone=settings.time_zone, **one)
elif tab == "purchases" and not found.orders:
    st.info(_("No orders yet."))
elif tab == "purchases":
    left, right = st.columns(2)
    with left:
        customer_tabs.months(data.read(customer.monthly, currency=settings.currency, **one), currency=settings.currency)
    with right:
        customer_tabs.categories(data.read(customer.top_categories, **one), currency=settings.currency)
    for number in dict.fromkeys((controls.page_number("customer_orders_page", found.id), 1)):
        rows, total = data.read(customer.purchases, offset=(number - 1) * ORDERS, limit=ORDERS, **one)
        if not rows.empty:
            break
    picked = customer_tabs.orders(rows, total, number=number, page_size=ORDERS, zone=settings.time_zone)
    if picked.row is not None:
        order_id = int(rows.iloc[picked.row]["id"])
        with picked.beside:
            customer_tabs.lines(data.read(customer.order_lines, order_id=order_id, limit=LINES, **one), most=LINES)
elif tab == "campaigns":
    customer_tabs.campaigns(data.read(customer.campaigns, **one))
elif tab == "notes":
    customer_talks.notes(zone=settings.time_zone, **one)
elif tab == "history":
    made = data.read(history.of_customer, **one)
    names = data.read(customers.owners, viewer=viewer) | people
    customer_tabs.history(made, viewer=viewer, people=names, zone=settings.time_zone)
else:
    profile.fields(found, hidden=viewer.masked)
