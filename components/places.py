"""Screens as places to go: Streamlit's page objects, links with parameters, and leaving for another screen."""

from __future__ import annotations

from urllib.parse import urlsplit

import streamlit as st

from db.words import _
from pages import BY_PATH, SCREENS, Screen


def place(screen: Screen) -> st.Page:
    """A screen as Streamlit's navigation knows it; the first one also answers at "/".

    Without its icon: Streamlit would make it the tab's too and fetch it from a foreign server.
    """
    return st.Page(
        f"../{screen.file}",
        title=_(screen.title),
        url_path=screen.path,
        default=screen is SCREENS[0],
    )


def link(path: str, label: str, *, icon: str | None = None, **params: str) -> None:
    """A link to a screen, with the parameters it should open with."""
    st.page_link(place(BY_PATH[path]), label=label, icon=icon, query_params=params or None)


def to(path: str, **params: str) -> None:
    """A link to a screen, by its own name."""
    link(path, _(BY_PATH[path].title), icon=BY_PATH[path].icon, **params)


def go(path: str, **params: str) -> None:
    """Leave for another screen now."""
    st.switch_page(place(BY_PATH[path]), query_params=params or None)


def origin() -> str:
    """How this browser reaches Kehu, scheme and host: the beginning of links that are passed on."""
    there = urlsplit(st.context.url or "")
    return f"{there.scheme}://{there.netloc}"
