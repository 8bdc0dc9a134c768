"""The row of things one can do with a customer; gives what was asked for, the page does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from components import customer_form, wording
from db.words import _


def bar(
    customer: Any,
    *,
    people: Mapping[int, str],
    talk: Callable[[], None],
    task: Callable[[], Mapping[str, Any] | None],
) -> tuple[str, Any] | None:
    """('task', what the form holds), ('edit', None), ('assign', owner id), ('archive', whether), or None.

    `people` are those the customer can be handed over to; empty where the viewer may not. `talk` draws the form that
    logs a talk, `task` that of the next task.
    """
    asked: tuple[str, Any] | None = None
    with st.container(horizontal=True, gap="small"):
        with st.container(width="content"):  # a fragment takes the whole row
            talk()
        planned = task()
        if planned:
            asked = ("task", planned)
        if not customer_form.is_open(customer.id) and st.button(_("Edit"), icon=":material/edit:", key="customer_edit"):
            asked = ("edit", None)
        if people:
            with st.popover(_("Hand over"), icon=":material/swap_horiz:"):
                others = {i: n for i, n in people.items() if i != customer.owner_id}
                owner_id = st.selectbox(
                    _("New owner"),
                    list(others),
                    index=None,
                    format_func=lambda i: wording.person(others[i]),
                    placeholder=_("Choose a person"),
                    key="customer_new_owner",
                )
                st.caption(_("The customer, with orders and notes, moves to this person at once."))
                if st.button(_("Hand over"), type="primary", disabled=owner_id is None, key="customer_assign"):
                    asked = ("assign", owner_id)
        if customer.archived_at:
            if st.button(_("Put back on the lists"), icon=":material/unarchive:", key="customer_restore"):
                asked = ("archive", False)
        else:
            with st.popover(_("Archive"), icon=":material/archive:"):
                st.caption(_("Takes the customer off all lists. Nothing is deleted, and you can undo it."))
                if st.button(_("Archive this customer"), type="primary", key="customer_archive"):
                    asked = ("archive", True)
    return asked
