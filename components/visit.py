"""Who is visiting in this browser tab: the session it holds, its language, its cookie, and what it had typed.

Streamlit's session state belongs to one tab. The session's id is kept there; the browser's cookie is only read when a
tab opens, because the headers of a WebSocket are those of its handshake.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from components import data
from db import sessions, words
from db.permissions import Viewer
from db.sessions import Session

COOKIE = "kehu_session"

SESSION = "kehu_session"
VIEWER = "kehu_viewer"
SCREEN = "kehu_screen"
LANGUAGE = "kehu_language"
DRAFT = "kehu_draft"
ENDED = "kehu_ended"
ERRAND = "kehu_errand"
ARRIVED = "kehu_arrived"

# The browser's errand to our own route: the token itself never passes through Python's session state or the page.
_SCRIPT = """
const done = new Set()
export default function (component) {
  const errand = component.data
  if (!errand || done.has(errand.n)) return
  done.add(errand.n)
  fetch("/auth/session", {
    method: errand.method,
    credentials: "same-origin",
    keepalive: true,
    headers: { "Content-Type": "application/json" },
    body: errand.ticket ? JSON.stringify({ ticket: errand.ticket }) : undefined,
  })
}
"""
_messenger = st.components.v2.component("kehu_messenger", js=_SCRIPT)


@dataclass(frozen=True)
class Draft:
    """What somebody had typed on a screen when their session ended."""

    user_id: int
    screen: str
    values: Mapping[str, Any]


# --- the browser -----------------------------------------------------------------------------------------------------


def header(name: str) -> str | None:
    """A header of the handshake. In tests without a browser there are none."""
    value = st.context.headers.get(name)
    return value if isinstance(value, str) else None


def headers() -> list[str]:
    """The names of the handshake's headers, lower case."""
    return [str(name).lower() for name in st.context.headers]


def cookie() -> str | None:
    """The session token that the browser brought when this tab opened."""
    value = st.context.cookies.get(COOKIE)
    return value if isinstance(value, str) else None


def address() -> str:
    """Where the browser is, as far as we can see."""
    value = st.context.ip_address
    return value if isinstance(value, str) else "127.0.0.1"


def browser_language() -> str:
    """What the browser asks for."""
    value = st.context.locale
    return words.preferred(value if isinstance(value, str) else None)


# --- the session -----------------------------------------------------------------------------------------------------


def session() -> Session | None:
    """The live session of this tab, checked in the database. Raises Unavailable."""
    found = data.check(session_id=st.session_state.get(SESSION), token=cookie())
    if found:
        st.session_state[SESSION] = found.id
    return found


def use_language(found: Session | None) -> str:
    """Speak the language chosen in this tab, else the user's, else the browser's."""
    chosen = st.session_state.get(LANGUAGE)
    return words.use(chosen or (found.language if found else None) or browser_language())


def speak(viewer: Viewer, language: str) -> None:
    """Keep another language for this user."""
    with data.gate(write=True) as conn:
        sessions.set_language(conn, actor=viewer, language=language)
    st.session_state.pop(LANGUAGE, None)


def enter(found: Session, screen: str) -> None:
    """Remember who is here; what another had typed in this tab is dropped, one's own is put back."""
    draft: Draft | None = st.session_state.get(DRAFT)
    if draft and draft.user_id != found.viewer.user_id:
        del st.session_state[DRAFT]
    elif draft and draft.screen == screen:
        for key, value in draft.values.items():
            st.session_state[key] = value
        del st.session_state[DRAFT]
    st.session_state[VIEWER] = found.viewer
    st.session_state[SCREEN] = screen
    if found.in_cookie and st.session_state.get(ERRAND, {}).get("ticket"):
        del st.session_state[ERRAND]


def remembered() -> tuple[Viewer | None, str]:
    """The viewer and screen of this tab's last whole run."""
    return st.session_state.get(VIEWER), st.session_state.get(SCREEN, "")


def begin(user_id: int) -> None:
    """Start a session for somebody whose identity is proven, and send the browser for its cookie."""
    with data.gate(write=True) as conn:
        started = sessions.start(
            conn,
            user_id=user_id,
            user_agent=header("User-Agent") or "",
            address=address(),
            language=st.session_state.get(LANGUAGE),
        )
    draft = st.session_state.get(DRAFT)
    forget()
    st.session_state[SESSION] = started.session_id
    st.session_state[ERRAND] = {"method": "POST", "ticket": started.ticket, "n": secrets.token_hex(4)}
    st.session_state[ARRIVED] = True
    if draft:
        st.session_state[DRAFT] = draft


def arrived() -> bool:
    """True once, in the first run after a sign-in."""
    return bool(st.session_state.pop(ARRIVED, False))


def lose() -> None:
    """The session has ended: forget everything of it but what was typed, for the same user to find again."""
    viewer, screen = remembered()
    if viewer is None:
        return
    values = _typed(screen)
    chosen = st.session_state.get(LANGUAGE)
    forget()
    st.session_state[ENDED] = True
    if chosen:
        st.session_state[LANGUAGE] = chosen
    if values:
        st.session_state[DRAFT] = Draft(viewer.user_id, screen, values)


def leave() -> None:
    """Sign out: the session ends, the cookie goes, nothing is kept."""
    session_id = st.session_state.get(SESSION)
    language = words.language()
    if session_id is not None:
        with data.gate(write=True) as conn:
            sessions.revoke(conn, session_id=session_id)
    forget()
    st.session_state[LANGUAGE] = language
    st.session_state[ERRAND] = {"method": "DELETE", "n": secrets.token_hex(4)}


def forget() -> None:
    """Empty this tab's state."""
    for key in list(st.session_state):
        del st.session_state[key]


def send_errand() -> None:
    """Have the browser fetch or drop its cookie, when that is pending. Draws nothing that can be seen."""
    errand = st.session_state.get(ERRAND)
    if errand:
        with st.container(key="kehu_errand"):
            _messenger(key="kehu_messenger", data=errand, height=1)


# --- what was typed --------------------------------------------------------------------------------------------------

_SIMPLE = (str, int, float, bool, date, datetime, time, type(None))
_SETTABLE = {
    "bool_value",
    "double_array_value",
    "double_value",
    "int_array_value",
    "int_value",
    "string_array_value",
    "string_value",
}


def _typed(screen: str) -> dict[str, Any]:
    """Values of this screen's keys that can be put back: no buttons, files or selections, and never passwords."""
    mine = re.compile(rf"{re.escape(screen)}(?![a-z])")
    found = {}
    for key, value in st.session_state.items():
        name = str(key)
        if not mine.match(name) or "password" in name or not _simple(value):
            continue
        if _kind(name) in _SETTABLE | {None}:
            found[name] = value
    return found


def _simple(value: Any) -> bool:
    if isinstance(value, list | tuple | set):
        return all(isinstance(item, _SIMPLE) for item in value)
    return isinstance(value, _SIMPLE)


def _kind(key: str) -> str | None:
    """How Streamlit sends this widget's value; None for what is no widget. Buttons' values cannot be set."""
    context = get_script_run_ctx()
    if context is None:
        return None
    state = context.session_state._state  # contract test: tests/components/test_signin.py
    widget_id = state._key_id_mapper.get_id_from_key(key)
    metadata = state._new_widget_state.widget_metadata.get(widget_id) if widget_id else None
    return metadata.value_type if metadata else None
