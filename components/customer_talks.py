"""What is said with a customer: the parts of its page that log, list and delete talks and notes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from components import controls, customer_tabs, data, next_task, note_field, page, talk_form, timeline_view, wording
from db import customer, interactions
from db import timeline as events
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.words import _

PAGE = 20
MIDDAY = time(12)
"""When on another day something happened that was logged with its day alone."""


@page.fragment
def form(*, viewer: Viewer, customer_id: int, today: date, zone: str) -> None:
    """The form of a talk, which keeps what is typed as a draft; leaving a field runs only this."""
    values = talk_form.draw(customer_id, today, viewer=viewer, zone=zone)
    if values:
        log(values, viewer=viewer, customer_id=customer_id, zone=zone)


def log(values: Mapping[str, Any], *, viewer: Viewer, customer_id: int, zone: str) -> None:
    """Keep what the form was sent with, offer the task that follows, and draw the page anew."""
    given = dict(values)
    day: date | None = given.pop("day")
    at = datetime.combine(day, MIDDAY, ZoneInfo(zone)) if day else None
    try:
        done = data.write(
            interactions.log, actor=viewer, customer_id=customer_id, happened_at=at, screen="customer", **given
        )
    except Invalid as error:
        talk_form.refused(error)
    else:
        talk_form.saved(customer_id, viewer=viewer)
        next_task.suggest(customer_id, given["outcome"])
        controls.saved(done, _("Saved to the timeline."))


def timeline(*, viewer: Viewer, customer_id: int, zone: str) -> None:
    """The timeline, of one part or all, page by page."""
    part, words = timeline_view.narrowed(hidden=viewer.masked)
    question = {"customer_id": customer_id, "zone": zone, "part": part, "words": words, "limit": PAGE}
    number = controls.page_number("customer_timeline_page", (customer_id, part, words))
    found = data.read(events.timeline, viewer=viewer, offset=(number - 1) * PAGE, **question)
    if found.rows.empty and number > 1:  # a link to a page that is no longer there
        number = 1
        found = data.read(events.timeline, viewer=viewer, offset=0, **question)
    may_write = viewer.can(Permission.CUSTOMERS_EDIT)
    if found.rows.empty and words:
        st.info(_("Nothing written here holds this. Try fewer words, or another part of them."))
        return
    if found.rows.empty:
        nothing = _("Nothing of this kind has happened yet.") if part else _("Nothing has happened here yet.")
        next_step = _("Log a call with the button above.") if may_write else ""
        st.info(wording.run_on(nothing, next_step))
        return
    gone = timeline_view.draw(found.rows, zone=zone, may_write=may_write, hidden=viewer.masked)
    timeline_view.foot(number, PAGE, len(found.rows), found.totals, part)
    if gone:
        done = data.write(
            interactions.delete, actor=viewer, customer_id=customer_id, interaction_id=gone, screen="customer"
        )
        controls.saved(done, _("Deleted from the timeline."))


def notes(*, viewer: Viewer, customer_id: int, zone: str) -> None:
    """The notes, with a field for the next."""
    may_write = viewer.can(Permission.CUSTOMERS_EDIT)
    if may_write:
        new_note(viewer=viewer, customer_id=customer_id, zone=zone)
    written = data.read(customer.notes, viewer=viewer, customer_id=customer_id)
    gone = customer_tabs.notes(written, zone=zone, may_write=may_write, hidden=viewer.masked)
    if gone:
        done = data.write(customer.delete_note, actor=viewer, customer_id=customer_id, note_id=gone, screen="customer")
        controls.saved(done, _("Note deleted."))


@page.fragment
def new_note(*, viewer: Viewer, customer_id: int, zone: str) -> None:
    """The field of a new note; leaving it runs only this, and keeps a draft."""
    text = note_field.draw(customer_id, viewer=viewer, zone=zone)
    if text is None:
        return
    try:
        done = data.write(customer.add_note, actor=viewer, customer_id=customer_id, body=text, screen="customer")
    except Invalid as error:
        note_field.refused(error)
    else:
        note_field.added(customer_id, viewer=viewer)
        controls.saved(done, _("Note added."))
