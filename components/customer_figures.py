"""How a customer buys, for the page: interval and next purchase as cards, scores and interests in a line of words."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import streamlit as st

from components import data, format, wording
from db import interests as interests_query
from db import visibility
from db.metrics import CUSTOMER_METRICS
from db.permissions import Viewer
from db.rhythm import SCORE_WORDS
from db.words import _, ngettext


def rhythm(customer: Any, today: date) -> None:
    """The two cards beside the other figures; a purchase that is late says so in a word and a colour."""
    every, due = customer.interval_days, customer.due_on
    unknown = _("not known yet")
    told = ngettext("{n} day", "{n} days", every or 0).format(n=format.number(every)) if every is not None else unknown
    metric = CUSTOMER_METRICS["interval"]
    st.metric(_(metric.name), told, border=True, height="stretch", help=_(metric.formula))
    metric = CUSTOMER_METRICS["next_due"]
    shown: dict[str, Any] = {"border": True, "height": "stretch", "help": _(metric.formula)}
    if due is None:
        st.metric(_(metric.name), unknown, **shown)
        return
    # The year would be cut on a phone.
    shown["help"] += "\n\n" + _("Exactly: {value}").format(value=format.day(due))
    colour: Literal["orange", "green", "gray"] = "orange" if due < today else "green" if due == today else "gray"
    st.metric(_(metric.name), format.short_day(due), wait(due, today), delta_color=colour, delta_arrow="off", **shown)


def wait(due: date, today: date) -> str:
    """'overdue by 3 days', 'due today', 'in 5 days'."""
    n = (due - today).days
    if n == 0:
        return _("due today")
    if n < 0:
        return ngettext("overdue by {n} day", "overdue by {n} days", -n).format(n=format.number(-n))
    return ngettext("in {n} day", "in {n} days", n).format(n=format.number(n))


def scores(customer: Any) -> None:
    """The three scores in one line of words; nothing before they are known."""
    called = {"r_score": _("recency"), "f_score": _("frequency"), "m_score": _("revenue")}
    parts = []
    for name, label in called.items():
        score = getattr(customer, name)
        if score is not None:
            parts.append(
                _("{name} {score} of 5 ({words})").format(
                    name=label, score=score, words=_(SCORE_WORDS[name][score - 1])
                )
            )
    if parts:
        st.caption(_("Beside all customers: {scores}").format(scores=" · ".join(parts)))


def interests(customer: Any, *, viewer: Viewer, currency: str) -> None:
    """The categories that most was spent on, with their share, as one more line of the portrait."""
    if not customer.orders:
        return
    found = data.read(interests_query.interests, viewer=viewer, customer_id=customer.id, currency=currency)
    if not found:
        return
    metric = CUSTOMER_METRICS["interests"]
    with st.container(gap=None):
        st.caption(_(metric.name), help=_(metric.formula))
        st.text(" · ".join(f"{category.title()} {format.percent(share)}" for category, share in found))


def seen_by(customer: Any, viewer: Viewer) -> None:
    """Who sees this customer, and why, in one line: by role and team; nobody is named but the owner."""
    told = visibility.by_role(customer.owner, customer.team)
    why = _("Why you see it: {reason}.").format(reason=visibility.why(viewer, customer.owner_id))
    st.caption(":material/visibility: " + wording.sentence(wording.run_on(told, why)))
