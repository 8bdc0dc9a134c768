"""The inputs of a customer's form, its own fields and those that were added; under each what there is to say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import wording
from db.custom_values import PREFIX, Field
from db.words import _

DAY = "2026-11-25"
"""What a day looks like; a calendar would speak English only."""


def own_labels() -> dict[str, str]:
    """The customer's own fields in their order, with what they are called."""
    return {
        "name": _("Name"),
        "company": _("Company"),
        "phone": _("Phone"),
        "email": _("E-mail"),
        "region": _("Region"),
        "city": _("City"),
        "address": _("Address"),
    }


def labels(fields: Mapping[str, Field]) -> dict[str, str]:
    """All fields of the form; a custom one is named by `custom.` and its key."""
    return own_labels() | {PREFIX + key: field.label for key, field in fields.items()}


def start_of(column: str, value: Any, fields: Mapping[str, Field]) -> Any:
    """A stored value as its input gives it back: what is equal was not touched."""
    field = fields.get(column.removeprefix(PREFIX)) if column.startswith(PREFIX) else None
    if field is None or field.type in ("text", "number", "date"):
        return "" if value is None else str(value)
    if field.type == "choices":
        return list(value) if isinstance(value, list) else []
    if field.type == "flag":
        return value if isinstance(value, bool) else None
    return value if isinstance(value, str) and value else None


def draw(
    prefix: str,
    fields: Mapping[str, Field],
    start: Mapping[str, Any],
    *,
    regions: Sequence[str],
    turn: int | str = "",
    wide: bool = True,
) -> tuple[dict[str, Any], dict[str, DeltaGenerator]]:
    """Draw all inputs; gives what stands in them, and the place under each. `wide` stands them beside one another.

    `regions` are those of other customers, to choose from.
    """
    typed: dict[str, Any] = {}
    places: dict[str, DeltaGenerator] = {}
    grid = st.grid(columns="auto", min_column_width=280) if wide else st.container(gap="small")
    for column, label in own_labels().items():
        shown = f"{label} *" if column == "name" else label
        key = f"{prefix}_{column}{turn}"
        long = column == "address" and wide
        with (st if long else grid).container(gap="xsmall"):
            if column == "region":
                typed[column] = _region(shown, start[column], key, regions)
            elif long:
                typed[column] = st.text_area(shown, start[column], key=key, height=80)
            else:
                typed[column] = st.text_input(shown, start[column], key=key)
            places[column] = st.container(gap=None)
    if fields:
        grid = st.grid(columns="auto", min_column_width=280) if wide else st.container(gap="small")
    for name, field in fields.items():
        column = PREFIX + name
        with grid.container(gap="xsmall"):
            typed[column] = _custom(field, start[column], f"{prefix}_{column.replace('.', '_')}{turn}")
            places[column] = st.container(gap=None)
    return typed, places


def _region(label: str, start: str, key: str, regions: Sequence[str]) -> str:
    """One of those that there are, in the reader's language, or a new one that is typed."""
    options = list(dict.fromkeys([*regions, *([start] if start else [])]))
    chosen = st.selectbox(
        label,
        options,
        options.index(start) if start else None,
        format_func=wording.translated,
        key=key,
        placeholder=_("Choose, or type a new one"),
        accept_new_options=True,
    )
    words = {wording.translated(region): region for region in options}
    return words.get(chosen, chosen) if chosen else ""


def problem(place: DeltaGenerator, sentence: str) -> None:
    """What is wrong, under its field."""
    apart = wording.plain(sentence).replace("@", "\u2060@")  # the example of an address is no link
    place.markdown(f":red[:material/error: {apart}]")


def _custom(field: Field, start: Any, key: str) -> Any:
    label = wording.plain(field.label) + (" *" if field.required else "")
    about = wording.plain(field.help) or None
    match field.type:
        case "date":
            return st.text_input(label, start, key=key, help=about, placeholder=DAY)
        case "choice":
            options = list(dict.fromkeys([*field.choices, *([start] if start else [])]))
            at = options.index(start) if start else None
            return st.selectbox(label, options, at, key=key, help=about, placeholder="–")
        case "choices":
            options = list(dict.fromkeys([*field.choices, *start]))
            return st.multiselect(label, options, start, key=key, help=about, placeholder="–")
        case "flag":
            words = {True: _("yes"), False: _("no")}
            return st.segmented_control(
                label, [True, False], format_func=words.__getitem__, default=start, key=key, help=about
            )
        case "text" if "\n" in start:
            return st.text_area(label, start, key=key, help=about, height=80)
        case _:
            return st.text_input(label, start, key=key, help=about)
