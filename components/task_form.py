"""The forms of a task: the short one that adds the next in two clicks, and the whole one that edits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any

import streamlit as st

from components import wording
from db.errors import Conflict, Invalid
from db.task_words import FIRST_DAY, LAST_DAY, MOST_BODY, MOST_TITLE, PRIORITY_NAMES, TASK_KIND_NAMES
from db.words import N_, _

KEY = "customer_task"
DUE_NAMES = {
    "today": N_("Today"),
    "tomorrow": N_("Tomorrow"),
    "next_week": N_("Next week"),
    "none": N_("No day"),
}
"""Until when, in words."""


def day_of(due: str, today: date) -> date | None:
    """The day that the word means: next week begins on its Monday."""
    days = {"today": 0, "tomorrow": 1, "next_week": 7 - today.weekday()}
    return today + timedelta(days=days[due]) if due in days else None


def draw(customer_id: int, today: date, people: Mapping[int, str], me: int) -> dict[str, Any] | None:
    """The form of the next task in a popover; what was entered when it was sent, else None.

    `people` are those who can have it. Without a title it is called by its kind. A refused form keeps what was typed
    and says what is wrong; after a save the next one is empty.
    """
    turn = f"{customer_id}_{st.session_state.get(f'{KEY}_turn', 0)}"
    refused: Invalid | None = st.session_state.pop(f"{KEY}_refused", None)
    problems = refused.fields if refused else {}
    with (
        st.popover(_("Next task"), icon=":material/add_task:", key=f"{KEY}_{turn}"),
        st.form(f"{KEY}_form_{turn}", border=False, enter_to_submit=False),
    ):
        kind = _choice(_("What is to be done"), TASK_KIND_NAMES, f"{KEY}_kind_{turn}")
        title = st.text_input(
            _("In a few words"), key=f"{KEY}_title_{turn}", placeholder=_("optional"), help=_most(MOST_TITLE)
        )
        _problem(problems, "title")
        due = _choice(_("Until when"), DUE_NAMES, f"{KEY}_due_{turn}", chosen="tomorrow")
        day = st.date_input(
            _("Or on a day"), None, min_value=FIRST_DAY, max_value=LAST_DAY, key=f"{KEY}_day_{turn}", width=180
        )
        who = _person(people, me, f"{KEY}_who_{turn}")
        for name in ("due_on", "assignee_id", "kind"):
            _problem(problems, name)
        if not st.form_submit_button(_("Save task"), type="primary", key=f"{KEY}_save_{turn}"):
            return None
    return {
        "kind": kind,
        "title": title.strip() or _(TASK_KIND_NAMES[kind]),
        "due_on": day or day_of(due, today),
        "assignee_id": who,
    }


def saved() -> None:
    """An empty form, closed, at the next drawing."""
    st.session_state[f"{KEY}_turn"] = st.session_state.get(f"{KEY}_turn", 0) + 1


def refused(error: Invalid) -> None:
    """Say at the fields what is wrong; what was typed stays."""
    st.session_state[f"{KEY}_refused"] = error
    st.rerun()


def edit(task: Mapping[str, Any], people: Mapping[int, str], *, prefix: str) -> dict[str, Any] | None:
    """The whole form of a task as it was opened; what was changed in it when it was sent, else None."""
    key = f"{prefix}_edit_{task['id']}_{task['version']}"
    with st.form(key, border=False):
        typed: dict[str, Any] = {
            "title": st.text_input(_("In a few words"), task["title"], key=f"{key}_title", help=_most(MOST_TITLE)),
            "kind": _choice(_("What is to be done"), TASK_KIND_NAMES, f"{key}_kind", chosen=task["kind"]),
        }
        with st.container(horizontal=True, gap="small"):
            typed["due_on"] = st.date_input(
                _("Day"),
                task["due_on"],
                min_value=FIRST_DAY,
                max_value=LAST_DAY,
                key=f"{key}_due_on",
                width=160,
            )
            typed["due_time"] = _time(task["due_time"], f"{key}_due_time")
        typed["priority"] = _choice(_("Priority"), PRIORITY_NAMES, f"{key}_priority", chosen=task["priority"])
        # Who has it may have lost sight of the customer since; it stays theirs until somebody else is chosen.
        all_people = {task["assignee_id"]: task["assignee"], **people}
        typed["assignee_id"] = _person(all_people, task["assignee_id"], f"{key}_who")
        typed["body"] = st.text_area(
            _("More about it"),
            task["body"],
            key=f"{key}_body",
            height=90,
            placeholder=_("optional"),
            help=_most(MOST_BODY),
        )
        if not st.form_submit_button(_("Save task"), type="primary", key=f"{key}_save"):
            return None
    return {name: value for name, value in typed.items() if value != task[name]}


def explain(error: Invalid | Conflict) -> None:
    """What stands in the way of saving an edited task: a sentence for each field, or what somebody else made of it."""
    st.error(wording.sentence(error.message), icon=":material/error:")
    if isinstance(error, Invalid):
        for name, sentence in error.fields.items():
            st.markdown(f"- **{_labels().get(name, name)}**: {wording.sentence(sentence)}")
        return
    for row in error.rows:
        name = row["column"]
        told = [_shown(name, row[side]) for side in ("mine", "theirs")]
        sides = _("yours: {mine}; there now: {theirs}").format(mine=told[0], theirs=told[1])
        st.markdown(f"- **{_labels().get(name, name)}**: {sides}")


def _labels() -> dict[str, str]:
    return {
        "title": _("In a few words"),
        "kind": _("What is to be done"),
        "due_on": _("Day"),
        "due_time": _("Time"),
        "priority": _("Priority"),
        "assignee_id": _("Who does it"),
        "body": _("More about it"),
    }


def _shown(name: str, value: Any) -> str:
    """A value of a field as text that stands in markdown; another person's number alone says nothing."""
    if name == "assignee_id":
        return _("somebody else")
    named = {"kind": TASK_KIND_NAMES, "priority": PRIORITY_NAMES}.get(name, {})
    if value in named:
        return _(named[value])
    return wording.plain(value.strftime("%H:%M") if isinstance(value, time) else str(value or "")) or "–"


def _time(value: time | None, key: str) -> time | None:
    """A time of day as typed hours and minutes: a list of quarters of an hour would be long on a phone."""
    found: time | None = st.time_input(_("Time"), value, key=key, width=130, step=900)
    return found


def _person(people: Mapping[int, str], me: int, key: str) -> int:
    """Who does it; without a choice nothing is asked."""
    ids = list(people)
    if len(ids) < 2:
        return ids[0] if ids else me
    at = ids.index(me) if me in people else 0
    chosen: int = st.selectbox(
        _("Who does it"), ids, index=at, format_func=lambda i: wording.person(people[i]), key=key, filter_mode=None
    )
    return chosen


def _choice(label: str, names: Mapping[str, str], key: str, *, chosen: str | None = None) -> str:
    """One of the codes, the first to begin with."""
    found: str | None = st.segmented_control(
        label,
        list(names),
        default=chosen or next(iter(names)),
        required=True,
        format_func=lambda code: _(names[code]),
        key=key,
        wrap=True,
    )
    return found or next(iter(names))


def _most(n: int) -> str:
    return _("At most {n} characters.").format(n=f"{n:,}")


def _problem(problems: Mapping[str, str], name: str) -> None:
    if name in problems:
        st.error(wording.sentence(problems[name]))
