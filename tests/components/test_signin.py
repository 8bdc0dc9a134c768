"""The sign-in screen without a browser, and the insides of streamlit-authenticator and Streamlit that we rely on."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pytest
import streamlit_authenticator
from sqlalchemy import Connection, insert, select, update
from streamlit import config
from streamlit.testing.v1 import AppTest
from streamlit_authenticator.controllers import AuthenticationController, CookieController
from streamlit_authenticator.models import AuthenticationModel

from components import signin, visit
from db import connection, passwords, schema, sessions
from db.connection import begin
from db.permissions import GATE
from tests import make

SHELL = str(Path(__file__).parent.parent.parent / "components" / "shell.py")
PASSWORD = " long enough for tests "
WRONG = "The user name or the password is wrong."
START = datetime.fromisoformat("2026-11-20T15:00:00+00:00")


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(passwords, "BCRYPT_COST", 4)
    passwords.nobodys_hash.cache_clear()
    yield
    passwords.nobodys_hash.cache_clear()


@pytest.fixture
def cast(people: make.People) -> make.People:
    """The cast, each with PASSWORD."""
    with connection.begin_owner() as conn:
        everyone = update(schema.users).where(schema.users.c.id > 0)
        conn.execute(everyone.values(password_hash=passwords.hashed(PASSWORD)))
    return people


def tab(screen: str = "account") -> AppTest:
    """A browser tab that opens a screen."""
    at = AppTest.from_file(SHELL, default_timeout=30)
    at.run()
    if screen:
        at.switch_page(f"../pages/personal/{screen}.py").run()
    return at


def submit(at: AppTest, username: str, password: str = PASSWORD) -> AppTest:
    at.text_input(key="kehu_signin_name").input(username)
    at.text_input(key="kehu_signin_password").input(password)
    next(b for b in at.button if b.label == "Sign in").click().run()
    return at


def held(at: AppTest) -> dict[str, object]:
    """All that the tab's session state holds."""
    return at.session_state._state.filtered_state


def inside(at: AppTest) -> bool:
    return any(b.label == "Sign out" for b in at.button)


def errors(at: AppTest) -> list[str]:
    assert not at.exception
    return [e.value for e in at.error]


def test_right_password_lets_in_with_its_blanks(cast: make.People) -> None:
    at = tab()
    assert not inside(at)
    assert errors(submit(at, "ann", PASSWORD.strip())) == [WRONG], "blanks belong to a password"
    submit(at, " Ann ")
    assert inside(at)
    assert at.session_state[visit.ERRAND]["method"] == "POST"
    at.run()
    assert inside(at)


@pytest.mark.parametrize("username", ["ann", "nobody-of-this-name"])
def test_wrong_ones_get_one_answer_and_lock_alike(cast: make.People, username: str) -> None:
    at = tab()
    for _ in range(passwords.TRIES - 1):
        assert errors(submit(at, username, "wrong password")) == [WRONG]
    locked = ["Too many wrong passwords for this name. Try again in 15 minutes."]
    assert errors(submit(at, username, "wrong password")) == locked
    assert errors(submit(tab(), username)) == locked, "in another tab, with the right one"
    assert not inside(at)


@pytest.mark.parametrize(
    ("username", "password"), [("", ""), ("ann", ""), ("", PASSWORD), ("ann", "汉" * 60), ("-", "x")]
)
def test_nothing_odd_gets_in(cast: make.People, username: str, password: str) -> None:
    at = submit(tab(), username, password)
    assert not inside(at)
    assert errors(at) in ([], [WRONG])


def test_deactivated_and_passwordless_people_stay_out(cast: make.People, owner: Connection) -> None:
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "ann").values(active=False))
        owner.execute(update(schema.users).where(schema.users.c.username == "bo").values(password_hash=None))
    for username in ("ann", "bo"):
        assert errors(submit(tab(), username)) == [WRONG]


def test_success_forgives_and_leaves_no_password_behind(cast: make.People, owner: Connection) -> None:
    at = submit(tab(), "ann", "wrong password")
    submit(at, "ann")
    assert owner.execute(select(schema.sign_in_attempts)).all() == []
    assert PASSWORD not in str(held(at))


