"""The form that starts a campaign from a segment: by which way, when, who is held out, and who would receive it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

import streamlit as st

from components import controls, data, format, page, wording
from db import campaign_start, segments
from db.around_words import CHANNEL_NAMES
from db.campaign_start import MOST_DAYS, MOST_HELD, MOST_KIND, MOST_MEMBERS, MOST_NAME, Reach
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.words import _, ngettext

KEY = "campaign_start"
DAYS = 14
"""How long a campaign lasts unless one says otherwise."""


def button(viewer: Viewer, *, rule: str, saved: Any, changed: bool, primary: bool = False) -> None:
    """The button and its dialog, for those who start campaigns. A `saved` segment that was not `changed` is named."""
    if not viewer.can(Permission.CAMPAIGNS_EDIT):
        return
    look: Literal["primary", "secondary"] = "primary" if primary else "secondary"
    if st.button(_("Start a campaign"), icon=":material/campaign:", type=look, key=KEY):
        turn = st.session_state.get(f"{KEY}_turn", 0)
        of = saved.id if saved is not None and not changed else None
        page.dialog(_("Start a campaign"), width="medium")(_form)(viewer, rule, of, f"{KEY}_{turn}")


def _form(viewer: Viewer, rule: str, segment_id: int | None, key: str) -> None:
    """What is asked, who would receive it, and the button that does it."""
    today = page.today()
    problems: dict[str, str] = st.session_state.pop(f"{key}_problems", {})
    st.caption(_("The list is fixed when you start. Kehu sends nothing: you call or write, or hand the list on."))
    values: dict[str, Any] = {}
    # In rows: on a phone they stand one under the other in this order.
    left, right = st.columns(2)
    with left:
        values["name"] = st.text_input(_("Name") + " *", key=f"{key}_name", max_chars=MOST_NAME)
        _problem(problems, "name")
    with right:
        values["kind"] = st.text_input(_("Type") + " *", _("List"), key=f"{key}_kind", max_chars=MOST_KIND)
        _problem(problems, "kind")
    left, right = st.columns(2)
    with left:
        values["starts_on"] = _day(_("First day"), today, today, f"{key}_starts")
        _problem(problems, "starts_on")
    with right:
        values["ends_on"] = _day(_("Last day"), today + timedelta(days=DAYS - 1), today, f"{key}_ends")
        _problem(problems, "ends_on")
    by: str = st.segmented_control(
        _("Channel"),
        list(CHANNEL_NAMES),
        default="phone",
        required=True,
        format_func=lambda code: _(CHANNEL_NAMES[code]),
        key=f"{key}_channel",
        wrap=True,
    )
    held: int = st.number_input(
        _("Held out at random (%)"),
        0,
        MOST_HELD,
        0,
        key=f"{key}_held",
        help=_("They receive nothing. What they buy anyway shows what the campaign brings about."),
    )
    unasked = st.toggle(_("Include customers who were never asked for consent"), key=f"{key}_unasked")
    asked = {"channel": by, "percent": int(held), "unasked": unasked}
    try:
        found = data.read(campaign_start.reach, viewer=viewer, rule=rule, today=today, **asked)
    except Invalid as error:
        page.say(error)
        return
    _told(found, by, unasked=unasked)
    st.caption(
        _(
            "At most {most} customers and {days} days. You can take the whole campaign back until somebody redeems."
        ).format(most=f"{MOST_MEMBERS:,}", days=MOST_DAYS)
    )
    label = ngettext("Start with {n} customer", "Start with {n} customers", found.received)
    label = label.format(n=format.number(found.received))
    if st.button(label, type="primary", key=f"{key}_go", disabled=not found.received):
        _start(viewer, rule, values | asked, {"segment_id": segment_id, "expected": found.received}, f"{key}_problems")


def _day(label: str, begun: date, today: date, key: str) -> date:
    latest = today + timedelta(days=2 * MOST_DAYS)
    return st.date_input(label, begun, min_value=today, max_value=latest, key=key)


def _problem(problems: Any, name: str) -> None:
    if name in problems:
        st.markdown(f":red[:material/error: {wording.plain(problems[name])}]")


def _start(viewer: Viewer, rule: str, values: dict[str, Any], more: dict[str, Any], place: str) -> None:
    today = page.today()
    ids = data.read(segments.who, viewer=viewer, rule=rule, today=today, limit=MOST_MEMBERS + 1)
    try:
        begun = data.write(campaign_start.start, actor=viewer, ids=ids, today=today, screen="segment", **values, **more)
    except Invalid as error:
        if not error.fields:
            raise
        st.session_state[place] = error.fields
        st.rerun(scope="fragment")
    st.session_state[f"{KEY}_turn"] = st.session_state.get(f"{KEY}_turn", 0) + 1  # an empty form the next time
    n = begun.reach.received
    said = ngettext("Started: {n} customer receives it.", "Started: {n} customers receive it.", n)
    controls.saved(
        begun.change_set_id,
        said.format(n=format.number(n)),
        leave_to="campaign",
        id=str(begun.campaign_id),
    )


def _told(found: Reach, channel: str, *, unasked: bool) -> None:
    """Who would receive it, who would not and why, who is held out; the parts are the whole."""
    said = _("{n} of {total} will receive it.").format(
        n=format.number(found.received), total=format.number(found.chosen)
    )
    st.markdown(f"**{said}**")
    reasons = left_out(found, channel)
    if reasons:
        st.markdown("\n".join(f"- {reason}" for reason in reasons))
    if found.unasked and not unasked:
        st.caption(_("Ask first, or include them if you may write to them without being asked."))


def left_out(found: Reach, channel: str) -> list[str]:
    """For each reason how many do not receive a campaign; nothing of those of which there are none."""
    missing = {
        "phone": ngettext("{n} has no phone", "{n} have no phone", found.unreachable),
        "sms": ngettext("{n} has no phone", "{n} have no phone", found.unreachable),
        "wechat": ngettext("{n} has no WeChat", "{n} have no WeChat", found.unreachable),
        "mail": ngettext("{n} has no e-mail", "{n} have no e-mail", found.unreachable),
        "post": ngettext("{n} has no postal address", "{n} have no postal address", found.unreachable),
    }
    parts = (
        (found.refused, ngettext("{n} said no", "{n} said no", found.refused)),
        (found.unreachable, missing[channel]),
        (found.unasked, ngettext("{n} was never asked", "{n} were never asked", found.unasked)),
        (found.held_out, ngettext("{n} is held out at random", "{n} are held out at random", found.held_out)),
    )
    return [said.format(n=format.number(n)) for n, said in parts if n]
