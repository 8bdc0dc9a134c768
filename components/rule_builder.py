"""The builder of a segment's rule: conditions in a card, with cards for groups in it, each with its own switch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as made
from datetime import date
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import wording
from components.rule_draft import Card, Draft, Line
from components.segment_choices import Choices
from components.wording import N_
from db import calendar_periods, rules
from db.fields import FIELDS, GROUPS, OPERATORS, Kind
from db.words import _, language

WORDS = {
    "in": N_("is one of"),
    "not in": N_("is none of"),
    "!=": "≠",
    "<=": "≤",
    ">=": "≥",
    "between": N_("from … to"),
    "on": N_("on"),
    "before": N_("before"),
    "after": N_("after"),
    "in the last": N_("in the last … days"),
    "not in the last": N_("not in the last … days"),
    "during": N_("falls in"),
    "not during": N_("does not fall in"),
    "in the next": N_("in the next … days"),
    "anniversary in the next": N_("anniversary in the next … days"),
    "any of": N_("any of"),
    "none of": N_("none of"),
    "all of": N_("all of"),
    "contains": N_("contains"),
    "not contains": N_("does not contain"),
    "is": N_("is exactly"),
    "is not": N_("is not exactly"),
    "yes": N_("yes"),
    "no": N_("no"),
    "within": N_("in the period"),
    "not within": N_("not in the period"),
    "reached": N_("reached"),
    "not reached": N_("not reached"),
    "empty": N_("is not known"),
    "not empty": N_("is known"),
}
"""The operators that are not called by their own sign."""


MOVES = {
    "up": N_("Move up"),
    "down": N_("Move down"),
    "into": N_("Into the group beside it"),
    "out": N_("Out of its group"),
    "wrap": N_("Into a group of its own"),
    "copy": N_("Duplicate"),
}
"""What the menu of a condition or group is called."""


def draw(draft: Draft, *, fields: list[str], choices: Choices, numbers: Callable[[], int]) -> dict[int, DeltaGenerator]:
    """Draw the rule and take in what was changed; gives the places where the effect of each part belongs."""
    drawing = _Drawing(draft, fields, choices, numbers)
    with st.container(border=True):
        draft.match = _switch(f"segment_match_{draft.id}", draft.match)
        drawing.parts(draft)
        drawing.adders(draft, "")
    return drawing.places


@dataclass
class _Drawing:
    draft: Draft
    fields: list[str]
    choices: Choices
    numbers: Callable[[], int]
    places: dict[int, DeltaGenerator] = made(default_factory=dict)

    def parts(self, card: Card) -> None:
        for part in card.parts:
            if isinstance(part, Line):
                self.places[part.id] = _line(part, self)
                continue
            with st.container(border=True, key=f"segment_card_{part.id}"):
                with st.container(horizontal=True, gap="small", key=f"segment_head_{part.id}"):
                    with st.container(horizontal=True):
                        part.match = _switch(f"segment_match_{part.id}", part.match)
                    with st.container(horizontal=True, width="content", gap="xsmall", key=f"segment_ends_{part.id}"):
                        self.menu(part)
                        _remover(part, self.draft)
                self.parts(part)
                with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                    self.adders(part, f"_{part.id}", type="tertiary")
                    self.places[part.id] = st.empty()

    def adders(self, card: Card, key: str, **look: Any) -> None:
        """The buttons below the parts of a group."""
        with st.container(horizontal=True, width="content" if key else "stretch"):
            st.button(
                _("Condition"),
                icon=":material/add:",
                key=f"segment_add{key}",
                on_click=lambda: card.parts.append(Line(self.numbers(), known=self.draft.known)),
                **look,
            )
            if self.draft.may_nest(card):
                st.button(
                    _("Group"),
                    icon=":material/add_box:",
                    key=f"segment_add_group{key}",
                    help=_("Conditions of their own, of which all, any or none must hold"),
                    on_click=lambda: card.parts.append(self._group()),
                    **look,
                )

    def _group(self) -> Card:
        return Card(self.numbers(), "any", [Line(self.numbers(), known=self.draft.known)])

    def menu(self, part: Line | Card) -> None:
        """Where a part can be moved to."""
        key = f"segment_menu_{part.id}"

        def move() -> None:
            how = st.session_state.get(key)
            if how:
                self.draft.move(part.id, how, self.numbers)

        st.menu_button(
            _("Move or duplicate"),
            self.draft.moves(part.id),
            format_func=lambda how: _(MOVES[how]),
            icon=":material/more_vert:",
            key=key,
            type="tertiary",
            on_click=move,
        )


def matches() -> dict[str, str]:
    """The switch of a group in words."""
    return {"all": _("All of these"), "any": _("Any of these"), "none": _("None of these")}


def _switch(key: str, match: str) -> str:
    named = matches()
    chosen: str | None = st.segmented_control(
        _("Which must hold"),
        list(named),
        default=match,
        required=True,
        format_func=named.__getitem__,
        key=f"{key}_{language()}",
        label_visibility="collapsed",
        wrap=True,
    )
    return chosen or match


def _line(line: Line, drawing: _Drawing) -> DeltaGenerator:
    """One condition: a single value stands beside the comparison, a list of them below, its effect last."""
    choices = drawing.choices
    with st.container(gap="xsmall", key=f"segment_line_{line.id}"):
        # The menu and the cross keep their corner, whatever folds beside them.
        with st.container(horizontal=True, gap="small", key=f"segment_head_{line.id}"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                _field(line, drawing.fields)
                if line.field in line.known:
                    _operator(line)
                if line.takes in ("one", "two", "days", "words", "calendar"):
                    line.value = _value(line, choices)
            with st.container(horizontal=True, width="content", gap="xsmall", key=f"segment_ends_{line.id}"):
                drawing.menu(line)
                _remover(line, drawing.draft)
        if line.takes in ("some", "spanned", "span", "step", "counted"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                line.value = _value(line, choices)
        if line.problem:
            st.markdown(f":red[:material/error: {wording.plain(line.problem)}]")
        elif line.problem is not None and line.field:
            st.caption(_("Without a value this condition does not count yet."))
        return st.empty()


def _remover(part: Line | Card, draft: Draft) -> None:
    """A cross; its word is for those who hear the screen."""
    st.button(
        _("Remove"),
        icon=":material/close:",
        key=f"segment_remove_{part.id}",
        type="tertiary",
        on_click=draft.remove,
        args=(part.id,),
    )


def _field(line: Line, fields: list[str]) -> None:
    def named(key: str) -> str:
        return wording.plain(line.known[key].label) + " · " + _(GROUPS[line.known[key].group])

    chosen: str | None = st.selectbox(
        _("Field"),
        fields,
        index=fields.index(line.field) if line.field in fields else None,
        format_func=named,
        placeholder=_("Choose a field"),
        key=f"segment_field_{line.id}_{language()}",
        label_visibility="collapsed",
        width=200,
    )
    if chosen:
        line.choose(chosen)


def _operator(line: Line) -> None:
    known = list(OPERATORS[line.known[line.field].kind])
    chosen: str = st.selectbox(
        _("Comparison"),
        known,
        index=known.index(line.op),
        format_func=_said,
        key=f"segment_op_{line.id}_{line.field}_{language()}",
        label_visibility="collapsed",
        width=150,
    )
    line.compare(chosen)


def _said(op: str) -> str:
    word = WORDS.get(op, op)
    return _(word)


def _value(line: Line, choices: Choices) -> Any:
    """The value's widget by what the operator takes; gives the value as in JSON, None while it is incomplete."""
    key = f"segment_value_{line.id}_{line.field}_{line.takes}"
    most = rules.MOST_ANNIVERSARY if line.op == "anniversary in the next" else rules.MOST_DAYS
    drawn: dict[str, Callable[[], Any]] = {
        "some": lambda: _several(line, key, line.value or [], choices) or None,
        "one": lambda: _scalar(line, key, _("Value"), line.value),
        "two": lambda: _both(line, key),
        "words": lambda: _words(key, line.value),
        "calendar": lambda: _calendar(key, line.value),
        "days": lambda: _days(f"{key}_{most}", line.value, most),
        "spanned": lambda: _spanned(line, key, choices),
        "span": lambda: _span(key, line.value or {}, {}) or None,
        "step": lambda: _step(line, key, choices),
        "counted": lambda: _counted(key, line.value or {}),
    }
    return drawn[line.takes]()


