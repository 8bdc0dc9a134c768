"""A page without the shell, for comparison: pages are registered, since bodies draw links; nothing is checked."""

from __future__ import annotations

import runpy

import streamlit as st

from components import data, page, places
from pages import SCREENS

st.navigation([places.place(screen) for screen in SCREENS], position="hidden")
with data.run("bench"), data.snapshot(st.session_state["bench_session"]), page.guard():
    runpy.run_path(st.session_state["bench_file"])
