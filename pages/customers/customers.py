"""Find a customer: search as one types, filters, a sorted and paged list, a quick view beside it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import (
    bulk_bar,
    controls,
    customer_edit,
    customer_filters,
    customer_list,
    customer_views,
    data,
    explain,
    list_columns,
    page,
    profile,
    wording,
)
from components.customer_filters import Asked, Choices
from db import customer, customers
from db.customer_filters import EVERYBODY
from db.customers import PAGE, SORTS
from db.metrics import STAGE_NAMES, Stage
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.CUSTOMERS_READ)
settings, today = page.settings(), page.today()
stages = {s.value: _(STAGE_NAMES[s]) for s in Stage}
sorts = dict(zip(SORTS, (_("Name"), _("Revenue"), _("Orders"), _("Last order"), _("Newest")), strict=True))
actions = page.heading(_("Customers"), explain.context(viewer, explain.whose(viewer), wording.demo(settings.demo_days)))


@page.dialog(_("New customer"))
def new_customer() -> None:
    """The form of a new customer; the page of the customer opens when it is saved."""
    customer_edit.add(viewer, settings.time_zone)


@page.fragment
def listing() -> None:
    """The filters and what they find; typing re-runs only `typing`, a part of this."""
    known = customer_views.choices(viewer, stages=stages, currency=settings.currency)
    view = customer_views.follow(viewer, known, sorts=sorts)
    box = st.container()
    # An open view says whether it was changed, so there the controls look at each word that is typed.
    words = customer_filters.searched() if view is None else customer_filters.search(box, masked=viewer.masked)
    asked_for = customer_filters.draw(known, words=words, sorts=sorts)
    columns = customer_views.draw(viewer, known, asked_for, view, sorts=sorts)
    if view is None:
        typing(box, known, asked_for, columns)
    else:
        hits(known, asked_for, columns)


@page.fragment
def typing(box: DeltaGenerator, known: Choices, asked_for: Asked, columns: tuple[str, ...]) -> None:
    """The search box and its hits, under filters that stay as they are."""
    words = customer_filters.search(box, masked=viewer.masked)
    hits(known, replace(asked_for, filters=replace(asked_for.filters, search=words)), columns)


def hits(known: Choices, asked_for: Asked, columns: tuple[str, ...]) -> None:
    """The customers that were asked for, what can be done with them, and the one that was clicked."""
    narrowed = asked_for.filters
    question = {"filters": narrowed, "sort": asked_for.sort, "descending": asked_for.descending}
    asked = controls.page_number("customers_page", tuple(question.values()))
    for number in dict.fromkeys((asked, 1)):
        found = data.read(customers.page, viewer=viewer, today=today, offset=(number - 1) * PAGE, **question)
        if not found.rows.empty:
            break
    customer_list.remarks(similar=found.similar, left_out=found.left_out)
    if not found.total:
        customer_list.nothing(narrowed=narrowed != EVERYBODY, may_add=viewer.can(Permission.CUSTOMERS_EDIT))
        return
    picked = customer_list.pick(
        found.rows,
        stages=stages,
        currency=settings.currency,
        hidden=viewer.masked,
        words=narrowed.search,
        by=found.by,
        many=bulk_bar.may_tick(viewer),
        columns=columns,
        more=list_columns.beside(viewer, columns, found.rows["id"].tolist()),
        own=list_columns.own(viewer, columns),
        zone=settings.time_zone,
    )
    with picked.below, st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        customer_list.foot(found, number, clicked=picked.row is not None)
        with st.container(horizontal=True, width="content"):
            bulk_bar.draw(
                viewer,
                picked=[int(found.rows.iloc[row]["id"]) for row in picked.ticked],
                total=found.total,
                more=found.more,
                filters=narrowed,
                said=customer_filters.sentence(narrowed, known),
            )
            explain.share(viewer)
            list_columns.export(viewer, narrowed, columns)
    if picked.row is not None:
        chosen = int(found.rows.iloc[picked.row]["id"])
        one = data.read(customer.get, viewer=viewer, customer_id=chosen, today=today)
        name, currency = stages[one.stage], settings.currency
        with picked.beside:
            profile.quick_view(one, stage_name=name, currency=currency, today=today, hidden=viewer.masked)


if viewer.can(Permission.CUSTOMERS_EDIT):
    with actions:
        if st.button(_("New customer"), icon=":material/person_add:", type="primary", key="customers_add"):
            customer_edit.opened_new()
            new_customer()
listing()
