"""Whether a customer may be called or written to: marks beside the name, and the card that keeps what they said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from components import controls, data, format, tables, wording
from db import consents
from db.around_words import CHANNEL_NAMES, CLOSED, CLOSED_NAMES, MOST_SOURCE, NOT_ASKED, STATE_NAMES
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.words import _

KEY = "customer_consent"
COLOURS = {"given": "green", "refused": "red", "withdrawn": "red", "": "gray"}
SHOWN = 10
"""Lines of what was said before."""
MIDDAY = time(12)


def marks(customer_id: int, viewer: Viewer) -> Mapping[str, consents.Consent]:
    """What the customer does not want, in a line; nothing where they want all or were not asked. Gives what holds."""
    now = data.read(consents.current, viewer=viewer, customer_id=customer_id)
    closed = [channel for channel, consent in now.items() if consent.state in CLOSED]
    if closed:
        with st.container(horizontal=True, gap="small", key=f"{KEY}_marks"):
            for channel in closed:
                st.badge(_(CLOSED_NAMES[channel]), icon=":material/block:", color="red")
    return now


def card(customer_id: int, viewer: Viewer, now: Mapping[str, consents.Consent], *, zone: str, today: date) -> None:
    """What holds for each channel, what was said before, and the form that keeps what is said now."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{_('Consents')}**", width="content")
        if viewer.can(Permission.CUSTOMERS_EDIT):
            sent = _form(customer_id, today)
            if sent:
                _record(sent, viewer=viewer, customer_id=customer_id, zone=zone)
    with st.container(border=True, gap="xsmall"):
        for channel, consent in now.items():
            _line(channel, consent, zone=zone)
    _before(customer_id, viewer, zone=zone)


def _line(channel: str, consent: Any, *, zone: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(_(CHANNEL_NAMES[channel]), width=110)
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key=f"{KEY}_line_{channel}"):
            state = STATE_NAMES.get(consent.state, NOT_ASKED)
            st.badge(_(state), color=COLOURS[consent.state])  # type: ignore[arg-type]
            if consent.happened_at:
                day = format.day(consent.happened_at.astimezone(ZoneInfo(zone)).date())
                said = wording.line(day, wording.plain(consent.source))
                st.caption(said, width="content")


def _before(customer_id: int, viewer: Viewer, *, zone: str) -> None:
    rows = data.read(consents.history, viewer=viewer, customer_id=customer_id, limit=SHOWN + 1)
    if rows.empty:
        st.caption(_("The customer was not asked yet. Not asked is not a yes."))
        return
    with st.expander(_("All that was said")):
        for row in tables.each(rows.head(SHOWN)):
            what = wording.labelled(_(CHANNEL_NAMES[row.channel]), _(STATE_NAMES[row.state]))
            who = wording.plain(wording.actor(row.author))
            source = _("hidden from your role") if viewer.masked else wording.plain(row.source)
            st.caption(wording.line(what, format.instant(row.happened_at, zone), source, who))
        if len(rows) > SHOWN:
            st.caption(_("The last {n} are shown; the others are in the history.").format(n=SHOWN))


def _form(customer_id: int, today: date) -> dict[str, Any] | None:
    """The form in a popover; what was entered when it was sent. A refused one keeps it and says what is wrong."""
    turn = f"{customer_id}_{st.session_state.get(f'{KEY}_turn', 0)}"
    refused: Invalid | None = st.session_state.pop(f"{KEY}_refused", None)
    problems: Mapping[str, str] = refused.fields if refused else {}
    with (
        st.popover(_("Record consent"), icon=":material/add:", key=f"{KEY}_{turn}", type="tertiary"),
        st.form(f"{KEY}_form_{turn}", border=False, enter_to_submit=False),
    ):
        channel = _choice(_("Channel"), CHANNEL_NAMES, f"{KEY}_channel_{turn}")
        state = _choice(_("Consent"), STATE_NAMES, f"{KEY}_state_{turn}")
        how = st.text_input(
            _("How you know") + " *",
            key=f"{KEY}_how_{turn}",
            placeholder=_("for example: signed the form in the store"),
            help=_("At most {n} characters.").format(n=f"{MOST_SOURCE:,}"),
        )
        day = st.date_input(_("Day"), today, max_value=today, key=f"{KEY}_day_{turn}", width=160)
        for name in ("channel", "state", "how", "happened_at"):
            if name in problems:
                st.error(wording.sentence(problems[name]))
        if not st.form_submit_button(_("Save consent"), type="primary", key=f"{KEY}_save_{turn}"):
            return None
    return {"channel": channel, "state": state, "how": how, "day": None if day == today else day}


def _choice(label: str, names: Mapping[str, str], key: str) -> str:
    """One of the codes, the first to begin with."""
    chosen: str | None = st.segmented_control(
        label,
        list(names),
        default=next(iter(names)),
        required=True,
        format_func=lambda code: _(names[code]),
        key=key,
        wrap=True,
    )
    return chosen or ""


def _record(values: dict[str, Any], *, viewer: Viewer, customer_id: int, zone: str) -> None:
    day: date | None = values.pop("day")
    at = datetime.combine(day, MIDDAY, ZoneInfo(zone)) if day else None
    try:
        done = data.write(
            consents.record, actor=viewer, customer_id=customer_id, happened_at=at, screen="customer", **values
        )
    except Invalid as error:
        st.session_state[f"{KEY}_refused"] = error
        st.rerun()
    st.session_state[f"{KEY}_turn"] = st.session_state.get(f"{KEY}_turn", 0) + 1
    controls.saved(done, _("Consent recorded."))
