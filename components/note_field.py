"""The field of a new note; what is typed is kept as a draft until it is added."""

from __future__ import annotations

import streamlit as st

from components import drafts, wording
from db.errors import Invalid
from db.permissions import Viewer
from db.words import _

KEY = "customer_note"
SAVE_KEYS = "Ctrl+Enter"


def draw(customer_id: int, *, viewer: Viewer, zone: str) -> str | None:
    """The field and its button; the text when it was pressed, else None. A refusal is drawn under it."""
    key, form = f"{KEY}_{customer_id}", f"note:{customer_id}"
    body = None
    with st.container(border=True):
        waiting, draft = drafts.begun(key, form, viewer=viewer, zone=zone)
        if waiting:
            return None
        if draft:
            st.session_state[f"{key}_start"] = str(draft.values.get("body", ""))
            _next()
        turn = st.session_state.get(f"{KEY}_turn", 0)  # a new field after each note; a refused one stays
        start = st.session_state.get(f"{key}_start", "")
        typed = st.text_area(
            _("New note"),
            start,
            key=f"{KEY}_body_{customer_id}_{turn}",
            height=90,
            placeholder=_("What happened?"),
        )
        if st.button(_("Add note"), type="primary", key=f"{KEY}_add", shortcut=SAVE_KEYS):
            body = typed
        else:
            drafts.follow(key, form, {"body": typed} if typed.strip() else {}, viewer=viewer)
    refusal = st.session_state.pop(f"{KEY}_refused", None)
    if refusal:
        st.error(wording.sentence(refusal))
    return body


def added(customer_id: int, *, viewer: Viewer) -> None:
    """Empty the field at the next drawing; its draft goes."""
    drafts.done(f"{KEY}_{customer_id}", f"note:{customer_id}", viewer=viewer)
    st.session_state.pop(f"{KEY}_{customer_id}_start", None)
    _next()


def refused(error: Invalid) -> None:
    """Say under the field what is wrong with the note, which stays there."""
    st.session_state[f"{KEY}_refused"] = " ".join([error.message, *error.fields.values()])
    st.rerun()


def _next() -> None:
    st.session_state[f"{KEY}_turn"] = st.session_state.get(f"{KEY}_turn", 0) + 1
