"""After a talk was logged: the task that follows from how it went, offered for one click."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import streamlit as st

from components import controls, data, format
from db import tasks
from db.permissions import Permission, Viewer
from db.words import N_, _

KEY = "customer_next_task"
FOLLOWING: Mapping[str, tuple[str, str, int]] = {
    "no_answer": ("call", N_("Call again"), 1),
    "call_back": ("call", N_("Call back"), 1),
    "interested": ("call", N_("Follow up"), 3),
}
"""How it went → kind of the task, what it is called, and in how many days; the other talks suggest nothing."""


def suggest(customer_id: int, outcome: str) -> None:
    """A talk went so: offer what follows at the next drawing, and nothing that followed an earlier one."""
    st.session_state.pop(KEY, None)
    if outcome in FOLLOWING:
        st.session_state[KEY] = (customer_id, outcome)


def draw(customer_id: int, *, viewer: Viewer, today: date) -> None:
    """The offer, until it is taken, hidden, or another customer is opened."""
    held = st.session_state.get(KEY)
    if not held:
        return
    if held[0] != customer_id or not viewer.can(Permission.TASKS_EDIT):
        del st.session_state[KEY]
        return
    kind, title, days = FOLLOWING[held[1]]
    due = today + timedelta(days=days)
    when = _("tomorrow") if days == 1 else format.day(due)
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center", gap="small", key=f"{KEY}_box"):
        label = _("Add task: {title}, {when}").format(title=_(title), when=when)
        taken = st.button(label, icon=":material/add_task:", key=f"{KEY}_add")
        hidden = st.button(_("No task"), key=f"{KEY}_hide", type="tertiary")
    if not (taken or hidden):
        return
    del st.session_state[KEY]
    place.empty()
    if taken:
        add = {"kind": kind, "title": _(title), "due_on": due}
        done = data.write(tasks.add, actor=viewer, customer_id=customer_id, screen="customer", **add)
        controls.saved(done, _("Task added."))
