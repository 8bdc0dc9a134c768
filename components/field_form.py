"""The custom fields as a grid, the card of one, and the form of a new one; the page carries out what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import customer_inputs, tables, wording
from db.custom_values import TYPE_NAMES, Field
from db.errors import Invalid
from db.words import _

LISTS = ("choice", "choices")


def pick(fields: Sequence[Field]) -> tables.Picked:
    """The grid, with one row to click."""
    shown = pd.DataFrame(
        {
            "name": [field.label for field in fields],
            "key": [field.key for field in fields],
            "type": [_(TYPE_NAMES[field.type]) for field in fields],
            "required": [_("yes") if field.required else "–" for field in fields],
            "personal": [_("yes") if field.personal else "–" for field in fields],
            "state": [_("Archived") if field.archived else _("In use") for field in fields],
        }
    )
    columns = {
        "name": st.column_config.TextColumn(_("Name"), width=180),
        "key": st.column_config.TextColumn(_("Key"), width=140),
        "type": st.column_config.TextColumn(_("Type"), width=120),
        "required": st.column_config.TextColumn(_("Required"), width=80),
        "personal": st.column_config.TextColumn(_("Personal"), width=80),
        "state": st.column_config.TextColumn(_("State"), width=90),
    }
    height = tables.height(len(fields), 17)
    ids = [field.id for field in fields]
    return tables.pick_row(shown, columns, key="fields_list", widths=(7, 5), height=height, ids=ids)


def card(field: Field, others: Sequence[Field]) -> tuple[str, Any] | None:
    """Draw one field; gives ('save', values), ('move', the field it stands after or None), ('archive', True or False).

    `others` are the other fields in use, in their order.
    """
    asked: tuple[str, Any] | None = None
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(wording.plain(field.label), anchor=False, width="content")
            if field.archived:
                st.badge(_("Archived"), color="gray")
        sight = _("hidden from analysts and marketers") if field.personal else _("everybody sees it")
        st.caption(wording.line(field.key, _(TYPE_NAMES[field.type]), sight))
        key = f"fields_edit_{field.id}_{field.version}"
        places: dict[str, DeltaGenerator] = {}
        with st.form(key, border=False, enter_to_submit=False):
            values = _words(key, places, vars(field))
            if field.type in LISTS:
                values["choices"] = _choices(key, places, field.choices)
            values["required"] = st.checkbox(_("Required"), field.required, key=f"{key}_required")
            if st.form_submit_button(_("Save field"), type="primary", key=f"{key}_save"):
                asked = ("save", values)
        refused: Invalid | None = st.session_state.pop(f"{key}_refused", None)
        if refused:
            explain(places, refused)
        if not field.archived and others:
            asked = _move(field, others) or asked
        return _archive(field) or asked


def refused(field: Field, error: Invalid) -> None:
    """Draw the card anew, with what is wrong under its fields; what was typed stays."""
    st.session_state[f"fields_edit_{field.id}_{field.version}_refused"] = error
    st.rerun()


def explain(places: Mapping[str, DeltaGenerator], error: Invalid) -> None:
    """Say under each field what is wrong with it; what concerns none of them stands at the end."""
    for name, sentence in error.fields.items():
        if name in places:
            customer_inputs.problem(places[name], sentence)
    if not error.fields.keys() & places.keys():
        st.error(wording.sentence(error.message))


def new(suggest: Any) -> tuple[dict[str, Any], Mapping[str, DeltaGenerator]] | None:
    """The form of a new field; gives what was typed once it is sent. `suggest` makes a key of a name."""
    places: dict[str, DeltaGenerator] = {}
    values = _words("fields_new", places, {})
    with st.container(gap="xsmall"):
        values["type"] = st.selectbox(
            _("Type"), list(TYPE_NAMES), format_func=lambda code: _(TYPE_NAMES[code]), key="fields_new_type"
        )
        places["type"] = st.container(gap=None)
    if values["type"] in LISTS:
        values["choices"] = _choices("fields_new", places, ())
    with st.container(gap="xsmall"):
        values["key"] = st.text_input(
            _("Key"),
            key="fields_new_key",
            placeholder=suggest(values["name"]) or None,
            help=_("Its name in imports, exports and rules. Without one it is made of the name; it never changes."),
        )
        places["key"] = st.container(gap=None)
    values["required"] = st.checkbox(_("Required"), key="fields_new_required")
    values["personal"] = st.checkbox(
        _("Personal"), key="fields_new_personal", help=_("Hidden from analysts and marketers, as names and phones are.")
    )
    st.caption(_("Key, type and whether it is personal are decided once: the values are kept by them."))
    return (values, places) if st.button(_("Add field"), type="primary", key="fields_new_save") else None


def _words(key: str, places: dict[str, DeltaGenerator], now: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, label in (("name", _("Name") + " *"), ("name_zh", _("Chinese name")), ("help", _("Help text"))):
        with st.container(gap="xsmall"):
            found[name] = st.text_input(label, now.get(name, ""), key=f"{key}_{name}")
            places[name] = st.container(gap=None)
    return found


def _choices(key: str, places: dict[str, DeltaGenerator], now: Sequence[str]) -> list[str]:
    with st.container(gap="xsmall"):
        typed = st.text_area(
            _("Choices, one on a line") + " *",
            "\n".join(now),
            key=f"{key}_choices",
            height=140,
            help=_("What is taken out of the list stays where it stands in customers, and can no longer be chosen."),
        )
        places["choices"] = st.container(gap=None)
    return typed.split("\n")


def _move(field: Field, others: Sequence[Field]) -> tuple[str, Any] | None:
    places = {0: _("at the beginning")} | {f.id: _("after {name}").format(name=f.label) for f in others}
    before = [f.id for f in others if f.position < field.position]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        after = st.selectbox(
            _("Where it stands"),
            list(places),
            list(places).index(before[-1] if before else 0),
            format_func=places.__getitem__,
            key=f"fields_place_{field.id}_{field.version}",
        )
        moved = st.button(_("Move"), key=f"fields_move_{field.id}")
    return ("move", after or None) if moved else None


def _archive(field: Field) -> tuple[str, Any] | None:
    if field.archived:
        back = st.button(_("Put back into the forms"), icon=":material/unarchive:", key=f"fields_restore_{field.id}")
        return ("archive", False) if back else None
    with st.popover(_("Archive"), icon=":material/archive:"):
        st.caption(_("Takes the field out of the forms. Its values stay, and you can undo it."))
        gone = st.button(_("Archive this field"), type="primary", key=f"fields_archive_{field.id}")
    return ("archive", True) if gone else None
