"""The tasks of a customer: the part of its page that lists them, and the form that adds the next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import streamlit as st

from components import controls, data, format, task_actions, task_form, task_list, wording
from db import tasks
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.words import N_, _

STATES = {"open": N_("To be done"), "done": N_("Finished")}


def form(*, viewer: Viewer, customer_id: int, today: date) -> Mapping[str, Any] | None:
    """The button that opens the form of the next task; what it was sent with."""
    if not viewer.can(Permission.TASKS_EDIT):
        return None
    people = data.read(tasks.assignees, viewer=viewer, customer_id=customer_id)
    return task_form.draw(customer_id, today, people, viewer.user_id)


def add(values: Mapping[str, Any], *, viewer: Viewer, customer_id: int) -> None:
    """Keep what the form was sent with, and draw the page anew."""
    try:
        done = data.write(tasks.add, actor=viewer, customer_id=customer_id, screen="customer", **values)
    except Invalid as error:
        task_form.refused(error)
    else:
        task_form.saved()
        controls.saved(done, _("Task added."))


def listed(*, viewer: Viewer, customer_id: int, today: date, zone: str) -> None:
    """The open tasks, or all that were finished."""
    if not viewer.can(Permission.TASKS_READ):
        st.info(_("Your role does not see tasks."))
        return
    state = controls.switch(
        "customer_tasks", _("Tasks"), list(STATES), lambda code: _(STATES[code]), default="open", hidden=True
    )
    bucket = "done" if state == "done" else ""
    shown = data.read(tasks.of_customer, viewer=viewer, customer_id=customer_id, today=today, bucket=bucket)
    opened = sum(n for name, n in shown.totals.items() if name != "done")
    st.caption(
        _("{open} open · {done} done").format(open=format.number(opened), done=format.number(shown.totals["done"]))
    )
    if shown.rows.empty:
        may = viewer.can(Permission.TASKS_EDIT)
        nothing = _("No task has been finished here yet.") if bucket else _("Nothing is to be done here.")
        st.info(wording.run_on(nothing, _("Add the next task with the button above.") if may and not bucket else ""))
        return
    asked = task_list.draw(
        shown.rows,
        prefix="customer_task",
        today=today,
        zone=zone,
        may_edit=viewer.can(Permission.TASKS_EDIT),
        with_customer=False,
        grouped=False,
    )
    if len(shown.rows) == tasks.MOST_ROWS:
        st.caption(_("The first {n} tasks are shown.").format(n=format.number(tasks.MOST_ROWS)))
    if asked:
        task_actions.perform(asked, viewer=viewer, today=today, screen="customer")
