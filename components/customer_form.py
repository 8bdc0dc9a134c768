"""The form that edits a customer: problems under their fields, both sides of a stale save to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import customer_inputs, drafts, wording
from db.custom_values import PREFIX, Field
from db.custom_values import told as value_told
from db.errors import Conflict, Invalid
from db.words import _

KEY = "customer_form"
Fields = Mapping[str, Field]


def opened(customer_id: int, version: int) -> None:
    """Start editing; what the form is opened with is remembered at its first drawing."""
    close()
    st.session_state[f"{KEY}_id"] = customer_id
    st.session_state[f"{KEY}_version"] = version


def begin(values: Mapping[str, Any], fields: Fields) -> None:
    """Remember what the form was opened with, once, so that only what the user changes is saved."""
    for column in customer_inputs.labels(fields):
        st.session_state.setdefault(f"{KEY}_opened_{column}", values.get(column))


def close() -> None:
    """Forget the form and what was typed into it."""
    for key in [k for k in st.session_state if str(k).startswith(KEY)]:
        del st.session_state[key]
    drafts.opened(KEY)


def is_open(customer_id: int) -> bool:
    """True while this customer is being edited."""
    return st.session_state.get(f"{KEY}_id") == customer_id


def version() -> int:
    """The version of the customer that the form was opened with."""
    return int(st.session_state[f"{KEY}_version"])


def resume(values: Mapping[str, Any], of_version: int) -> None:
    """Go on with what was typed earlier, at the version it was typed at."""
    for column, value in values.items():
        st.session_state[f"{KEY}_typed_{column}"] = value
    st.session_state[f"{KEY}_version"] = of_version
    st.session_state[f"{KEY}_turn"] = st.session_state.get(f"{KEY}_turn", 0) + 1


def told(changed: Sequence[str], merged_with: Sequence[str], fields: Fields) -> str:
    """What a save did, in a sentence: which fields, and which others somebody else changed meanwhile."""
    names = {c: wording.plain(label) for c, label in customer_inputs.labels(fields).items()}
    if not changed:
        return _("Nothing had changed, so nothing was saved.")
    said = _("Saved: {fields}.").format(fields=wording.listed(names.get(c, c) for c in changed))
    if merged_with:
        theirs = wording.listed(names.get(c, c) for c in merged_with)
        said += " " + _("Meanwhile somebody else changed {fields}; both are kept.").format(fields=theirs)
    return said


def draw(fields: Fields, regions: Sequence[str]) -> tuple[dict[str, Any], set[str], dict[str, DeltaGenerator]]:
    """Draw the inputs; gives what stands in them, which were changed, and the place under each."""
    columns = customer_inputs.labels(fields)
    before = {c: customer_inputs.start_of(c, st.session_state.get(f"{KEY}_opened_{c}"), fields) for c in columns}
    start = {
        c: customer_inputs.start_of(c, st.session_state.get(f"{KEY}_typed_{c}", before[c]), fields) for c in columns
    }
    turn = st.session_state.get(f"{KEY}_turn", 0)  # new widgets after a choice, or they would keep what was typed
    typed, places = customer_inputs.draw(f"{KEY}_field", fields, start, regions=regions, turn=f"_{turn}")
    changed = {c for c in typed if typed[c] != before[c]}
    return typed, changed, places


def limits(most: Mapping[str, int]) -> None:
    """What is required and how long a text may be."""
    st.caption(
        _("Fields with a star are required. At most {name} characters in the name, {address} in the address.").format(
            name=most["name"], address=most["address"]
        )
    )


def refused() -> Invalid | None:
    """Why the last save was refused, until the next."""
    found: Invalid | None = st.session_state.get(f"{KEY}_refused")
    return found


def explain(error: Invalid) -> None:
    """Say above the form why a save was refused; under the fields it is said anyway."""
    st.session_state[f"{KEY}_refused"] = error
    st.rerun()


def clash(error: Conflict, typed: Mapping[str, Any]) -> None:
    """Remember both sides of a stale save for `choose`, and what else was typed."""
    st.session_state.pop(f"{KEY}_refused", None)
    for column, value in typed.items():
        st.session_state[f"{KEY}_typed_{column}"] = value
    st.session_state[f"{KEY}_clash"] = (error.rows, error.details["version"])
    st.rerun()


def _choice(row: Mapping[str, Any], fields: Fields) -> str:
    """One column's two values; gives 'mine' or 'theirs'."""
    field = fields.get(row["column"].removeprefix(PREFIX)) if row["column"].startswith(PREFIX) else None

    def named(side: str) -> str:
        shown = wording.plain(value_told(field, row[side])) or "–"
        return wording.labelled(_("Mine") if side == "mine" else _("Theirs"), shown)

    label = customer_inputs.labels(fields).get(row["column"], row["column"])
    key = f"{KEY}_clash_{row['column']}"
    return str(st.radio(wording.plain(label), ("mine", "theirs"), format_func=named, key=key))


def choose(fields: Fields) -> bool:
    """Both sides, column by column; True while the user still has to choose. The choice goes back into the form."""
    found = st.session_state.get(f"{KEY}_clash")
    if not found:
        return False
    rows, at_version = found
    st.warning(_("Somebody saved this customer while you were editing. Choose which values to keep."))
    kept = {row["column"]: _choice(row, fields) for row in rows}
    if st.button(_("Go on with these values"), type="primary", key=f"{KEY}_clash_done"):
        for row in rows:
            st.session_state[f"{KEY}_opened_{row['column']}"] = row["theirs"]
            if kept[row["column"]] == "theirs":
                st.session_state[f"{KEY}_typed_{row['column']}"] = row["theirs"]
        st.session_state[f"{KEY}_turn"] = st.session_state.get(f"{KEY}_turn", 0) + 1
        st.session_state[f"{KEY}_version"] = at_version
        del st.session_state[f"{KEY}_clash"]
        st.rerun()
    return True
