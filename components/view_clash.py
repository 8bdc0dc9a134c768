"""A view that somebody else saved while it was open: which version one has seen, and both sides to choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from components import wording
from db.errors import Conflict
from db.saved_views import FORM, View
from db.words import _

KEY = "customers_view_clash"
_SEEN = "customers_view_seen"


@dataclass(frozen=True)
class Clash:
    """A save that was refused: of which view, what was to be saved, and what would have been said."""

    view_id: int
    error: Conflict
    values: Mapping[str, Any]
    done: str


def contents(view: View) -> dict[str, Any]:
    """What of a view its owner changes."""
    found = {column: getattr(view, column) for column in FORM}
    return found | {"columns": None if view.columns is None else list(view.columns)}


def opened(view: View) -> View:
    """The view as it was when one opened it or last saved it; an undo that brings back what was seen counts as seen."""
    state = st.session_state.get(_SEEN)
    if state is None or state["view"].id != view.id:
        state = st.session_state[_SEEN] = {"view": view, "known": [contents(view)], "own": False}
    elif state["view"].version != view.version and (state["own"] or contents(view) in state["known"]):
        state |= {"view": view, "own": False, "known": [*state["known"], contents(view)]}
    found: View = state["view"]
    return found


def saved() -> None:
    """The next version is one's own."""
    if _SEEN in st.session_state:
        st.session_state[_SEEN]["own"] = True
    st.session_state.pop(KEY, None)


def merged(view: View, values: Mapping[str, Any]) -> list[str]:
    """What others changed since one opened it and one did not."""
    before, now = contents(opened(view)), contents(view)
    return [column for column in FORM if column not in values and before[column] != now[column]]


def forget() -> None:
    """The view is opened anew, as it is."""
    for key in (_SEEN, KEY):
        st.session_state.pop(key, None)


def remember(view: View, error: Conflict, values: Mapping[str, Any], done: str) -> None:
    """A save was refused; both sides are drawn from the next run on."""
    st.session_state[KEY] = Clash(view.id, error, values, done)


def found(view: View) -> Clash | None:
    """What of this view is still to be decided."""
    clash: Clash | None = st.session_state.get(KEY)
    return clash if clash and clash.view_id == view.id else None


def draw(
    clash: Clash,
    sides: Sequence[tuple[str, str, str]],
    *,
    take_theirs: Callable[..., None],
    args: tuple[Any, ...],
) -> bool:
    """Each column's name, mine and theirs, in words and escaped; True when mine is to be kept."""
    with st.container(border=True, gap="small", key=f"{KEY}_box"):
        st.warning(wording.sentence(clash.error.message))
        for name, mine, theirs in sides:
            st.markdown(f"**{name}**")
            st.markdown(f"{_('Mine')}: {mine}  \n{_('Theirs')}: {theirs}")
        with st.container(horizontal=True, gap="small"):
            keep = st.button(_("Keep mine"), type="primary", key=f"{KEY}_mine")
            st.button(_("Take theirs"), key=f"{KEY}_theirs", on_click=take_theirs, args=args)
    return keep
