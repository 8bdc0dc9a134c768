"""What is typed into a form is kept as one goes, and offered again to its writer when the form is next opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from components import data, format, wording
from db import drafts
from db.errors import Invalid
from db.permissions import Viewer
from db.words import _


def opened(key: str) -> None:
    """A form begins anew: look for a draft at its first drawing. `key` names the form's widgets."""
    for name in ("asked", "kept"):
        st.session_state.pop(f"{key}_draft_{name}", None)


def begun(key: str, form: str, *, viewer: Viewer, zone: str) -> tuple[bool, drafts.Draft | None]:
    """Whether the user still has to decide about a draft, and the one to go on with, once.

    `form` is its name in the database, such as 'customer:123'.
    """
    asked = f"{key}_draft_asked"
    if asked in st.session_state:
        return False, None
    found = data.read(drafts.get, viewer=viewer, form=form)
    if found is None:
        st.session_state[asked] = True
        return False, None
    place = st.empty()
    with place.container(border=True, key=f"{key}_draft"):
        when = format.instant(found.updated_at, zone)
        st.markdown(":material/edit_note: " + _("You began this on {time} and did not save it.").format(time=when))
        with st.container(horizontal=True):
            go_on = st.button(_("Continue"), type="primary", key=f"{key}_draft_continue")
            throw = st.button(_("Discard"), key=f"{key}_draft_discard")
    if not (go_on or throw):
        return True, None
    st.session_state[asked] = True
    place.empty()
    if throw:
        data.write(drafts.discard, actor=viewer, form=form)
        return False, None
    st.session_state[f"{key}_draft_kept"] = dict(found.values)
    return False, found


def follow(key: str, form: str, values: Mapping[str, Any], *, viewer: Viewer, version: int = 0) -> None:
    """Keep what differs from the opened form, when it is not what was kept last; nothing is kept of nothing."""
    kept = st.session_state.get(f"{key}_draft_kept", {})
    if dict(values) != kept:
        try:
            if values:
                data.write(drafts.keep, actor=viewer, form=form, values=values, version=version)
            else:
                data.write(drafts.discard, actor=viewer, form=form)
        except Invalid as error:
            st.caption(wording.sentence(error.message))
            return
        st.session_state[f"{key}_draft_kept"] = dict(values)
    if values:
        st.caption(_("Kept as a draft; only you can see it."))


def done(key: str, form: str, *, viewer: Viewer) -> None:
    """The form was saved or cancelled: its draft goes."""
    if st.session_state.get(f"{key}_draft_kept"):
        data.write(drafts.discard, actor=viewer, form=form)
    opened(key)
