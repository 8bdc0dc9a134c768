"""Visiting screens without a browser: Streamlit's AppTest from the shell, signed in through a real session row.

AppTest knows no address bar, no cookies and no fragments: a click in a fragment runs the whole script. What needs those
is in tests/browser.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pandas as pd
import psycopg
from google.protobuf.message import Message
from psycopg import sql
from sqlalchemy import update
from sqlalchemy.engine import make_url
from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest

from components import visit as visits
from components import wording
from db import connection, schema, sessions
from db import words as words_
from db.connection import begin
from db.embedded import Server
from db.permissions import GATE, Viewer
from db.words import LANGUAGES, catalogue
from pages import BY_PATH, SCREENS
from tests import make
from tests.engine import copying, serving

TIMEOUT = 60
REFUSAL = "Your role does not include this screen. Ask an administrator if you need it."
SIGN_IN = "Sign in to work with your customers."
UNSEEN = {"kehu_errand", "kehu_fold", "kehu_named", "kehu_themed"}
BROKEN = "Something went wrong on our side. Try again; if it stays, tell an administrator this number: {id}."

# What somebody might type or paste into any field, and how it is stored.
HOSTILE = {
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "'; drop table customers; --": "'; drop table customers; --",
    "a\u202eb\u2066c\u200bd": "abcd",
    "a\0b\x1b": "ab",
    "![x](http://evil.example)": "![x](http://evil.example)",
    ":red[x] :material/home: $x$ **b** `c`": ":red[x] :material/home: $x$ **b** `c`",
    "{name} %s %(x)s \\ & &lt;b&gt;": "{name} %s %(x)s \\ & &lt;b&gt;",
    "  \t😀 ｆｕｌｌ　ｗｉｄｔｈ １２  ": "😀 full width 12",
}
TOO_LONG = "x" * 10_001
_PLAIN = {"text", "dataframe", "text_input", "text_area", "selectbox", "multiselect", "plotly_chart", "code"}

_numbers = itertools.count(1)
_bugs: deque[logging.LogRecord] = deque(maxlen=1)


class _Bugs(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _bugs.append(record)


logging.getLogger("kehu.errors").addHandler(_Bugs())


@contextmanager
def database(server: Server, template: str) -> Iterator[make.People]:
    """A database for the tests of a module, with the cast of tests/make.py; DATABASE_URL names it meanwhile."""
    name = f"pages_{os.getpid()}_{next(_numbers)}"
    home = make_url(server.url("kehu")).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(home, autocommit=True) as conn:
        conn.execute(copying(name, template))
    with serving(server.url(name)):
        yield make.people()
    with psycopg.connect(home, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


# --- coming and going ------------------------------------------------------------------------------------------------


def signed_in(viewer: Viewer, path: str, *, language: str = "en", **params: str) -> AppTest:
    """The screen as this viewer sees it who follows a link with these parameters, run once."""
    return sign_in(visitor(path, language=language, **params), viewer)


def sign_in(app: AppTest, viewer: Viewer) -> AppTest:
    """A tab in which this viewer has just proved who they are."""
    with begin(GATE, write=True) as conn:
        started = sessions.start(conn, user_id=viewer.user_id)
    app.session_state[visits.SESSION] = started.session_id
    return _opened(app)


def visitor(path: str, *, language: str = "en", **params: str) -> AppTest:
    """A tab that is about to open the screen, with nobody signed in; not run yet."""
    app = AppTest.from_file("../../components/shell.py", default_timeout=TIMEOUT)
    app._bidi_component_manager = _components()
    app.session_state[visits.LANGUAGE] = language
    app.query_params.update(params)
    if BY_PATH[path] is not SCREENS[0]:  # that one is where a tab opens
        app.switch_page(f"../{BY_PATH[path].file}")
    return app


@cache
def _components() -> BidiComponentManager:
    """One for all tabs: to look for components in every installed package costs more than to draw a screen."""
    found = BidiComponentManager()
    found.discover_and_register_components(start_file_watching=False)
    return found


def go(app: AppTest, path: str, **params: str) -> AppTest:
    """The same tab, gone to another screen by a link."""
    app.query_params.clear()
    app.query_params.update(params)
    app.switch_page(f"../{BY_PATH[path].file}")
    return _opened(app)


def _opened(app: AppTest) -> AppTest:
    app.run()
    app._page_hash = ""  # or every run would go back there, wherever a button has led since
    return app


def write(found: Any, value: str) -> None:
    """Type into an input; of a selectbox AppTest sends options only, where a browser sends what is typed."""
    if found.type == "selectbox" and value not in found.options:
        found.options.append(value)
    found.set_value(value)


def where(app: AppTest) -> str:
    """The path of the screen the tab is on."""
    return next(screen.path for screen in SCREENS if app.session_state[visits.SCREEN] == screen.path)


def revoke(app: AppTest) -> None:
    """End the session of this tab behind its back."""
    with connection.begin_owner() as conn:
        mine = schema.app_sessions.c.id == app.session_state[visits.SESSION]
        conn.execute(update(schema.app_sessions).where(mine).values(revoked_at=schema.app_sessions.c.created_at))


# --- reading ---------------------------------------------------------------------------------------------------------


def words(app: AppTest) -> str:
    """All texts the browser is sent: the screen with its grids, sidebar, dialogs and toasts."""
    return "\n".join(itertools.chain.from_iterable(map(_told, app._tree)))


def body(app: AppTest) -> str:
    """The same of the screen alone, without the sidebar and what the shell draws unseen."""
    return "\n".join(itertools.chain.from_iterable(map(_told, _seen(app.main))))


def _seen(node: Any) -> Iterator[Any]:
    if getattr(node, "key", None) in UNSEEN:
        return
    yield node
    for child in getattr(node, "children", {}).values():
        yield from _seen(child)


def markup_of(app: AppTest, text: str) -> list[str]:
    """Where the text stands as it is in something that reads markdown."""
    if wording.plain(text) == text:
        return []
    read = (node for node in app._tree if getattr(node, "type", "") not in _PLAIN)
    return [str(node) for node in read if any(text in told for told in _told(node))]


def said(app: AppTest) -> str:
    """What a person reads of the screen: without the escapes of markdown and the signs that keep others apart."""
    return re.sub(r"\\(.)", r"\1", body(app)).replace("\u2060", "")


def _told(node: Any) -> Iterator[str]:
    proto = getattr(node, "proto", None)
    if isinstance(proto, Message):
        yield from _texts(proto)
    if getattr(node, "type", "") == "dataframe":
        yield node.value.to_csv(index=False)


def _texts(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        for item in value if field.is_repeated else (value,):
            if isinstance(item, Message):
                yield from _texts(item)
            elif isinstance(item, str):
                yield _plain(item)


def _plain(text: str) -> str:
    """A chart's specification without the escapes of JSON, an element's name without the digits that Streamlit adds."""
    if text.startswith("$$ID-"):
        return text.split("-", 2)[-1]
    if not text.startswith('{"'):
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    except ValueError:  # words that begin so
        return text


def grid(app: AppTest, key: str) -> pd.DataFrame:
    """The rows of a grid; its key goes on with a fingerprint of them."""
    return _grid(app, key).value


def pick(app: AppTest, key: str, row: int) -> AppTest:
    """Click a row of a grid."""
    app.session_state[_grid(app, key).key] = {"selection": {"rows": [], "columns": [], "cells": [(row, "name")]}}
    return app.run()


def _grid(app: AppTest, key: str) -> Any:
    [found] = [frame for frame in app.dataframe if frame.key and frame.key.startswith(f"{key}_")]
    return found


def metrics(app: AppTest) -> dict[str, str]:
    """Name → value of the cards on the screen."""
    return {card.label: card.value for card in app.main.metric}


def sound(app: AppTest) -> AppTest:
    """The screen, unless something is broken on it; then what the log says of it."""
    assert not app.exception, [error.message for error in app.exception]
    said = words(app)
    beginnings = [translated(BROKEN, language).split("{id}")[0] for language in LANGUAGES]
    assert not any(text in said for text in beginnings), f"{_bugs[-1].kind} at {_bugs[-1].where}"  # type: ignore[attr-defined]
    assert "Traceback" not in said, said
    return app


def translated(text: str, language: str) -> str:
    """The text as the catalogue has it in a language."""
    return catalogue(language).get(text, (text,))[0]


# --- doing -----------------------------------------------------------------------------------------------------------


def control(app: AppTest, key: str) -> Any:
    """A choice that stands in the URL: components.controls makes one for each language."""
    [found] = [w for w in [*app.selectbox, *app.button_group] if w.key in [f"{key}_{code}" for code in LANGUAGES]]
    return found


def click(app: AppTest, key: str) -> AppTest:
    """Press the button of this key."""
    app.button(key=key).click()
    return app.run()


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """AppTest asks for the names of options in this thread, where no run has chosen a language."""
    before = words_.language()
    words_.use(language)
    try:
        yield
    finally:
        words_.use(before)


def drawn(app: AppTest, key: str) -> bool:
    """True when something of this key is on the screen."""
    return any(getattr(node, "key", None) == key for node in app._tree)


def count(*tables: str) -> tuple[int, ...]:
    """Rows of each table, past all rights."""
    with connection.begin_owner() as conn:
        return tuple(make.count(conn, table) for table in tables)


def within_run(viewer: Viewer, query: Callable[..., Any], **params: Any) -> Any:
    """What a query gives this viewer, past the screens."""
    with begin(viewer) as conn:
        return query(conn, viewer=viewer, **params)
