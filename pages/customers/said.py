"""What was written of all customers in sight, searched: notes, calls and mails, tasks, names of files."""

from __future__ import annotations

import streamlit as st

from components import controls, data, explain, page, said_view, tables
from db import full_text
from db.full_text import PAGE, PARTS
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.PERSONAL_READ)
zone = page.settings().time_zone
page.heading(_("Notes and talks"), explain.whose(viewer))


@page.fragment
def search() -> None:
    """The box and what it finds; typing re-runs only this."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            _("Search"),
            key="said_words",
            type="search",
            live="200ms",
            bind="query-params",
            max_chars=200,
            icon=":material/search:",
            placeholder=_("A word from a note, a call, a mail, a task or a file's name"),
        ).strip()
        part = controls.select("said_part", _("Look in"), list(PARTS), _("Everything"), lambda code: _(PARTS[code]))
    if not words:
        st.info(
            _(
                "Type what was written: in notes, calls, mails, meetings, tasks and names of files. Several words must "
                "all occur; of Chinese, one character is enough."
            )
        )
        return
    question = {"words": words, "part": part}
    asked = controls.page_number("said_page", tuple(question.values()))
    for number in dict.fromkeys((asked, 1)):
        found = data.read(full_text.find, viewer=viewer, offset=(number - 1) * PAGE, limit=PAGE, **question)
        if not found.rows.empty:
            break
    if found.left_out:
        st.warning(_("This took too long and was stopped. Type a rarer word, or choose where to look."))
        return
    if found.rows.empty:
        st.info(_("Nobody wrote this. Try fewer words, or another part of them."))
        return
    said_view.draw(found.rows, words=words, zone=zone)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        place = tables.position((number - 1) * PAGE, len(found.rows), found.total, more=found.more)
        st.caption(place, width="content")
        controls.turner("said_page", number, -(-found.total // PAGE))
        explain.share(viewer)


search()