def _both(line: Line, key: str) -> list[Any] | None:
    low, high = line.value or (None, None)
    both = [_scalar(line, f"{key}_low", _("From"), low), _scalar(line, f"{key}_high", _("To"), high)]
    return None if None in both else both


def _several(line: Line, key: str, chosen: list[Any], choices: Choices) -> list[Any]:
    """A choice of several values; products are looked for by words first."""
    if line.field == "bought_product":
        words = st.text_input(
            _("Product"),
            key=f"{key}_words",
            placeholder=_("Words of a product"),
            label_visibility="collapsed",
            max_chars=100,
            width=200,
        )
        options = choices.search(words) if words else []
    else:
        options = choices.options(line.field)
    every = [*options, *(value for value in chosen if value not in options)]
    return list(
        st.multiselect(
            wording.plain(line.known[line.field].label),
            every,
            default=chosen,
            format_func=lambda value: choices.named(line.field, value),
            placeholder=_("Choose"),
            key=f"{key}_{language()}",
            label_visibility="collapsed",
            select_all=False,
            max_selections=200,
            width="stretch",
        )
    )


def _scalar(line: Line, key: str, label: str, value: Any) -> Any:
    if line.known[line.field].kind is Kind.DATE:
        day = st.date_input(
            label,
            date.fromisoformat(value) if value else None,
            min_value=date(1900, 1, 1),
            max_value=date(2199, 12, 31),
            format="YYYY-MM-DD",
            key=key,
            label_visibility="collapsed",
            width=140,
        )
        return day.isoformat() if isinstance(day, date) else None
    field = line.known[line.field]
    whole = field.kind is Kind.NUMBER and not field.own and (value is None or float(value).is_integer())
    start = None if value is None else int(value) if whole else float(value)
    number = st.number_input(
        label,
        value=start,
        step=1 if whole else 1.0,
        format="%d" if whole else "%.2f" if start is None or start == round(start, 2) else "%.6f",
        placeholder=label,
        key=f"{key}_whole" if whole else key,
        label_visibility="collapsed",
        width=100 if whole else 120,
    )
    if number is None or number == start:
        return value if number is not None else None  # what a browser's arithmetic would change is a text, and stays
    return int(number) if float(number).is_integer() else number


