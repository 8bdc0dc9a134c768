"""The sign-in screen: streamlit-authenticator over PostgreSQL credentials and our own revocable sessions.

What of streamlit-authenticator 0.4.2 is used: `Authenticate` with its controller and model, their order of checks and
their session-state keys. What is not: its cookie (scripts read it, nobody can revoke it), its counters (lost at a
restart), its cloud services. The package's insides that this relies on are pinned by a contract test.
"""

from __future__ import annotations

import os
import secrets
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit import config
from streamlit.delta_generator import DeltaGenerator
from streamlit_authenticator import Authenticate
from streamlit_authenticator.controllers import AuthenticationController
from streamlit_authenticator.models import AuthenticationModel
from streamlit_authenticator.utilities import Encryptor

from components import data, visit, wording
from db import clock, passwords, sessions, words
from db.errors import KehuError, NotFound
from db.words import _, ngettext

LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
FORWARDED = ("forwarded", "via", "x-real-ip")
ROLE_ICONS = {
    "sales": ":material/handshake:",
    "manager": ":material/supervisor_account:",
    "analyst": ":material/query_stats:",
    "marketer": ":material/campaign:",
    "admin": ":material/shield_person:",
}


class _Credentials(dict[str, dict[str, Any]]):
    """The one user of the present attempt: filled by the check, so that nothing is ever stale or held for others."""


class _Model(AuthenticationModel):  # type: ignore[misc]  # untyped package
    """Checks against PostgreSQL; counts before it looks, and takes as long for unknown names."""

    def __init__(self) -> None:
        super().__init__({"usernames": {}}, auto_hash=False)
        self.credentials = {"usernames": _Credentials()}
        self.locked_until: datetime | None = None
        self.user_id: int | None = None

    def check_credentials(self, username: str, password: str) -> bool:
        with data.gate(write=True) as conn:
            attempt = passwords.attempt(conn, username=username)
        self.locked_until = attempt.locked_until
        if attempt.locked_until is not None:
            return False
        if passwords.verify(attempt, password):
            self.user_id = attempt.user_id
            self.credentials["usernames"][username] = {"name": username}
            return True
        with data.gate() as conn:
            self.locked_until = passwords.lock_of(conn, username=username)
        return False

    def _record_failed_login_attempts(self, username: str, reset: bool = False) -> None:
        """Failures are counted before the check; here only success is left to record."""
        if reset:
            with data.gate(write=True) as conn:
                passwords.forgive(conn, username=username)


class _Controller(AuthenticationController):  # type: ignore[misc]  # untyped package
    """As the package's, but a password is taken as typed: the original strips blanks that belong to it."""

    def __init__(self) -> None:
        super().__init__({"usernames": {}}, auto_hash=False)
        self.authentication_model = _Model()

    def login(self, username: str | None = None, password: str | None = None, *args: Any, **kwargs: Any) -> bool | None:
        name = passwords.username_of(username or "")
        if not name or not password:
            return None
        done: bool | None = self.authentication_model.login(name, password)
        return done


class _Sessions:
    """In place of the package's CookieController, with its three methods."""

    def __init__(self, model: _Model) -> None:
        self._model = model

    def get_cookie(self) -> None:
        """None: whoever has a live session never sees this form."""

    def set_cookie(self) -> None:
        assert self._model.user_id is not None
        visit.begin(self._model.user_id)

    def delete_cookie(self) -> None:
        visit.leave()


class Auth(Authenticate):  # type: ignore[misc]  # untyped package
    """The package's class without its constructor, which would mount the cookie iframe and force a second run."""

    def __init__(self) -> None:
        self.path = None
        self.api_key = None
        self.attrs = {"login_sleep_time": 0}
        self.secret_key = secrets.token_hex(16)
        self.authentication_controller = _Controller()
        self.model: _Model = self.authentication_controller.authentication_model
        self.cookie_controller = _Sessions(self.model)
        self.encryptor = Encryptor(self.secret_key)

    def login(self, *args: Any, **kwargs: Any) -> None:
        """The original's form, drawn anew: password managers need `autocomplete`, which it sets to "off"."""
        with st.form("kehu_signin"):
            username = st.text_input(_("User name"), autocomplete="username", key="kehu_signin_name")
            password = st.text_input(
                _("Password"), type="password", autocomplete="current-password", key="kehu_signin_password"
            )
            pressed = st.form_submit_button(_("Sign in"), type="primary", width="stretch")
        if pressed and self.authentication_controller.login(username, password):
            self.cookie_controller.set_cookie()


