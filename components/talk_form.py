"""The form that logs a call, a mail, a meeting or a message: two clicks for most, a draft of what is long."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import streamlit as st

from components import drafts, wording
from db.errors import Invalid
from db.event_words import DIRECTION_NAMES, GOT_THROUGH, KIND_NAMES, MOST_BODY, MOST_MINUTES, MOST_SUBJECT, OUTCOMES
from db.permissions import Viewer
from db.words import _

KEY = "customer_talk"
SAVE_KEYS = "Ctrl+Enter"


def draw(customer_id: int, today: date, *, viewer: Viewer, zone: str) -> dict[str, Any] | None:
    """The form in a popover; what was entered when one of its buttons was pressed, with `day` (None: now), else None.

    How it went is told by the button that saves. What is typed is kept as a draft. A refused form keeps it too and says
    what is wrong; after a save the next one is empty.
    """
    popover, form = f"{KEY}_{_turn(customer_id)}", f"talk:{customer_id}"
    refused: Invalid | None = st.session_state.pop(f"{KEY}_refused", None)
    problems = refused.fields if refused else {}
    sent, typed = False, {"subject": "", "body": "", "minutes": None, "day": None}
    with st.popover(_("Log a call"), icon=":material/add_call:", key=popover, on_change="rerun") as opened:
        head = st.container(gap="small")  # stands still while the draft is looked for, once the form is open
        waiting, draft = False, None
        if opened.open:
            waiting, draft = drafts.begun(popover, form, viewer=viewer, zone=zone)
        if draft:
            st.session_state[f"{KEY}_start"] = (_turn(customer_id), draft.values)
        start = _start(customer_id)
        turn = f"{_turn(customer_id)}_{1 if start else 0}"  # new widgets for a draft: they would keep what was typed
        with head:
            kind = _choice(_("How you talked"), KIND_NAMES, f"{KEY}_kind_{turn}", start.get("kind"))
            direction = _choice(_("Who began"), DIRECTION_NAMES, f"{KEY}_direction_{turn}", start.get("direction"))
            outcome = _outcome(kind, turn)
        if not waiting:
            typed = _details(turn, today, start, problems)
        for name in ("minutes", "happened_at", "kind", "direction", "outcome"):
            _problem(problems, name)
        if not waiting:
            label, key = _("Save to the timeline"), f"{KEY}_save_{turn}"
            sent = st.button(label, type="primary", key=key, shortcut=SAVE_KEYS)
            values = {"kind": kind, "direction": direction, **typed}
            kept = {name: str(v) if name == "day" else v for name, v in values.items() if v not in ("", None)}
            said = any(name in kept for name in ("subject", "body", "minutes"))
            drafts.follow(popover, form, kept if said else {}, viewer=viewer)
    if not (sent or outcome):
        return None
    return {"kind": kind, "direction": direction, "outcome": outcome, **typed}


def saved(customer_id: int, *, viewer: Viewer) -> None:
    """An empty form, closed, at the next drawing; its draft goes."""
    drafts.done(f"{KEY}_{_turn(customer_id)}", f"talk:{customer_id}", viewer=viewer)
    st.session_state[f"{KEY}_turn"] = st.session_state.get(f"{KEY}_turn", 0) + 1


def refused(error: Invalid) -> None:
    """Say at the fields what is wrong; what was typed stays."""
    st.session_state[f"{KEY}_refused"] = error
    st.rerun()


def _outcome(kind: str, turn: str) -> str:
    """A button for each way it may have gone, which saves at once; of what is no call nobody got through."""
    st.caption(_("How it went: a click saves"))
    chosen = ""
    with st.container(horizontal=True, gap="small", key=f"{KEY}_outcomes_{turn}"):
        for code, name in OUTCOMES.items():
            if kind != "call" and code == GOT_THROUGH:
                continue
            if st.button(_(name), key=f"{KEY}_outcome_{code}_{turn}"):
                chosen = code
    return chosen


def _details(turn: str, today: date, start: Mapping[str, Any], problems: Mapping[str, str]) -> dict[str, Any]:
    """What there is to say beside how it went, all of it optional."""
    subject = st.text_input(_("About"), start.get("subject", ""), key=f"{KEY}_subject_{turn}", help=_most(MOST_SUBJECT))
    _problem(problems, "subject")
    body = st.text_area(
        _("What was said"),
        start.get("body", ""),
        key=f"{KEY}_body_{turn}",
        height=90,
        placeholder=_("optional"),
        help=_most(MOST_BODY),
    )
    _problem(problems, "body")
    with st.container(horizontal=True, gap="small"):
        minutes = st.number_input(
            _("Minutes"),
            0,
            MOST_MINUTES,
            start.get("minutes"),
            key=f"{KEY}_minutes_{turn}",
            width=130,
            placeholder="–",
        )
        begun = _day(start.get("day"), today)
        day = st.date_input(_("Day"), begun, max_value=today, key=f"{KEY}_day_{turn}", width=160)
    return {
        "subject": subject,
        "body": body,
        "minutes": int(minutes) if minutes is not None else None,
        "day": None if day == today else day,
    }


def _start(customer_id: int) -> dict[str, Any]:
    """What the fields begin with, as the draft that one goes on with says it and as far as it still fits."""
    turn, values = st.session_state.get(f"{KEY}_start", ("", {}))
    if turn != _turn(customer_id):
        return {}
    fits = {
        "kind": lambda v: v in KIND_NAMES,
        "direction": lambda v: v in DIRECTION_NAMES,
        "minutes": lambda v: isinstance(v, int) and 0 <= v <= MOST_MINUTES,
    }
    return {name: v for name, v in values.items() if fits.get(name, lambda v: isinstance(v, str))(v)}


def _day(written: str | None, today: date) -> date:
    try:
        return min(date.fromisoformat(written or ""), today)
    except ValueError:
        return today


def _turn(customer_id: int) -> str:
    return f"{customer_id}_{st.session_state.get(f'{KEY}_turn', 0)}"


def _choice(label: str, names: Mapping[str, str], key: str, start: str | None) -> str:
    """One of the codes, the first to begin with."""
    chosen: str | None = st.segmented_control(
        label,
        list(names),
        default=start or next(iter(names)),
        required=True,
        format_func=lambda code: _(names[code]),
        key=key,
        wrap=True,
    )
    return chosen or next(iter(names))


def _most(n: int) -> str:
    return _("At most {n} characters.").format(n=f"{n:,}")


def _problem(problems: Any, name: str) -> None:
    if name in problems:
        st.error(wording.sentence(problems[name]))
