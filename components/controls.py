"""Small controls that several screens share: a filter whose empty value means all, and what follows a save."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from components import page, places


def select(key: str, label: str, options: Sequence[str], everything: str, named: Callable[[str], str]) -> str:
    """A filter in the URL: '' stands for all and is called `everything`; an unknown value in the URL counts as all."""
    chosen: str | None = st.selectbox(
        label,
        ["", *options],
        format_func=lambda value: named(value) if value else everything,
        key=key,
        bind="query-params",
        width=180,
    )
    return chosen or ""


def saved(change_set_id: int | None, text: str, *, leave_to: str | None = None, forget: Sequence[str] = ()) -> None:
    """After a command: offer its undo, empty the given widgets, and draw the screen (or another one) anew."""
    if change_set_id is None:
        st.toast(text)
        return
    page.offer_undo(change_set_id, text)
    for key in forget:
        st.session_state.pop(key, None)
    if leave_to:
        places.go(leave_to)
    st.rerun()
