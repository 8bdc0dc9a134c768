"""Find a customer: search as one types, filters, a sorted and paged list, a quick view beside it."""

from __future__ import annotations

import streamlit as st

from components import controls, customer_edit, customer_list, data, explain, exports, page, profile, tables, wording
from db import customer, customers
from db.customers import PAGE, SORTS, Filters
from db.metrics import STAGE_NAMES, Stage
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.CUSTOMERS_READ)
settings, today = page.settings(), page.today()
stages = {s.value: _(STAGE_NAMES[s]) for s in Stage}
sorts = dict(zip(SORTS, (_("Name"), _("Revenue"), _("Orders"), _("Last order"), _("Newest")), strict=True))
actions = page.heading(
    _("Customers"),
    explain.context(viewer, explain.whose(viewer), wording.demo(settings.demo_days)),
)


@page.dialog(_("New customer"))
def new_customer() -> None:
    """The form of a new customer; the page of the customer opens when it is saved."""
    customer_edit.add(viewer, settings.time_zone)


def filters() -> tuple[Filters, str, bool]:
    """The search box and the row of filters; every value stands in the URL."""
    words = st.text_input(
        _("Search"),
        key="customers_search",
        type="search",
        live="200ms",
        bind="query-params",
        max_chars=200,
        icon=":material/search:",
        placeholder=_("Number") if viewer.masked else _("Name, pinyin, e-mail, phone or household number"),
        help=_("Names and contacts are hidden from your role; search by number.") if viewer.masked else None,
    )
    owners = data.read(customers.owners, viewer=viewer)
    regions = data.read(customers.regions, viewer=viewer)
    with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters"):
        region = controls.select("customers_region", _("Region"), regions, _("All regions"), wording.translated)
        stage = controls.select("customers_stage", _("Stage"), list(stages), _("All stages"), stages.__getitem__)
        owner = controls.select(
            "customers_owner",
            _("Owner"),
            [str(i) for i in owners],
            _("All owners"),
            lambda i: wording.person(owners[int(i)]),
        )
        sort = controls.order("customers_sort", _("Sort by"), SORTS, sorts.__getitem__)
        descending = st.toggle(_("Descending"), key="customers_descending", bind="query-params")
    return Filters(words or "", int(owner) if owner else None, region, stage), sort, descending


@page.fragment
def listing() -> None:
    """The filters and what they find; typing re-runs only this."""
    narrowed, sort, descending = filters()
    question = {"filters": narrowed, "sort": sort, "descending": descending}
    asked = controls.page_number("customers_page", tuple(question.values()))
    for number in dict.fromkeys((asked, 1)):
        found = data.read(customers.page, viewer=viewer, today=today, offset=(number - 1) * PAGE, **question)
        if not found.rows.empty:
            break
    customer_list.remarks(similar=found.similar, left_out=found.left_out)
    if not found.total:
        if narrowed != Filters():
            st.info(_("No customer matches. Remove a filter or try another spelling."))
        elif viewer.can(Permission.CUSTOMERS_EDIT):
            st.info(_("No customers yet. Add the first one with the button above."))
        else:
            st.info(_("No customers yet."))
        return
    picked = customer_list.pick(
        found.rows, stages=stages, currency=settings.currency, hidden=viewer.masked, words=narrowed.search
    )
    with picked.below, st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        place = tables.position((number - 1) * PAGE, len(found.rows), found.total, more=found.more)
        st.caption(place, width="content")
        if picked.row is None:
            st.caption(_("Click a row to see the customer."), width="content")
        controls.turner("customers_page", number, -(-found.total // PAGE))
        with st.container(horizontal=True, width="content"):
            explain.share(viewer)
            if viewer.can(Permission.CUSTOMERS_EXPORT):
                exports.button("customers", {"filters": vars(narrowed)}, viewer=viewer, key="customers_export")
    if picked.row is not None:
        chosen = int(found.rows.iloc[picked.row]["id"])
        one = data.read(customer.get, viewer=viewer, customer_id=chosen, today=today)
        with picked.beside:
            profile.quick_view(
                one,
                stage_name=stages[one.stage],
                currency=settings.currency,
                today=today,
                hidden=viewer.masked,
            )


if viewer.can(Permission.CUSTOMERS_EDIT):
    with actions:
        if st.button(_("New customer"), icon=":material/person_add:", type="primary", key="customers_add"):
            customer_edit.opened_new()
            new_customer()
listing()
