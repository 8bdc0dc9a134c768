"""The tags of a customer under its header: badges, and one step each to add and to remove."""

from __future__ import annotations

import streamlit as st

from components import controls, data, page, wording
from db import tags
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.tags import MOST_COUNTED, MOST_TAG, MOST_TAGS
from db.words import _

KEY = "customer_tags"


def draw(customer_id: int, *, viewer: Viewer, screen: str) -> None:
    """The badges; for who may edit also the way to add and remove."""
    held = data.read(tags.of_customer, viewer=viewer, customer_id=customer_id)
    may_edit = viewer.can(Permission.CUSTOMERS_EDIT)
    if not held and not may_edit:
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=KEY):
        for one in held:
            st.badge(wording.plain(one.tag), color="gray", icon=":material/sell:")
        if not may_edit:
            return
        turn = f"{customer_id}_{st.session_state.get(f'{KEY}_turn', 0)}"
        popover = f"{KEY}_{turn}"
        with st.popover(
            _("Tags"), icon=":material/new_label:", type="tertiary", key=popover, on_change="rerun"
        ) as opened:
            # What others have is asked for only when one looks for it.
            word = _chosen({tags.key(one.tag) for one in held}, viewer, turn) if opened.open else None
            gone = _removed(held)
    refused: Invalid | None = st.session_state.pop(f"{KEY}_refused", None)
    if refused:
        page.say(refused)
    if word is not None:
        try:
            done = data.write(tags.add, actor=viewer, customer_id=customer_id, tag=word, screen=screen)
        except Invalid as error:
            st.session_state[f"{KEY}_refused"] = error
            _next()
            st.rerun()
        else:
            _next()
            controls.saved(done, _("Tag added."))
    if gone is not None:
        done = data.write(tags.remove, actor=viewer, customer_id=customer_id, tag_id=gone, screen=screen)
        _next()
        controls.saved(done, _("Tag removed."))


def _chosen(held: set[str], viewer: Viewer, turn: str) -> str | None:
    """A tag that others have, or a new one; None without a choice."""
    used = data.read(tags.in_use, viewer=viewer)
    counts = {tag: int(n) for tag, n in zip(used["tag"], used["customers"], strict=True) if tags.key(tag) not in held}
    chosen: str | None = st.selectbox(
        _("Add a tag"),
        list(counts),
        index=None,
        format_func=lambda tag: named(tag, counts.get(tag, 0)),
        placeholder=_("Choose one or type a new one"),
        accept_new_options=True,
        key=f"{KEY}_add_{turn}",
        help=_(
            "At most {most} characters, and {tags} tags on a customer. Whatever its case, a tag is the same."
        ).format(most=MOST_TAG, tags=MOST_TAGS),
        width=280,
    )
    return chosen


def named(tag: str, n: int) -> str:
    """A tag with how many customers have it."""
    if not n:
        return tag
    return f"{tag} ({MOST_COUNTED:,}+)" if n > MOST_COUNTED else f"{tag} ({n:,})"


def _removed(held: list[tags.Tag]) -> int | None:
    gone = None
    for one in held:
        if st.button(
            wording.plain(one.tag), icon=":material/close:", key=f"{KEY}_remove_{one.id}", help=_("Remove this tag")
        ):
            gone = one.id
    return gone


def _next() -> None:
    """Nothing is chosen at the next drawing."""
    st.session_state[f"{KEY}_turn"] = st.session_state.get(f"{KEY}_turn", 0) + 1
