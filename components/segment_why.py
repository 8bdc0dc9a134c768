"""Why a customer is in a segment or is not: the conditions that decide, with the customer's own values beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import streamlit as st

from components import controls, data, format, places, wording
from components.segment_choices import Choices
from db import customers, rule_words, segment_reasons
from db.errors import NotFound
from db.fields import Kind
from db.permissions import Permission, Viewer
from db.rules import Condition, Group
from db.words import _, ngettext

PARAMETER = "segment_who"
MOST_HITS = 8
MOST_ID = 10**18


def card(question: Mapping[str, Any], choices: Choices, *, reason: Callable[..., Any], currency: str) -> None:
    """A search for a customer and what decides about them; `question` is the viewer, the rule and the day.

    `reason` is analytics.reasons.reason. The customer stands in the address.
    """
    viewer: Viewer = question["viewer"]
    if not viewer.can(Permission.CUSTOMERS_READ):
        return
    with st.container(border=True, key="segment_why"):
        st.markdown("**" + _("Why in, why not") + "**")
        chosen = _chosen(viewer, question["today"])
        if chosen is None:
            return
        try:
            found = data.read(segment_reasons.weigh, **question, customer_id=chosen)
        except NotFound as error:
            st.info(wording.sentence(error.message))
            return
        why = reason(found.tree, found.holds)
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            said = _("{name} is in.") if found.fits else _("{name} is not in.")
            icon = ":material/check_circle:" if found.fits else ":material/cancel:"
            name = wording.plain(found.name) or f"#{chosen}"
            st.markdown(f"{icon} **{said.format(name=name)}**", width="content")
            places.link("customer", _("Open"), icon=":material/open_in_full:", id=str(chosen))
        _decisive(found, why, choices, currency)
        _turn(found, why, choices)


def _chosen(viewer: Viewer, today: date) -> int | None:
    """The customer of the address, or the one picked among what was searched for."""
    words = st.text_input(
        _("Customer"),
        key="segment_who_words",
        max_chars=100,
        icon=":material/search:",
        placeholder=_("Number or tag") if viewer.masked else _("A customer's name or number"),
        label_visibility="collapsed",
    )
    held = controls.whole(st.query_params.get(PARAMETER, ""), MOST_ID)
    if not words.strip():
        return held
    rows = data.read(customers.search, viewer=viewer, today=today, words=words, limit=MOST_HITS).rows
    if rows.empty:
        st.caption(_("Nobody is found by these words."))
        return None
    names = {int(row["id"]): _hit(row) for row in rows.to_dict("records")}
    picked: int | None = st.selectbox(
        _("Which customer"),
        list(names),
        index=list(names).index(held) if held in names else 0,
        format_func=names.__getitem__,
        key=f"segment_who_{'_'.join(map(str, names))}",
        label_visibility="collapsed",
    )
    if picked is not None:
        st.query_params[PARAMETER] = str(picked)
    return picked


def _hit(row: Mapping[Any, Any]) -> str:
    return wording.line(str(row["name"]), str(row["city"] or ""), f"#{row['id']}")


def _decisive(found: segment_reasons.Weighed, why: Any, choices: Choices, currency: str) -> None:
    if not why.decisive:
        st.caption(_("The rule says so of every customer."))
        return
    one, several = _("This condition alone decides it:"), _("These conditions decide it, whatever the others are:")
    st.caption(one if len(why.decisive) == 1 else several)
    for i in why.decisive:
        holds = found.holds[i]
        mark = _("holds") if holds else _("does not hold")
        icon = ":material/check:" if holds else ":material/close:"
        asked = wording.plain(_asked(found.conditions[i], choices))
        value = wording.plain(told(found.conditions[i], found.values[i], choices, currency))
        st.markdown(f"- {icon} {asked} · {mark}  \n  " + _("The customer: {value}").format(value=value))
    others = len(found.conditions) - len(why.decisive)
    if others:
        line = ngettext("The other condition makes no difference.", "The other {n} make no difference.", others)
        st.caption(line.format(n=others))
    if not why.exact:
        st.caption(_("So many conditions stand twice in this rule that fewer of them might decide it."))


def _turn(found: segment_reasons.Weighed, why: Any, choices: Choices) -> None:
    """What would have to be otherwise; also for who is in."""
    if not why.turn:
        return
    parts = []
    for i in why.turn:
        template = _("“{condition}” no longer holds") if found.holds[i] else _("“{condition}” holds")
        parts.append(template.format(condition=_asked(found.conditions[i], choices)))
    told_as = _("Would be out as soon as {changes}.") if found.fits else _("Would be in as soon as {changes}.")
    st.markdown(wording.plain(told_as.format(changes=_(" and ").join(parts))))


def _asked(condition: Condition, choices: Choices) -> str:
    return rule_words.sentence(Group("all", (condition,)), choices.named)


def told(condition: Condition, value: Any, choices: Choices, currency: str) -> str:
    """A customer's value as the field is read."""
    field = condition.field
    if (field.column is None and field.kind is not Kind.PERIOD) or isinstance(value, bool):
        return _("yes") if value else _("no")
    if value is None:
        return _("not known")
    written: Mapping[Kind, Callable[[Any], str]] = {
        Kind.PERIOD: lambda n: ngettext("{n} order", "{n} orders", n).format(n=format.number(n)),
        Kind.MONEY: lambda n: format.money(n, currency),
        Kind.NUMBER: format.number,
        Kind.DATE: str,
        Kind.TEXT: str,
        Kind.SEVERAL: lambda each: wording.listed(map(str, each)),
    }
    named = written.get(field.kind)
    return named(value) if named else str(choices.named(field.key, value))


def memberships(customer_id: int, *, viewer: Viewer, today: date) -> None:
    """The segments that a customer is in, and those they are not in, each with the way to why."""
    found = data.read(segment_reasons.kept, viewer=viewer, customer_id=customer_id, today=today)
    if not found:
        st.info(_("In no segment: archived customers are left out of all of them."))
        return
    inside, outside = st.columns(2, gap="medium")
    with inside, st.container(border=True):
        st.markdown("**" + _("In these segments") + "**")
        _listed([one for one in found if one.inside], customer_id)
    with outside, st.container(border=True):
        st.markdown("**" + _("Not in these") + "**")
        _listed([one for one in found if not one.inside], customer_id)
    st.caption(
        _("Of the {n} saved segments first on your list and the ready-made ones; open one to see why.").format(
            n=segment_reasons.MOST_SEGMENTS
        )
    )


def _listed(found: Sequence[segment_reasons.Kept], customer_id: int) -> None:
    if not found:
        st.caption(_("None."))
    for one in found:
        where = {"id": str(one.id)} if one.id else {"segment_ready": one.code}
        places.link("segment", wording.plain(one.name), **where, **{PARAMETER: str(customer_id)})
