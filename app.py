"""Kehu's server: `streamlit run app.py`. The screens, the routes beside them, and what happens at start and end."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Route
from streamlit import config

import components
from api import auth, exports, files, guard, health, home, log
from components import page
from db import connection, held, held_check, passwords, text
from pages import SCREENS

# What a first visit would otherwise wait for; the shell is a script and no module.
WARM = [f"components.{module.name}" for module in iter_modules(components.__path__) if module.name != "shell"]

log.configure()
config.set_option("server.allowedHosts", guard.allowed_hosts())


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Import everything heavy, then take it out of the garbage collector's rounds."""
    for name in WARM:
        import_module(name)
    passwords.nobodys_hash()
    text.pinyin("客")  # which loads the dictionaries
    gc.collect()
    gc.freeze()
    with held.kept(held_check.verify):
        yield
    connection.engine().dispose()


def failed(error: Exception) -> bool:
    """What no guard caught, a widget's callback for instance: logged with an id, shown as a sentence."""
    page.fail(error)
    return True


app = st.App(
    "components/shell.py",
    lifespan=lifespan,
    routes=[
        Route("/healthz", health.health),
        Route(f"/{SCREENS[0].path}", home.home),
        Route("/auth/session", auth.session, methods=["POST", "DELETE"]),
        Route("/exports/{token}", exports.download),
        Route("/files/{customer}/{file}", files.download),
    ],
    middleware=[Middleware(guard.Guard, page=Path(st.__file__).parent / "static" / "index.html")],
    on_script_error=failed,
)
