"""On a customer's history: take back a change and all after it, after seeing what that would undo."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from components import data, format, history_lines, places, undo_bar, wording
from db import undo_since
from db.errors import KehuError
from db.permissions import Permission, Viewer
from db.undo_since import REASONS, Plan, Step, Why
from db.words import _, ngettext

KEY = "customer_since"
MOST_NAMED = 20
"""Changes that are named one by one before it is done; more are counted."""


def button(change_set_id: int, customer_id: int, viewer: Viewer) -> None:
    """Beside a change: choose it as the first that is taken back."""
    if not _may(viewer):
        return
    label, key = _("This and all after it"), f"{KEY}_{change_set_id}"
    if st.button(label, icon=":material/history:", key=key, type="tertiary"):
        st.session_state[KEY] = (customer_id, change_set_id)
        st.rerun()


def draw(customer_id: int, *, viewer: Viewer, people: Mapping[int, str], zone: str) -> None:
    """What would be taken back since the chosen change, and the button that does it; nothing where none is chosen."""
    chosen = st.session_state.get(KEY)
    if not chosen or not _may(viewer) or chosen[0] != customer_id:
        st.session_state.pop(KEY, None)
        return
    since = chosen[1]
    try:
        plan = data.write(undo_since.preview, actor=viewer, customer_id=customer_id, change_set_id=since)
    except KehuError as error:
        del st.session_state[KEY]
        st.warning(wording.sentence(error.message), icon=":material/info:")
        return
    with st.container(border=True, key=f"{KEY}_box"):
        st.markdown("**" + _("Take back everything since change #{id}").format(id=since) + "**")
        _steps(plan, zone)
        history_lines.draw(plan.lines, viewer=viewer, people=people)
        _left(plan, zone)
        if plan.conflicts:
            st.caption(_("These values were changed since by what stays, and stay too:"))
            history_lines.conflict_lines(plan.conflicts, viewer=viewer, people=people)
        with st.container(horizontal=True):
            n = len(plan.steps)
            label = ngettext("Take back {n} change", "Take back {n} changes", n).format(n=n)
            go = n and st.button(label, icon=":material/history:", type="primary", key=f"{KEY}_go")
            stay = st.button(_("Leave everything as it is"), key=f"{KEY}_stay", type="tertiary")
    if stay:
        del st.session_state[KEY]
        st.rerun()
    if go:
        _take_back(plan, viewer)


def _steps(plan: Plan, zone: str) -> None:
    if not plan.steps:
        st.caption(_("Since then there is nothing that you can take back."))
    for step in plan.steps[:MOST_NAMED]:
        st.markdown(f":material/undo: {_named(step, zone)}")
    if len(plan.steps) > MOST_NAMED:
        st.caption(_("and {n} more changes").format(n=len(plan.steps) - MOST_NAMED))


def _left(plan: Plan, zone: str) -> None:
    if plan.left:
        st.caption(_("These stay:"))
    for step in plan.left[:MOST_NAMED]:
        why = f" – {_(REASONS[step.why])}" if step.why else ""
        st.markdown(f":material/lock: {_named(step, zone)}{why}")
    if len(plan.left) > MOST_NAMED:
        st.caption(_("and {n} more changes").format(n=len(plan.left) - MOST_NAMED))


def _named(step: Step, zone: str) -> str:
    """'Customer edited · Ann · 2026-11-20 15:00 · #12'."""
    actor, when = wording.plain(wording.actor(step.actor)), format.instant(step.made_at, zone)
    return wording.line(history_lines.title(step.command, step.undoes_id), actor, when, f"#{step.change_set_id}")


def _take_back(plan: Plan, viewer: Viewer) -> None:
    del st.session_state[KEY]
    done = data.write(
        undo_since.undo_since,
        actor=viewer,
        customer_id=plan.customer_id,
        change_set_id=plan.since_id,
        source="screen",
        screen="customer",
        leave_conflicts=bool(plan.conflicts) or any(step.why is Why.STUCK for step in plan.left),
        shown=plan.shown,
    )
    n = len(done.change_set_ids)
    text = ngettext("{n} change is taken back.", "{n} changes are taken back.", n).format(n=n)
    if done.left:
        stay = len(done.left)
        text += " " + ngettext("{n} change stays.", "{n} changes stay.", stay).format(n=stay)
    undo_bar.told(plan.customer_id, done.change_set_ids, text)
    if done.out_of_sight:
        places.go("customers")
    st.rerun()


def _may(viewer: Viewer) -> bool:
    return viewer.can(Permission.CHANGES_UNDO) and viewer.can(Permission.CUSTOMERS_EDIT)
