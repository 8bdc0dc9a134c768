"""The choice of a period: presets that end on the last day with orders, or own dates; both stand in the URL."""

from __future__ import annotations

from datetime import date, timedelta

import streamlit as st

from components import controls
from db.words import _

PRESETS = {"28d": 28, "84d": 84, "364d": 364}


def choose(screen: str, *, last_day: date | None, today: date) -> tuple[date | None, date | None]:
    """First and last day, both included; (None, None) for all time."""
    names = {
        "28d": _("4 weeks"),
        "84d": _("12 weeks"),
        "364d": _("52 weeks"),
        "all": _("All time"),
        "own": _("Own dates"),
    }
    preset = controls.switch(f"{screen}_period", _("Period"), list(names), names.__getitem__, default="84d")
    end = min(last_day or today, today)
    if preset in PRESETS:
        return end - timedelta(days=PRESETS[preset] - 1), end
    if preset != "own":
        return None, None
    start = st.date_input(_("From"), end - timedelta(days=27), key=f"{screen}_from", bind="query-params", width=150)
    until = st.date_input(_("To"), end, key=f"{screen}_to", bind="query-params", width=150)
    return start, until
