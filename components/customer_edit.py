"""Editing a customer and adding one: checked as one leaves a field, kept as a draft, duplicates said before saving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import controls, customer_form, customer_inputs, data, drafts, duplicates_view, page, wording
from db import custom_fields, customer, customers
from db.custom_values import PREFIX, Field
from db.errors import Conflict, Invalid
from db.permissions import Viewer
from db.words import _

NEW = "customers_new"
NEW_FORM = "customer:new"
SAVE_KEYS = "Ctrl+Enter"


@page.fragment
def edit(viewer: Viewer, found: customer.Customer, zone: str) -> None:
    """The open form of one customer; leaving a field runs only this."""
    customer_id = found.id
    key, form = customer_form.KEY, f"customer:{customer_id}"
    fields = data.read(custom_fields.in_use, viewer=viewer)
    if not customer_form.is_open(customer_id) or customer_form.choose(fields):
        return
    customer_form.begin(vars(found) | {PREFIX + k: v for k, v in found.custom_values.items()}, fields)
    waiting, draft = drafts.begun(key, form, viewer=viewer, zone=zone)
    if waiting:
        return
    if draft:
        customer_form.resume(draft.values, draft.version)
    with st.container(border=True, key=f"{key}_box"):
        refused = st.container()
        typed, changed, places = customer_form.draw(fields, data.read(customers.regions, viewer=viewer))
        values = {c: v for c, v in typed.items() if c in changed}
        opened = {k: st.session_state.get(f"{key}_opened_custom.{k}") for k in fields}
        problems = customer.problems(values, fields=fields, opened=opened)
        alike = _say(places, problems, typed, changed, viewer=viewer, but_id=customer_id)
        if customer_form.refused():
            _refused(refused, customer_form.refused(), places)
        customer_form.limits(customer.LIMITS)
        sent, cancelled = _buttons(key, bool(alike))
        drafts.follow(key, form, values, viewer=viewer, version=customer_form.version())
    if cancelled:
        drafts.done(key, form, viewer=viewer)
        customer_form.close()
        st.rerun()
    if sent:
        _save(viewer, customer_id, typed, values, fields)


def _save(
    viewer: Viewer, customer_id: int, typed: Mapping[str, Any], values: Mapping[str, Any], fields: Mapping[str, Field]
) -> None:
    key, form = customer_form.KEY, f"customer:{customer_id}"
    try:
        result = data.write(
            customer.save,
            actor=viewer,
            customer_id=customer_id,
            version=customer_form.version(),
            values=values,
            screen="customer",
        )
    except Invalid as error:
        customer_form.explain(error)
    except Conflict as error:
        customer_form.clash(error, typed)
    else:
        said = customer_form.told(result.changed, result.merged_with, fields)
        if result.change_set_id is not None:
            drafts.done(key, form, viewer=viewer)
            customer_form.close()
            controls.saved(result.change_set_id, said)
        st.info(said)


def opened_new() -> None:
    """The form of a new customer is about to open; one that was only put aside opens as it was."""
    if f"{NEW}_name" in st.session_state:
        return
    drafts.opened(NEW)
    for name in [k for k in st.session_state if str(k).startswith(f"{NEW}_start_")]:
        del st.session_state[name]


def add(viewer: Viewer, zone: str) -> None:
    """The form of a new customer, in a dialog; the page of the customer opens when it is saved."""
    fields = data.read(custom_fields.in_use, viewer=viewer)
    waiting, draft = drafts.begun(NEW, NEW_FORM, viewer=viewer, zone=zone)
    if waiting:
        return
    for column, value in (draft.values if draft else {}).items():
        st.session_state[f"{NEW}_start_{column}"] = value
    start = {
        c: customer_inputs.start_of(c, st.session_state.get(f"{NEW}_start_{c}"), fields)
        for c in customer_inputs.labels(fields)
    }
    refused = st.container()
    regions = data.read(customers.regions, viewer=viewer)
    typed, places = customer_inputs.draw(NEW, fields, start, regions=regions, wide=False)
    values = {c: v for c, v in typed.items() if v not in ("", None, [])}
    problems = customer.problems(values, fields=fields, opened=None)
    alike = _say(places, problems, typed, set(values), viewer=viewer)
    sent, _cancelled = _buttons(NEW, bool(alike), cancel=False)
    drafts.follow(NEW, NEW_FORM, values, viewer=viewer)
    if not sent:
        return
    try:
        customer_id, set_id = data.write(customer.add, actor=viewer, values={"name": "", **values}, screen="customers")
    except Invalid as error:
        for column in error.fields.keys() - problems.keys():
            if column in places:
                customer_inputs.problem(places[column], error.fields[column])
        _refused(refused, error, places)
    else:
        drafts.done(NEW, NEW_FORM, viewer=viewer)
        controls.saved(set_id, _("Customer added."), leave_to="customer", id=str(customer_id))


def _say(
    places: Mapping[str, DeltaGenerator],
    problems: Mapping[str, str],
    typed: Mapping[str, Any],
    changed: set[str],
    *,
    viewer: Viewer,
    but_id: int = 0,
) -> Mapping[str, Any]:
    """Under each field what is wrong with it, or who has the same; gives the latter."""
    for column, sentence in problems.items():
        if column in places:
            customer_inputs.problem(places[column], sentence)
    alike = duplicates_view.find(typed, changed - problems.keys(), viewer=viewer, but_id=but_id)
    for kind, found in alike.items():
        duplicates_view.draw(places[kind], kind, found)
    return alike


def _refused(place: DeltaGenerator, error: Invalid | None, places: Mapping[str, DeltaGenerator]) -> None:
    """Why nothing was saved; what concerns no field that is drawn is said here too."""
    if error is None:
        return
    rest = [sentence for column, sentence in error.fields.items() if column not in places]
    place.error(wording.sentence(" ".join([error.message, *rest])))


def _buttons(key: str, alike: bool, *, cancel: bool = True) -> tuple[bool, bool]:
    with st.container(horizontal=True):
        label = _("Save all the same") if alike else _("Save customer")
        sent = st.button(label, type="primary", key=f"{key}_save", shortcut=SAVE_KEYS)
        return sent, cancel and st.button(_("Cancel"), key=f"{key}_cancel")
