"""What a search in the written word found: one card for each hit, with the piece of text around it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from components import format, places, tables, timeline_view, wording
from db.event_words import KIND_NAMES
from db.words import N_, _

NAMES = {**KIND_NAMES, "note": N_("Note"), "task": N_("Task"), "file": N_("File")}
TABS = {"tasks": "tasks", "files": "files"}
"""Where on the customer's page a part stands; the others are on the timeline, narrowed by the same words."""


def draw(rows: pd.DataFrame, *, words: str, zone: str) -> None:
    """The hits of a page, each with the way to its customer."""
    for row in tables.each(rows):
        with st.container(border=True, gap="xsmall", key=f"said_{row.part}_{row.customer_id}_{row.id}"):
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                tab = TABS.get(row.part)
                there = {"customer_tab": tab} if tab else {"customer_words": words}
                places.link(
                    "customer", wording.plain(row.customer), icon=":material/person:", id=str(row.customer_id), **there
                )
                when = format.instant(row.written_at, zone)
                icon = timeline_view.ICONS.get(row.kind, ":material/attach_file:")
                said = wording.line(_(NAMES[row.kind]), when, wording.plain(wording.actor(row.who)))
                st.caption(f"{icon} {said}", width="content")
            if row.title and row.title != f"{row.before}{row.hit}{row.after}":
                st.markdown(f"**{wording.plain(row.title)}**")
            st.markdown(_piece(row.before, row.hit, row.after))


def _piece(before: str, hit: str, after: str) -> str:
    """The text with the hit on a ground of its own, and nothing that a user wrote taken for markup."""
    marked = f":primary-background[{wording.plain(hit)}]" if hit else ""
    return f"{wording.plain(before)}{marked}{wording.plain(after)}"
