"""What every screen stands in: its permission, checked fragments, the heading, errors in words."""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import data, visit, wording
from db.errors import Conflict, Invalid, KehuError, NotFound, Refused, Unavailable
from db.permissions import Permission, Viewer
from db.sessions import Session
from db.settings import Settings
from db.words import _

F = TypeVar("F", bound=Callable[..., Any])

ROOT = Path(__file__).parent.parent

log = logging.getLogger("kehu.errors")


def require(permission: Permission) -> Viewer:
    """The viewer of this run. The first statement of every screen: without the permission nothing of it runs.

    A screen that was reached past the shell has no checked viewer and shows nothing at all.
    """
    found = data.current()
    if found is None or found.session is None:
        st.stop()
    viewer = found.session.viewer
    if not viewer.can(permission):
        st.warning(_("Your role does not include this screen. Ask an administrator if you need it."))
        st.stop()
    return viewer


def session_id() -> int:
    """The session of this run, for commands on one's own sessions."""
    return _session().id


def name() -> str:
    """What the user is called."""
    found = _session()
    return found.name or found.viewer.username


def settings() -> Settings:
    """The company's settings, as read with the session."""
    return _session().settings


def today() -> date:
    """The company's present day."""
    return _session().today


def _session() -> Session:
    found = data.current()
    if found is None or found.session is None:
        raise RuntimeError("outside a run nobody has been checked")
    return found.session


# --- fragments -------------------------------------------------------------------------------------------------------


def fragment(f: F | None = None, *, run_every: float | timedelta | str | None = None, key: str | None = None) -> Any:
    """As st.fragment, but a rerun of the fragment alone checks the session first: it does not pass the shell."""
    if f is None:
        return lambda g: fragment(g, run_every=run_every, key=key)
    return st.fragment(_checked(f), run_every=run_every, key=key)


def apart(f: F, *, part: str) -> F:
    """As fragment, but it loads by itself, beside the rest of the screen and at the same time: neither a slow nor a
    failing one holds up the others. It has a run of its own, and `part` tells it from the others of its kind.
    """
    alone: F = st.fragment(_alone(f, part), parallel=True)
    return alone


def dialog(title: str, **options: Any) -> Callable[[F], F]:
    """As st.dialog, with the session checked whenever its content runs by itself."""
    return lambda f: st.dialog(title, **options)(_checked(f))


def _checked(f: F) -> F:
    @wraps(f)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if data.current() is not None:  # within a whole run, which the shell has checked
            try:
                return f(*args, **kwargs)
            except Exception as error:  # as guard() does: what follows the fragment on the screen is drawn all the same
                return fail(error)
        return alone(*args, **kwargs)

    alone = _alone(f)
    return checked  # type: ignore[return-value]


def _alone(f: F, part: str = "") -> F:
    """The function in a run of its own, whose session is checked first."""

    @wraps(f)
    def alone(*args: Any, **kwargs: Any) -> Any:
        viewer, screen = visit.remembered()
        with data.run(f"{screen}/{f.__name__}", part=part), guard():
            found = visit.session()
            # Gone, somebody else's, or with other rights: what the screen holds is not theirs. The shell sorts it out.
            if found is None or found.viewer != viewer:
                st.rerun()
            visit.use_language(found)
            with data.snapshot(found), guard():
                return f(*args, **kwargs)

    return alone  # type: ignore[return-value]


# --- errors in words -------------------------------------------------------------------------------------------------


@contextmanager
def guard() -> Iterator[None]:
    """Show what goes wrong inside as a sentence. A bug is logged with an id and shown with that id."""
    try:
        yield
    except Exception as error:
        fail(error)


def fail(error: Exception) -> None:
    """Show an error as a sentence: its own when it is meant for the user, else one with the number it is logged by."""
    if isinstance(error, KehuError):
        say(error)
        return
    text = _("Something went wrong on our side. Try again; if it stays, tell an administrator this number: {id}.")
    st.error(text.format(id=report(error)), icon=":material/error:")


def say(error: KehuError) -> None:
    """An error meant for the user, in its own words; what it quotes of an address or a rule is text, never markup."""
    said = wording.sentence(error.message)
    if isinstance(error, Unavailable):
        st.warning(said, icon=":material/cloud_off:")
        found = data.current()
        if found is not None:
            found.notices += 1
        st.button(_("Try again"), key=f"kehu_again_{found.part}{found.notices}" if found else "kehu_again_0")
    elif isinstance(error, Conflict | NotFound | Refused):
        st.warning(said, icon=":material/info:")
    else:
        st.error(said, icon=":material/error:")
        if isinstance(error, Invalid):
            for text in error.fields.values():
                if text != error.message:
                    st.caption(wording.sentence(text))


def report(error: BaseException) -> str:
    """Log a bug as one line: kinds and places, no message (it may hold a customer's values); gives its id."""
    number = secrets.token_hex(4)
    found = data.current()
    kinds: list[str] = []
    link: BaseException | None = error
    while link is not None and len(kinds) < 5:
        state = getattr(getattr(link, "orig", None), "sqlstate", None) or getattr(link, "sqlstate", None)
        kinds.append(type(link).__name__ + (f" {state}" if state else ""))
        link = link.__cause__ or link.__context__
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    log.error(
        "error",
        extra={
            "error": number,
            "run": found.id if found else None,
            "screen": found.screen if found else None,
            "user": found.session.viewer.user_id if found and found.session else None,
            "kind": kinds,
            "where": [f"{_place(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames],
        },
    )
    return number


def _place(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else "/".join(path.parts[-2:])


# --- heading ---------------------------------------------------------------------------------------------------------


def heading(title: str, context: str = "") -> DeltaGenerator:
    """Title, one line of context, and to the right a slot for actions, which is returned. A phone stacks them."""
    row = st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom", key="kehu_heading"
    )
    text = row.container(gap=None, width="content")
    text.title(title, anchor=False)
    if context:
        text.caption(context)
    return row.container(horizontal=True, horizontal_alignment="right", width="content", key="kehu_actions")
