"""The form that logs a call, a mail, a meeting or a message: opened and saved in two clicks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import streamlit as st

from components import wording
from db.errors import Invalid
from db.event_words import DIRECTION_NAMES, GOT_THROUGH, KIND_NAMES, MOST_BODY, MOST_MINUTES, MOST_SUBJECT, OUTCOMES
from db.words import _

KEY = "customer_talk"


def draw(customer_id: int, today: date) -> dict[str, Any] | None:
    """The form in a popover; what was entered when it was sent, with `day` (None: now), else None.

    A refused form keeps what was typed and says what is wrong; after a save the next one is empty.
    """
    turn = f"{customer_id}_{st.session_state.get(f'{KEY}_turn', 0)}"
    refused: Invalid | None = st.session_state.pop(f"{KEY}_refused", None)
    problems = refused.fields if refused else {}
    with (
        st.popover(_("Log a call"), icon=":material/add_call:", key=f"{KEY}_{turn}"),
        st.form(f"{KEY}_form_{turn}", border=False, enter_to_submit=False),
    ):
        kind = _choice(_("How you talked"), KIND_NAMES, f"{KEY}_kind_{turn}")
        direction = _choice(_("Who began"), DIRECTION_NAMES, f"{KEY}_direction_{turn}")
        outcome = _choice(_("How it went"), OUTCOMES, f"{KEY}_outcome_{turn}", required=False)
        subject = st.text_input(_("About"), key=f"{KEY}_subject_{turn}", help=_most(MOST_SUBJECT))
        _problem(problems, "subject")
        body = st.text_area(
            _("What was said"), key=f"{KEY}_body_{turn}", height=90, placeholder=_("optional"), help=_most(MOST_BODY)
        )
        _problem(problems, "body")
        with st.container(horizontal=True, gap="small"):
            minutes = st.number_input(
                _("Minutes"), 0, MOST_MINUTES, None, key=f"{KEY}_minutes_{turn}", width=130, placeholder="–"
            )
            day = st.date_input(_("Day"), today, max_value=today, key=f"{KEY}_day_{turn}", width=160)
        for name in ("minutes", "happened_at", "kind", "direction", "outcome"):
            _problem(problems, name)
        if not st.form_submit_button(_("Save to the timeline"), type="primary", key=f"{KEY}_save_{turn}"):
            return None
    if kind != "call" and outcome == GOT_THROUGH:  # what the form begins with says nothing of a mail
        outcome = ""
    return {
        "kind": kind,
        "direction": direction,
        "outcome": outcome,
        "subject": subject,
        "body": body,
        "minutes": int(minutes) if minutes is not None else None,
        "day": None if day == today else day,
    }


def saved() -> None:
    """An empty form, closed, at the next drawing."""
    st.session_state[f"{KEY}_turn"] = st.session_state.get(f"{KEY}_turn", 0) + 1


def refused(error: Invalid) -> None:
    """Say at the fields what is wrong; what was typed stays."""
    st.session_state[f"{KEY}_refused"] = error
    st.rerun()


def _choice(label: str, names: Mapping[str, str], key: str, *, required: bool = True) -> str:
    """One of the codes, the first to begin with; '' where none is chosen."""
    chosen: str | None = st.segmented_control(
        label,
        list(names),
        default=next(iter(names)),
        required=required,
        format_func=lambda code: _(names[code]),
        key=key,
        wrap=True,
    )
    return chosen or ""


def _most(n: int) -> str:
    return _("At most {n} characters.").format(n=f"{n:,}")


def _problem(problems: Any, name: str) -> None:
    if name in problems:
        st.error(wording.sentence(problems[name]))