def _words(key: str, value: Any) -> str | None:
    typed = st.text_input(
        _("Words"),
        value or "",
        key=key,
        placeholder=_("Words"),
        max_chars=rules.MOST_TEXT,
        label_visibility="collapsed",
        width=170,
    )
    return typed or None


def _days(key: str, value: Any, most: int = rules.MOST_DAYS) -> int | None:
    chosen: int | None = st.number_input(
        _("Days"),
        min_value=1,
        max_value=most,
        value=value,
        step=1,
        placeholder=_("Days"),
        key=key,
        label_visibility="collapsed",
        width=100,
    )
    return chosen


def _calendar(key: str, value: Any) -> str:
    known = list(calendar_periods.PERIODS)
    chosen: str = st.selectbox(
        _("Period"),
        known,
        index=known.index(value if value in known else calendar_periods.USUAL),
        format_func=calendar_periods.label,
        key=f"{key}_{language()}",
        label_visibility="collapsed",
        width=140,
    )
    return chosen


def _spanned(line: Line, key: str, choices: Choices) -> dict[str, Any] | None:
    """Values and the period they are about."""
    given = line.value or {"of": []}
    of = _several(line, key, given["of"], choices)
    found = {"of": of} | _span(key, given, {"": _("at any time")})
    return found if of else None


def _counted(key: str, given: dict[str, Any]) -> dict[str, Any] | None:
    """A number and the period in which it is counted."""
    n: int | None = st.number_input(
        _("Number"),
        min_value=0,
        max_value=rules.MOST_COUNT,
        value=given.get("count"),
        step=1,
        placeholder=_("Number"),
        key=f"{key}_count",
        label_visibility="collapsed",
        width=100,
    )
    found = _span(key, given, {"": _("at any time")})
    return None if n is None else {"count": n} | found


def _span(key: str, given: dict[str, Any], spans: dict[str, str]) -> dict[str, Any]:
    """A period, as the last days or from a day to a day; `spans` is what else there is to choose."""
    spans |= {"last": _("in the last … days"), "range": _("from … to")}
    spans |= {period: calendar_periods.label(period) for period in calendar_periods.PERIODS}
    present = "last" if "last_days" in given else "range" if {"from", "to"} & given.keys() else given.get("during", "")
    span: str = st.selectbox(
        _("Period"),
        list(spans),
        index=list(spans).index(present) if present in spans else 0,
        format_func=spans.__getitem__,
        key=f"{key}_span_{language()}",
        label_visibility="collapsed",
        width=160,
    )
    found: dict[str, Any] = {}
    if span == "last":
        days = _days(f"{key}_days", given.get("last_days"))
        found |= {"last_days": days} if days else {}
    elif span == "range":
        for name, label in (("from", _("From")), ("to", _("To"))):
            day = st.date_input(
                label,
                date.fromisoformat(given[name]) if name in given else None,
                min_value=date(1900, 1, 1),
                max_value=date(2199, 12, 31),
                format="YYYY-MM-DD",
                key=f"{key}_{name}",
                label_visibility="collapsed",
                width=140,
            )
            found |= {name: day.isoformat()} if isinstance(day, date) else {}
    elif span:
        found["during"] = span
    return found


def _step(line: Line, key: str, choices: Choices) -> dict[str, Any] | None:
    given = line.value or {}
    known = choices.options("funnel")
    campaign: int | None = st.selectbox(
        _("Campaign"),
        known,
        index=known.index(given["campaign"]) if given.get("campaign") in known else None,
        format_func=lambda value: choices.named("received", value),
        placeholder=_("Campaign"),
        key=f"{key}_campaign_{language()}",
        label_visibility="collapsed",
        width=170,
    )
    steps = FIELDS["funnel"].choices
    step: str = st.selectbox(
        _("Step"),
        steps,
        index=steps.index(given.get("step", steps[0])),
        format_func=lambda value: choices.named("funnel", value),
        key=f"{key}_step_{language()}",
        label_visibility="collapsed",
        width=190,
    )
    return {"campaign": campaign, "step": step} if campaign else None
