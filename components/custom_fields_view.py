"""Custom fields as people read them: in the details of a customer, and what history calls them."""

from __future__ import annotations

from datetime import date
from typing import Any

import streamlit as st

from components import data, format, wording
from db import custom_fields, custom_values
from db.custom_values import Field
from db.permissions import Viewer
from db.words import _


def details(values: dict[str, Any], *, viewer: Viewer) -> None:
    """The fields in use with their values; those withheld say so, empty ones show a dash."""
    fields = data.read(custom_fields.in_use, viewer=viewer)
    if not fields:
        return
    with st.grid(columns="auto", min_column_width=180, gap="small"):
        for key, field in fields.items():
            with st.container(gap=None):
                st.caption(wording.plain(field.label))
                withheld = field.personal and viewer.masked
                st.text(_("hidden from your role") if withheld else told(field, values.get(key)) or "–")


def told(field: Field | None, value: Any) -> str:
    """A value in the reader's language; never markup."""
    if field and field.type == "date" and isinstance(value, str):
        try:
            return format.day(date.fromisoformat(value))
        except ValueError:
            return value
    return custom_values.told(field, value)


def named(viewer: Viewer) -> dict[str, Field]:
    """Every field by its key, archived ones too: history speaks of them."""
    return {field.key: field for field in data.read(custom_fields.every, viewer=viewer)}
