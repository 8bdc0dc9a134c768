"""The form that edits a customer: problems under their fields, both sides of a stale save to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from components import wording
from db.errors import Conflict, Invalid
from db.words import _

KEY = "customer_form"


def labels() -> dict[str, str]:
    """The fields in their order, with what they are called."""
    return {
        "name": _("Name"),
        "company": _("Company"),
        "phone": _("Phone"),
        "email": _("E-mail"),
        "region": _("Region"),
        "city": _("City"),
        "address": _("Address"),
    }


def opened(values: Mapping[str, Any], customer_id: int, version: int) -> None:
    """Start editing: remember what the form was opened with, so that only what the user changes is saved."""
    close()
    st.session_state[f"{KEY}_id"] = customer_id
    for column in labels():
        st.session_state[f"{KEY}_opened_{column}"] = values[column]
    st.session_state[f"{KEY}_version"] = version


def close() -> None:
    """Forget the form and what was typed into it."""
    for key in [k for k in st.session_state if str(k).startswith(KEY)]:
        del st.session_state[key]


def is_open(customer_id: int) -> bool:
    """True while this customer is being edited."""
    return st.session_state.get(f"{KEY}_id") == customer_id


def told(changed: Sequence[str], merged_with: Sequence[str]) -> str:
    """What a save did, in a sentence: which fields, and which others somebody else changed meanwhile."""
    names = labels()
    if not changed:
        return _("Nothing had changed, so nothing was saved.")
    said = _("Saved: {fields}.").format(fields=wording.listed(names.get(c, c) for c in changed))
    if merged_with:
        theirs = wording.listed(names.get(c, c) for c in merged_with)
        said += " " + _("Meanwhile somebody else changed {fields}; both are kept.").format(fields=theirs)
    return said


def draw(limits: Mapping[str, int], *, submit: str) -> tuple[dict[str, str], int] | None:
    """Draw the form; when it is submitted, gives the changed values and the version they were based on."""
    before = {c: str(st.session_state[f"{KEY}_opened_{c}"]) for c in labels()}
    problems: dict[str, str] = st.session_state.get(f"{KEY}_problems", {})
    start = {c: str(st.session_state.get(f"{KEY}_typed_{c}", before[c])) for c in labels()}
    turn = st.session_state.get(f"{KEY}_turn", 0)  # new widgets after a choice, or they would keep what was typed
    if f"{KEY}_refused" in st.session_state:
        st.error(wording.sentence(st.session_state[f"{KEY}_refused"]))
    with st.form(KEY, border=True):
        typed = {}
        grid = st.grid(columns="auto", min_column_width=280)
        for column, label in labels().items():
            shown = f"{label} *" if column == "name" else label
            key = f"{KEY}_field_{column}_{turn}"
            with (st if column == "address" else grid).container(gap="xsmall"):
                if column == "address":
                    typed[column] = st.text_area(shown, start[column], key=key, height=80)
                else:
                    typed[column] = st.text_input(shown, start[column], key=key)
                if column in problems:
                    st.markdown(f":red[:material/error: {wording.plain(problems[column])}]")
        st.caption(
            _(
                "Fields with a star are required. At most {name} characters in the name, {address} in the address."
            ).format(name=limits["name"], address=limits["address"])
        )
        with st.container(horizontal=True):
            sent = st.form_submit_button(submit, type="primary", key=f"{KEY}_save")
            if st.form_submit_button(_("Cancel"), key=f"{KEY}_cancel"):
                close()
                st.rerun()
    if not sent:
        return None
    for column, value in typed.items():
        st.session_state[f"{KEY}_typed_{column}"] = value
    return {c: v for c, v in typed.items() if v != before[c]}, st.session_state[f"{KEY}_version"]


def blank(*, submit: str) -> dict[str, str] | None:
    """The form of a new customer; gives the values once it is submitted."""
    typed: dict[str, str] = {}
    with st.form("customers_new", border=False):
        for column, label in labels().items():
            typed[column] = st.text_input(f"{label} *" if column == "name" else label, key=f"customers_new_{column}")
        sent = st.form_submit_button(submit, type="primary", key="customers_new_save")
    return typed if sent else None


def problems(error: Invalid) -> None:
    """The fields of a refused form, each with its sentence."""
    st.error(wording.sentence(error.message))
    for column, sentence in error.fields.items():
        st.markdown(f"- **{labels().get(column, column)}**: {wording.sentence(sentence)}")


def explain(error: Invalid) -> None:
    """Show the problems of a refused save under their fields."""
    st.session_state[f"{KEY}_problems"] = error.fields
    st.session_state[f"{KEY}_refused"] = error.message
    st.rerun()


def clash(error: Conflict) -> None:
    """Remember both sides of a stale save for `choose`; what was wrong with an earlier try is not any more."""
    for name in ("problems", "refused"):
        st.session_state.pop(f"{KEY}_{name}", None)
    st.session_state[f"{KEY}_clash"] = (error.rows, error.details["version"])
    st.rerun()


def _side(side: str, value: str) -> str:
    return f"{_('Mine') if side == 'mine' else _('Theirs')}: {wording.plain(value) or '–'}"


def _choice(row: Mapping[str, Any]) -> str:
    """One column's two values; gives 'mine' or 'theirs'."""

    def named(side: str) -> str:
        return _side(side, row[side])

    key = f"{KEY}_clash_{row['column']}"
    return str(st.radio(labels()[row["column"]], ("mine", "theirs"), format_func=named, key=key))


def choose() -> bool:
    """Both sides, column by column; True while the user still has to choose. The choice goes back into the form."""
    found = st.session_state.get(f"{KEY}_clash")
    if not found:
        return False
    rows, version = found
    st.warning(_("Somebody saved this customer while you were editing. Choose which values to keep."))
    kept = {row["column"]: _choice(row) for row in rows}
    if st.button(_("Go on with these values"), type="primary", key=f"{KEY}_clash_done"):
        for row in rows:
            st.session_state[f"{KEY}_opened_{row['column']}"] = row["theirs"]
            if kept[row["column"]] == "theirs":
                st.session_state[f"{KEY}_typed_{row['column']}"] = row["theirs"]
        st.session_state[f"{KEY}_turn"] = st.session_state.get(f"{KEY}_turn", 0) + 1
        st.session_state[f"{KEY}_version"] = version
        del st.session_state[f"{KEY}_clash"]
        st.rerun()
    return True