def screen() -> None:
    """Ask who it is. Whoever proves it is let in by a rerun; the address stays what it was."""
    with _frame():
        st.markdown(_("Sign in to work with your customers."))
        auth = Auth()
        notice = st.empty()
        auth.login()
        if visit.SESSION in st.session_state:
            st.rerun()
        if auth.model.locked_until:
            notice.error(locked(auth.model.locked_until))
        elif st.session_state.get("authentication_status") is False:
            notice.error(_("The user name or the password is wrong."))
        elif st.session_state.get(visit.DRAFT):
            notice.info(_("Your session has ended. Sign in again: what you had typed is kept."))
        elif st.session_state.get(visit.ENDED):
            notice.info(_("Your session has ended. Sign in again."))
        _demo_cards()


def locked(until: datetime) -> str:
    """The sentence for a locked name; the same whether the name exists or not."""
    minutes = max(1, -(-int((until - clock.now()).total_seconds()) // 60))
    return ngettext(
        "Too many wrong passwords for this name. Try again in {n} minute.",
        "Too many wrong passwords for this name. Try again in {n} minutes.",
        minutes,
    ).format(n=minutes)


def link_screen(token: str) -> None:
    """Choose a password by a one-time link, and be signed in."""
    with data.gate() as conn:
        person = passwords.link_owner(conn, token=token)
    with _frame():
        if person is None:
            st.error(_("This link has been used or has expired. Ask an administrator for a new one."))
            if st.button(_("To the sign-in"), key="kehu_link_back"):
                st.query_params.pop("link", None)
                st.rerun()
            return
        st.markdown(
            _("Welcome, {name}. Choose the password for your user name **{username}**.").format(
                name=wording.plain(person.name or person.username), username=wording.plain(person.username)
            )
        )
        with st.form("kehu_link"):
            first = st.text_input(
                _("New password"),
                type="password",
                autocomplete="new-password",
                help=_("At least {n} characters.").format(n=passwords.MIN_LENGTH),
                key="kehu_link_password",
            )
            second = st.text_input(
                _("The same again"), type="password", autocomplete="new-password", key="kehu_link_password_again"
            )
            if not st.form_submit_button(_("Save password and sign in"), type="primary"):
                return
        if first != second:
            st.error(_("The two passwords differ."))
            return
        try:
            with data.gate(write=True) as conn:
                user_id = passwords.redeem_link(conn, token=token, password=first)
        except KehuError as error:
            st.error(wording.sentence(error.message))
            return
    st.query_params.pop("link", None)
    visit.begin(user_id)
    st.rerun()


def language_switch(key: str) -> str | None:
    """A button named after the other language; gives that language when it was pressed."""
    other = next(code for code in words.LANGUAGES if code != words.language())
    return other if st.button(words.LANGUAGES[other], key=key, icon=":material/translate:", type="tertiary") else None


def _frame() -> DeltaGenerator:
    """The narrow column of the screens before sign-in, with name and language."""
    middle = st.container(horizontal_alignment="center").container(width=420, key="kehu_frame")
    with middle.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("客户 Kehu", anchor=False, width="content")
        chosen = language_switch("kehu_frame_language")
    if chosen:
        st.session_state[visit.LANGUAGE] = chosen
        st.rerun()
    return middle


# --- the demo's one-click cards --------------------------------------------------------------------------------------


def demo_allowed() -> bool:
    """Cards without a password only where nobody but this machine's user can press them.

    Asked again when one is pressed. The database's own word (`demo` in its settings) is asked by `sessions.demo_users`.
    """
    names = visit.headers()
    host = urlsplit(f"//{visit.header('Host') or ''}").hostname
    return (
        os.environ.get("KEHU_DEMO_CARDS") == "1"
        and config.get_option("server.address") in LOCAL_NAMES
        and host in LOCAL_NAMES
        and not any(name in FORWARDED or name.startswith("x-forwarded-") for name in names)
    )


def _demo_cards() -> None:
    if not demo_allowed():
        return
    with data.gate() as conn:
        people = sessions.demo_users(conn)
    if not people:
        return
    st.caption(_("This is a demo with made-up people. Look around as:"))
    for person in people:
        label = f"**{role_name(person.role)}** · {person.name or person.username}"
        if st.button(label, key=f"kehu_demo_{person.role}", icon=ROLE_ICONS[person.role], width="stretch"):
            if not demo_allowed():
                raise NotFound(_("The demo's cards are closed here. Sign in with a password."))
            visit.begin(person.user_id)
            st.rerun()


def role_name(role: str) -> str:
    """A role in the user's language."""
    return {
        "sales": _("Sales"),
        "manager": _("Manager"),
        "analyst": _("Analyst"),
        "marketer": _("Marketer"),
        "admin": _("Administrator"),
    }.get(role, role)
