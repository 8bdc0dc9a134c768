"""Tasks as a list: each with its day, and what one can do with it under the thumb."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from components import format, places, task_form, wording
from db import text
from db.task_words import BUCKETS, PRIORITY_NAMES
from db.words import _, ngettext

ICONS = {
    "call": ":material/call:",
    "mail": ":material/mail:",
    "meeting": ":material/groups:",
    "todo": ":material/task_alt:",
}
Asked = tuple[str, Mapping[str, Any]]
"""What was asked for (finish, reopen, tomorrow, next_week, edit, delete) and the task."""


def draw(
    rows: pd.DataFrame, *, prefix: str, today: date, zone: str, may_edit: bool, with_customer: bool, grouped: bool
) -> Asked | None:
    """The tasks of a page, under the names of their buckets where they are `grouped`; gives what was asked for.

    `prefix` begins the keys of its widgets.
    """
    asked: Asked | None = None
    bucket = ""
    for task in _tasks(rows):
        if grouped and task["bucket"] != bucket:
            bucket = task["bucket"]
            st.markdown(f"**{_(BUCKETS[bucket])}**")
        with st.container(
            border=True,
            horizontal=True,
            horizontal_alignment="distribute",
            vertical_alignment="center",
            gap="small",
            key=f"{prefix}_task_{task['id']}",
        ):
            with st.container(gap="xsmall", width="content"):
                _told(task, today, zone)
                if with_customer:
                    _customer(task)
            if may_edit:
                asked = _actions(task, prefix, today) or asked
    return asked


def counts(totals: Mapping[str, int]) -> str:
    """'2 overdue · 3 due today · …': how many tasks there are of each, without the empty ones."""
    return wording.line(*(f"{_(name)} {format.number(totals[code])}" for code, name in BUCKETS.items() if totals[code]))


def call_button(phone: str, key: str) -> None:
    """A link that dials, where there is a number."""
    digits = text.digits(phone)
    if digits:
        st.link_button(wording.plain(phone), f"tel:+{digits}", icon=":material/call:", key=key)


def due(day: date | None, today: date) -> str:
    """'due today', 'due tomorrow', 'due 3 days ago', else the day itself."""
    if day is None:
        return _("no day")
    n = (day - today).days
    if n in (0, 1):
        return _("due today") if n == 0 else _("due tomorrow")
    if n < 0:
        return ngettext("{n} day overdue", "{n} days overdue", -n).format(n=format.number(-n))
    return _("due {day}").format(day=format.day(day))


def _tasks(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as they are in the database: pandas makes of a missing value what compares with nothing."""
    found = rows.astype(object).where(rows.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]


def _told(task: Mapping[str, Any], today: date, zone: str) -> None:
    """What is to be done; when, how urgent, whose, and from whom."""
    title = wording.plain(task["title"])
    st.markdown(f"{ICONS[task['kind']]} " + (f"~~{title}~~" if task["done_at"] else f"**{title}**"))
    if task["done_at"]:
        when = _("done {when}").format(when=format.instant(task["done_at"], zone))
    else:
        when = due(task["due_on"], today)
        if task["due_time"]:
            when = f"{when} {task['due_time']:%H:%M}"
        if task["due_on"] and task["due_on"] < today:
            when = f":red[{when}]"
    word = _(PRIORITY_NAMES[task["priority"]])
    urgent = "" if task["priority"] == "normal" else _("priority: {word}").format(word=word)
    who, author = (wording.plain(wording.person(task[name])) for name in ("assignee", "author"))
    if author != who:
        who = _("{who}, from {author}").format(who=who, author=author)
    st.caption(wording.line(when, urgent, who))
    if task["body"]:
        st.text(task["body"])


def _customer(task: Mapping[str, Any]) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        name = wording.plain(task["customer"])
        places.link("customer", name, icon=":material/person:", id=str(task["customer_id"]))
        call_button(task["phone"], f"today_call_{task['id']}")


def _actions(task: Mapping[str, Any], prefix: str, today: date) -> Asked | None:
    """The buttons beside a task, and the rest in a menu. What it would not change is not offered."""
    names = {"next_week": _("Next week"), "edit": _("Edit or another day"), "delete": _("Delete")}
    asked: str | None = None
    with st.container(horizontal=True, gap="small", vertical_alignment="center", width="content"):
        if task["done_at"]:
            names = {"delete": names["delete"]}
            if st.button(_("Not done"), icon=":material/undo:", key=f"{prefix}_reopen_{task['id']}"):
                asked = "reopen"
        else:
            if st.button(_("Done"), icon=":material/check:", key=f"{prefix}_finish_{task['id']}"):
                asked = "finish"
            if task["due_on"] == task_form.day_of("next_week", today):
                del names["next_week"]
            if task["due_on"] != task_form.day_of("tomorrow", today) and st.button(
                _("Tomorrow"), icon=":material/schedule:", key=f"{prefix}_tomorrow_{task['id']}"
            ):
                asked = "tomorrow"
        chosen = st.menu_button(
            _("More"),
            list(names),
            format_func=names.__getitem__,
            icon=":material/more_horiz:",
            key=f"{prefix}_more_{task['id']}",
        )
    asked = asked or chosen
    return (asked, task) if asked else None
