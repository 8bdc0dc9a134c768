"""The timeline of a customer: one card for each thing that happened, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from components import controls, format, history_lines, tables, wording
from db.event_words import DIRECTION_NAMES, KIND_NAMES, OUTCOMES, PARTS, WRITTEN
from db.task_words import TASK_KIND_NAMES
from db.words import _, ngettext

ICONS = {
    "order": ":material/shopping_cart:",
    "call": ":material/call:",
    "mail": ":material/mail:",
    "meeting": ":material/groups:",
    "message": ":material/chat:",
    "note": ":material/sticky_note_2:",
    "task": ":material/task_alt:",
    "received": ":material/campaign:",
    "redeemed": ":material/redeem:",
}


def narrowed(*, hidden: bool) -> tuple[str, str]:
    """What of the timeline is looked at, '' being all of it, and the words that it must hold.

    Who does not read what people write (`hidden`) has no words to look for.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        part = controls.select(
            "customer_part", _("What happened"), list(PARTS), _("Everything"), lambda code: _(PARTS[code])
        )
        if hidden:
            return part, ""
        words = st.text_input(
            _("Search in what was written"),
            key="customer_words",
            type="search",
            bind="query-params",
            max_chars=200,
            icon=":material/search:",
            placeholder=_("A word from a note, a call, a mail or a finished task"),
            width=360,
        )
    return part, words.strip()


def draw(rows: pd.DataFrame, *, zone: str, may_write: bool, hidden: bool) -> int | None:
    """The events of a page; gives the id of a talk that is to be deleted. `hidden`: texts are withheld."""
    asked: int | None = None
    with st.container(gap="xsmall", key="kehu_events"):
        for row in rows.itertuples():
            with st.container(border=True, gap="xsmall"):
                with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                    icon = ICONS.get(str(row.kind), ":material/history:")
                    st.markdown(f"{icon} **{_title(row)}**", width="content")
                    with st.container(horizontal=True, vertical_alignment="center", width="content"):
                        st.caption(_when(row, zone), width="content")
                        if may_write and row.part == "talks" and _delete_button(int(row.id)):  # type: ignore[arg-type]
                            asked = int(row.id)  # type: ignore[arg-type]
                for written in (row.title, row.body) if row.part in WRITTEN else ():
                    if written:
                        st.text(written)
                if hidden and row.part in WRITTEN:
                    st.text(_("hidden from your role"))
    return asked


def foot(number: int, page_size: int, shown: int, totals: Mapping[str, int], chosen: str) -> None:
    """Where in the list one is, how many there are of what, and the pages."""
    total = totals[chosen] if chosen else sum(totals.values())
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        counted = [f"{_(PARTS[name])} {format.number(n)}" for name, n in totals.items() if n]
        place = tables.position((number - 1) * page_size, shown, total)
        st.caption(wording.line(place, *(counted if not chosen else ())), width="content")
        controls.turner("customer_timeline_page", number, -(-total // page_size))


def _title(row: Any) -> str:
    """What it was, as markup."""
    match row.part:
        case "orders":
            amount = wording.plain(format.money(row.amount, row.currency))
            lines = int(row.lines)
            counted = ngettext("{n} line", "{n} lines", lines).format(n=format.number(lines))
            return wording.line(_("Order"), amount, counted)
        case "talks":
            minutes = _("{n} min").format(n=int(row.minutes)) if pd.notna(row.minutes) else ""
            direction = _(DIRECTION_NAMES[row.direction]) if row.direction else ""
            outcome = _(OUTCOMES[row.outcome]) if row.outcome in OUTCOMES else wording.plain(row.outcome)
            return wording.line(_(KIND_NAMES[row.kind]), direction, minutes, outcome)
        case "notes":
            return _("Note")
        case "tasks":
            return wording.line(_("Task finished"), _(TASK_KIND_NAMES[row.outcome]))
        case "campaigns":
            name = wording.plain(wording.campaign(row.title))
            template = _("Received: {name}") if row.kind == "received" else _("Redeemed for the first time: {name}")
            return template.format(name=name)
    return wording.plain(history_lines.title(row.kind, 1 if row.lines else None))


def _when(row: Any, zone: str) -> str:
    """The moment, or the day where no more is known; who, and where."""
    when = format.instant(row.happened_at, zone) if pd.notna(row.happened_at) else format.day(row.happened_on)
    who = wording.plain(wording.actor(row.who)) if row.who or row.part == "changes" else ""
    store = f"{_('Store')} {wording.plain(row.title)}" if row.title else ""
    where = {"orders": store, "changes": history_lines.source(row.title)}.get(row.part, "")
    return wording.line(when, who, where)


def _delete_button(interaction_id: int) -> bool:
    return st.button(
        _("Delete"), icon=":material/delete:", key=f"customer_talk_delete_{interaction_id}", type="tertiary"
    )