def test_the_browsers_cookie_opens_a_new_tab(cast: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    with begin(GATE, write=True) as conn:
        cookie = sessions.redeem(conn, ticket=sessions.start(conn, user_id=cast.ann.user_id).ticket)
    assert cookie
    monkeypatch.setattr(visit, "cookie", lambda: cookie.token)
    at = tab()
    assert inside(at)
    assert visit.ERRAND not in at.session_state
    next(b for b in at.button if b.label == "Sign out").click().run()
    assert not inside(at)
    assert at.session_state[visit.ERRAND]["method"] == "DELETE"
    at.run()
    assert not inside(at), "the handshake's cookie is still there, but its session has ended"


def test_a_session_that_ends_shows_the_sign_in_and_another_user_finds_nothing(
    cast: make.People, owner: Connection
) -> None:
    at = submit(tab(), "ann")
    at.session_state["account_note"] = "typed by Ann"
    at.session_state["account_password_draft"] = "a secret"
    at.session_state["something_else"] = "Ann's too"
    at.run()
    with owner.begin():
        owner.execute(update(schema.app_sessions).values(revoked_at=START))
    at.run()
    assert not inside(at)
    assert [i.value for i in at.info] == ["Your session has ended. Sign in again: what you had typed is kept."]
    assert "account_note" not in at.session_state
    assert "something_else" not in at.session_state
    assert "a secret" not in str(held(at))
    submit(at, "bo")
    assert inside(at)
    assert "typed by Ann" not in str(held(at))


def test_a_session_that_ends_keeps_what_its_user_typed(cast: make.People, owner: Connection) -> None:
    at = submit(tab(), "ann")
    at.session_state["account_note"] = "typed by Ann"
    at.run()
    with owner.begin():
        owner.execute(update(schema.app_sessions).values(revoked_at=START))
    at.run()
    submit(at, "ann")
    assert at.session_state["account_note"] == "typed by Ann"
    assert visit.DRAFT not in at.session_state


def test_signing_out_keeps_nothing(cast: make.People) -> None:
    at = submit(tab(), "ann")
    at.session_state["account_note"] = "typed by Ann"
    next(b for b in at.button if b.label == "Sign out").click().run()
    submit(at, "ann")
    assert "account_note" not in at.session_state


def test_one_time_link_signs_in_and_is_gone(cast: make.People) -> None:
    with begin(GATE, write=True) as conn:
        token = passwords.create_link(conn, actor=cast.root, user_id=cast.bo.user_id)
    at = AppTest.from_file(SHELL, default_timeout=30)
    at.query_params["link"] = token
    at.run()
    at.text_input(key="kehu_link_password").input("short")
    at.text_input(key="kehu_link_password_again").input("other")
    next(b for b in at.button if "Save" in b.label).click().run()
    assert errors(at) == ["The two passwords differ."]
    at.text_input(key="kehu_link_password_again").input("short")
    next(b for b in at.button if "Save" in b.label).click().run()
    assert errors(at) == [f"Choose a password of at least {passwords.MIN_LENGTH} characters."]
    for key in ("kehu_link_password", "kehu_link_password_again"):
        at.text_input(key=key).input("chosen by myself")
    next(b for b in at.button if "Save" in b.label).click().run()
    assert inside(at)
    assert "link" not in at.query_params
    again = AppTest.from_file(SHELL, default_timeout=30)
    again.query_params["link"] = token
    again.run()
    assert errors(again) == ["This link has been used or has expired. Ask an administrator for a new one."]


def test_language_of_the_tab_becomes_the_users(cast: make.People, owner: Connection) -> None:
    at = tab()
    at.button(key="kehu_frame_language").click().run()
    assert at.session_state[visit.LANGUAGE] == "zh_CN"
    at.text_input(key="kehu_signin_name").input("ann")
    at.text_input(key="kehu_signin_password").input(PASSWORD)
    next(b for b in at.button if b.key and "FormSubmitter" in b.key).click().run()
    assert visit.LANGUAGE not in at.session_state
    assert owner.scalar(select(schema.users.c.language).where(schema.users.c.username == "ann")) == "zh_CN"


# --- the demo's cards ------------------------------------------------------------------------------------------------


@pytest.fixture
def demo(cast: make.People, monkeypatch: pytest.MonkeyPatch) -> make.People:
    """A demo on this machine, visited from this machine."""
    with connection.begin_owner() as conn:
        conn.execute(update(schema.users).where(schema.users.c.id > 0).values(demo=True))
        conn.execute(insert(schema.settings).values(key="demo", value=True, created_at=START, updated_at=START))
    monkeypatch.setenv("KEHU_DEMO_CARDS", "1")
    monkeypatch.setattr(visit, "header", {"Host": "localhost:8501"}.get)
    monkeypatch.setattr(visit, "headers", lambda: ["host", "user-agent", "cookie"])
    monkeypatch.setattr(config, "get_option", _option(config.get_option, "127.0.0.1"))
    return cast


def _option(real: object, address: str) -> object:
    return lambda name: address if name == "server.address" else real(name)  # type: ignore[operator]


def cards(at: AppTest) -> list[str]:
    return [b.key for b in at.button if b.key and b.key.startswith("kehu_demo_")]


def test_demo_cards_sign_in_with_one_click(demo: make.People) -> None:
    at = tab()
    assert cards(at) == [f"kehu_demo_{role}" for role in ("sales", "manager", "analyst", "marketer", "admin")]
    at.button(key="kehu_demo_manager").click().run()
    assert inside(at)
    assert at.session_state[visit.VIEWER] == demo.mia


@pytest.mark.parametrize(
    "missing",
    ["environment", "setting", "address", "host", "proxy", "forwarded", "real ip"],
)
def test_demo_cards_need_every_condition_also_at_the_click(
    demo: make.People, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    at = tab()
    assert cards(at)
    match missing:
        case "environment":
            monkeypatch.setenv("KEHU_DEMO_CARDS", "0")
        case "setting":
            with connection.begin_owner() as conn:
                conn.execute(update(schema.settings).values(value=False))
        case "address":
            monkeypatch.setattr(config, "get_option", _option(config.get_option, "0.0.0.0"))
        case "host":
            monkeypatch.setattr(visit, "header", {"Host": "crm.example.com"}.get)
        case "proxy":
            monkeypatch.setattr(visit, "headers", lambda: ["host", "x-forwarded-for"])
        case "forwarded":
            monkeypatch.setattr(visit, "headers", lambda: ["host", "forwarded"])
        case "real ip":
            monkeypatch.setattr(visit, "headers", lambda: ["host", "x-real-ip"])
    at.button(key="kehu_demo_admin").click().run()
    assert not inside(at)
    assert cards(tab()) == []


# --- what we rely on -------------------------------------------------------------------------------------------------


def test_contract_with_streamlit_authenticator(cast: make.People) -> None:
    assert version("streamlit-authenticator") == "0.4.2", "read its changes, then this test, before moving the pin"
    assert issubclass(signin.Auth, streamlit_authenticator.Authenticate)
    login = inspect.signature(AuthenticationModel.login).parameters
    assert list(login)[:3] == ["self", "username", "password"]
    source = inspect.getsource(AuthenticationModel.login)
    for used in (
        "self.check_credentials(username, password)",
        "self._record_failed_login_attempts(username, reset=True)",
    ):
        assert used in source
    assert "self.authentication_model" in inspect.getsource(AuthenticationController.__init__)
    assert list(inspect.signature(AuthenticationModel.check_credentials).parameters) == ["self", "username", "password"]
    for name in ("get_cookie", "set_cookie", "delete_cookie"):
        assert hasattr(CookieController, name)
        assert hasattr(signin._Sessions, name)
    own = set(inspect.getsource(streamlit_authenticator.Authenticate.__init__).split("self.")[1:])
    set_there = {part.split()[0].rstrip("=,") for part in own if "=" in part.split("\n")[0]}
    assert {
        "api_key",
        "attrs",
        "secret_key",
        "path",
        "cookie_controller",
        "authentication_controller",
        "encryptor",
    } <= set_there


def test_contract_with_streamlits_session_state(cast: make.People) -> None:
    """`visit._kind` tells buttons from values by Streamlit's own bookkeeping."""
    script = """
import streamlit as st
from components import visit
st.text_input("t", key="s_text"); st.checkbox("c", key="s_check"); st.button("b", key="s_button")
st.multiselect("m", ["x"], key="s_many"); st.number_input("n", key="s_number"); st.date_input("d", key="s_date")
st.session_state["plain"] = 1
with st.form("f"):
    st.text_area("a", key="s_area"); st.form_submit_button("go", key="s_submit")
st.session_state["kinds"] = {k: visit._kind(k) for k in st.session_state if k.startswith("s_") or k == "plain"}
st.session_state["typed"] = sorted(visit._typed("s"))
"""
    at = AppTest.from_string(script, default_timeout=30).run().run()
    assert not at.exception
    kinds = at.session_state["kinds"]
    assert kinds["s_button"] == kinds["s_submit"] == "trigger_value"
    assert kinds["plain"] is None
    settable = {"s_area", "s_check", "s_date", "s_many", "s_number", "s_text"}
    assert {kinds[k] for k in settable} <= visit._SETTABLE
    assert set(at.session_state["typed"]) == settable
