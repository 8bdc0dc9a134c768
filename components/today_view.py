"""The pieces of the salesperson's day beside the tasks: the greeting, the way to a customer, quiet and recent ones."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from components import format, history_lines, places, task_list, wording
from db import clock
from db.words import _


def greeting(name: str, zone: str) -> str:
    """By the company's time of day."""
    hour = clock.now().astimezone(ZoneInfo(zone)).hour
    if 5 <= hour < 12:
        template = _("Good morning, {name}")
    else:
        template = _("Good afternoon, {name}") if 12 <= hour < 18 else _("Good evening, {name}")
    return template.format(name=wording.plain(name))


def search() -> None:
    """The box that leads to the list of customers with the words that were typed."""
    with (
        st.form("today_find", border=False, clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom", gap="small"),
    ):
        words = st.text_input(
            _("Search"),
            key="today_words",
            max_chars=200,
            icon=":material/search:",
            placeholder=wording.searched(masked=False),
            label_visibility="collapsed",
        )
        sent = st.form_submit_button(_("Search"), key="today_search")
    if sent and words.strip():
        places.go("customers", customers_search=words.strip())


def quiet(rows: pd.DataFrame, *, of: str, currency: str, today: date, days: int) -> None:
    """Who used to buy and is forgotten, highest revenue first, with the rule; `of` is their owner, '' for oneself."""
    with st.container(border=True, gap="small"):
        rule = _(
            "Customers that you own, or the chosen person does, who have bought before, and since {days} days: no "
            "order, no call, mail, meeting or message, no note; nor a task for them. Those with the highest revenue "
            "come first."
        ).format(days=days)
        st.markdown(f"**{_('Quiet customers')}** · {wording.plain(of) if of else _('my own')}", help=rule)
        if rows.empty:
            st.caption(_("None of these customers who used to buy has been quiet for {days} days.").format(days=days))
        for row in rows.itertuples():
            last = _("last order {when}").format(when=format.ago(row.last_order_on, today))  # type: ignore[arg-type]
            _customer(row, wording.line(wording.plain(format.money(row.revenue, currency)), last), "quiet")  # type: ignore[arg-type]


def recent(rows: pd.DataFrame, *, zone: str) -> None:
    """The customers one worked with last, and what it was."""
    with st.container(border=True, gap="small"):
        st.markdown(f"**{_('Recent customers')}**")
        if rows.empty:
            st.caption(_("The customers you talk to or change appear here."))
        for row in rows.itertuples():
            at: datetime = row.made_at  # type: ignore[assignment]
            what = wording.plain(history_lines.title(str(row.command), None))
            _customer(row, wording.line(what, format.instant(at, zone)), "recent")


def _customer(row: object, told: str, part: str) -> None:
    """One customer: the way to the page, what there is to know, and the telephone."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
        with st.container(gap=None, width="content"):
            name, number, phone = (getattr(row, column) for column in ("name", "id", "phone"))
            places.link("customer", wording.plain(name), icon=":material/person:", id=str(number))
            st.caption(told)
        task_list.call_button(phone, f"today_{part}_call_{number}")
