"""The line above every screen: the offer to undo the last command, and what stood in the way of an undo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from components import data, history_lines, page
from db import undo, undo_since
from db.errors import Conflict
from db.permissions import Viewer
from db.words import _, ngettext

OFFER = "kehu_undo"
STUCK = "kehu_stuck"


def offer(change_set_id: int, text: str, *, customer_id: int = 0, several: Sequence[int] = ()) -> None:
    """Offer to take a command back: a line at the top of the next whole run, until the next command or screen but one.

    `text` says what was done ("3 customers moved to Bo."), without the offer. `several` are the change sets of a
    command that made more than one, all of them one customer's.
    """
    one = {"id": change_set_id, "text": text, "screen": None}
    st.session_state[OFFER] = one | {"customer_id": customer_id, "several": tuple(several)}


def take_back(
    change_set_id: int, *, viewer: Viewer, screen: str, people: Mapping[int, str] | None = None, rest: bool = False
) -> None:
    """Undo a change set and draw the screen anew, with the offer to undo that, or with what stands in the way.

    `people` are the names of owners by their id. `rest` leaves what was changed since and takes back the others.
    """
    for key in (OFFER, STUCK):
        st.session_state.pop(key, None)
    try:
        done = data.write(
            undo.undo, actor=viewer, change_set_id=change_set_id, source="screen", screen=screen, leave_conflicts=rest
        )
    except Conflict as error:
        if not error.rows:
            raise
        st.session_state[STUCK] = {"id": change_set_id, "error": error, "people": people or {}, "screen": screen}
    else:
        text = _("Change {id} is undone.").format(id=change_set_id)
        if done.conflicts:
            n = len(done.conflicts)
            text += " " + ngettext("{n} value stays as it is.", "{n} values stay as they are.", n).format(n=n)
        offer(done.change_set_id, text)
        st.toast(text, icon=":material/undo:")
    st.rerun()


def take_back_several(customer_id: int, change_set_ids: Sequence[int], *, viewer: Viewer, screen: str) -> None:
    """Undo changes that the viewer just made to one customer, all or none, and offer to undo that."""
    for key in (OFFER, STUCK):
        st.session_state.pop(key, None)
    done = data.write(
        undo_since.undo_these,
        actor=viewer,
        customer_id=customer_id,
        change_set_ids=change_set_ids,
        source="screen",
        screen=screen,
    )
    told(customer_id, done.change_set_ids, _("What had been taken back stands again."))
    st.rerun()


def told(customer_id: int, change_set_ids: Sequence[int], text: str) -> None:
    """Say that several changes of a customer were taken back, and offer to undo that."""
    offer(change_set_ids[-1], text, customer_id=customer_id, several=change_set_ids)
    st.toast(text, icon=":material/undo:")


def draw(viewer: Viewer, screen: str) -> None:
    """Draw what there is to say. The shell calls this before the screen."""
    if screen != st.session_state.get(STUCK, {"screen": screen})["screen"]:
        del st.session_state[STUCK]
    if STUCK in st.session_state:
        _draw_stuck(viewer, screen)
    offered = st.session_state.get(OFFER)
    if not offered:
        return
    if offered["screen"] not in (None, screen):
        del st.session_state[OFFER]
        return
    st.session_state[OFFER] = offered | {"screen": screen}
    place = st.empty()
    with place.container(
        border=True,
        horizontal=True,  # and to the left: at the right the toast would lie on it
        vertical_alignment="center",
        key="kehu_undo_bar",
    ):
        st.markdown(f":material/check_circle: {offered['text']}", width="content")
        with st.container(horizontal=True, width="content"):
            back = st.button(_("Undo"), key="kehu_undo_button", icon=":material/undo:")
            seen = st.button(_("Hide"), key="kehu_undo_hide", type="tertiary")
    if seen:
        del st.session_state[OFFER]
        place.empty()
    if back:
        place.empty()
        with page.guard():
            if offered.get("several"):
                take_back_several(offered["customer_id"], offered["several"], viewer=viewer, screen=screen)
            take_back(offered["id"], viewer=viewer, screen=screen)


def _draw_stuck(viewer: Viewer, screen: str) -> None:
    """Why an undo was refused, the values in its way, and the choice that is left."""
    stuck = st.session_state[STUCK]
    error: Conflict = stuck["error"]
    rest = error.details.get("rest", 0)
    place = st.empty()
    with place.container(border=True, key="kehu_stuck_bar"):
        history_lines.conflict(error, viewer=viewer, people=stuck["people"])
        with st.container(horizontal=True):
            go = bool(rest) and st.button(_("Undo the rest"), key="kehu_stuck_rest", icon=":material/undo:")
            keep = st.button(_("Leave everything as it is"), key="kehu_stuck_keep", type="tertiary")
    if keep:
        del st.session_state[STUCK]
        place.empty()
    if go:
        place.empty()
        with page.guard():
            take_back(stuck["id"], viewer=viewer, screen=screen, people=stuck["people"], rest=True)
