"""Visiting screens without a browser: Streamlit's AppTest from the shell, signed in through a real session row."""

from __future__ import annotations

from contextlib import contextmanager
from collections.abc import Iterator
from typing import Any

from streamlit.testing.v1 import AppTest

from components import visit as visits
from db import sessions
from db.connection import begin
from db.permissions import GATE, Viewer
from pages import BY_PATH

TIMEOUT = 60


def signed_in(viewer: Viewer, path: str, *, language: str = "en", **params: str) -> AppTest:
    """The screen as this viewer sees it, run once."""
    with begin(GATE, write=True) as conn:
        started = sessions.start(conn, user_id=viewer.user_id)
    app = AppTest.from_file("../../components/shell.py", default_timeout=TIMEOUT)
    app.session_state[visits.SESSION] = started.session_id
    app.session_state[visits.LANGUAGE] = language
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    if BY_PATH[path] is not next(iter(BY_PATH.values())):
        app.switch_page(f"../{BY_PATH[path].file}")
        for name, value in params.items():
            app.query_params[name] = value
        app.run()
    return app


def words(app: AppTest) -> str:
    """Everything that can be read on the screen, in one text."""
    found: list[str] = []
    for element in [*app.main, *app.sidebar]:
        for name in ("value", "label", "body", "help", "placeholder"):
            text: Any = getattr(element, name, None)
            if isinstance(text, str):
                found.append(text)
        found.append(str(getattr(element, "proto", "")))
    return "\n".join(found)
