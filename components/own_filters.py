"""Filters of the customer list by custom fields: one chooses the fields, each then has its controls; and in words.

What is asked stands in the session as a whole and in the address as one parameter for each field; the controls are set
anew whenever it was changed elsewhere: by an address, a view, or a filter that was taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import streamlit as st

from components import controls, format, wording
from components.customer_inputs import DAY
from components.wording import N_
from db import custom_filters
from db.custom_filters import ANY, HAS, IN, IS, MODES, MOST_CHOSEN, MOST_FILTERS, MOST_WORDS, NONE, RANGE, Asked
from db.custom_values import Field
from db.errors import Invalid
from db.words import _

NAME = "customers_own"
PARAMETER = "customers_f_"
"""Before the key of a field in an address."""
WIDTH = 230
MOST_SAID = 5
_WORDS = {
    HAS: N_("contains"),
    IS: N_("is exactly"),
    RANGE: N_("from … to"),
    IN: N_("one of"),
    custom_filters.YES: N_("yes"),
    custom_filters.NO: N_("no"),
    NONE: N_("not filled in"),
    ANY: N_("filled in"),
}


def adopt(fields: Mapping[str, Field], withheld: Mapping[str, Field]) -> dict[str, str]:
    """What is asked, by key, before the controls are drawn: an address that is new is read, as far as it can be."""
    key, there = controls.key_of(NAME), _in_address()
    # What was put there since it was drawn, by a view or a chip, goes before an address that is behind.
    put = key in st.session_state and st.session_state[key] is not st.session_state.get(
        controls.key_of(f"{NAME}_drawn")
    )
    if put:
        st.session_state[f"{NAME}_in_url"] = there
    elif key not in st.session_state or there != st.session_state.get(f"{NAME}_in_url"):
        readable = {k: there[k] for k in fields if k in there and not _problem(k, there[k], fields, withheld)}
        st.session_state[key] = dict([*readable.items()][:MOST_FILTERS])
        st.session_state[f"{NAME}_in_url"] = there
    held: dict[str, str] = st.session_state[key]
    return {k: held[k] for k in fields if k in held}


def draw(fields: Mapping[str, Field], withheld: Mapping[str, Field]) -> tuple[tuple[str, str], ...]:
    """The controls; gives what is asked, in the order of the fields."""
    asked, found = adopt(fields, withheld), dict[str, str]()
    if fields:
        drawn: dict[str, str] = st.session_state.get(controls.key_of(f"{NAME}_drawn"), {})
        changed = {k for k in fields if asked.get(k) != drawn.get(k)}
        for k in _chosen(fields, asked, changed):
            if k in changed or _key(k, "mode") not in st.session_state:
                _set(fields[k], asked.get(k))
            found[k] = _one(fields[k])
    found = {k: found[k] for k in fields if found.get(k)}
    st.session_state[controls.key_of(NAME)] = st.session_state[controls.key_of(f"{NAME}_drawn")] = found
    _publish(found, fields, withheld)
    return tuple(found.items())


def _chosen(fields: Mapping[str, Field], asked: Mapping[str, str], changed: set[str]) -> list[str]:
    """The choice of the fields that have controls: those of which something is asked, and those just taken up."""
    key = controls.key_of(f"{NAME}_fields")
    standing = [k for k in st.session_state.get(key, ()) if k in fields and (k in asked or k not in changed)]
    st.session_state[key] = [*standing, *(k for k in asked if k not in standing)][:MOST_FILTERS]
    chosen: list[str] = st.multiselect(
        _("Your own fields"),
        list(fields),
        format_func=lambda k: wording.plain(fields[k].label),
        key=key,
        max_selections=MOST_FILTERS,
        placeholder=_("Choose fields to filter by"),
        on_change=_let_go,
        args=(key, controls.key_of(NAME)),
    )
    return chosen


def _let_go(chosen: str, asked: str) -> None:
    """Before the next run: of a field that was taken out of the choice nothing is asked."""
    held = st.session_state.get(asked, {})
    st.session_state[asked] = {k: held[k] for k in held if k in st.session_state[chosen]}


def _key(k: str, part: str) -> str:
    return controls.key_of(f"{NAME}_{k}_{part}")


def _set(field: Field, written: str | None) -> None:
    """The controls hold this, or nothing yet."""
    one = custom_filters.read(field, written) if written else Asked(field, MODES[field.type][0])
    st.session_state[_key(field.key, "mode")] = one.mode
    low, high = one.values if one.mode == RANGE and written else ("", "")
    st.session_state[_key(field.key, "words")] = one.values[0] if one.mode in (HAS, IS) and written else ""
    st.session_state[_key(field.key, "low")], st.session_state[_key(field.key, "high")] = low, high
    st.session_state[_key(field.key, "chosen")] = list(one.values) if one.mode == IN else []


def _one(field: Field) -> str:
    """The controls of one field; gives what is asked as it is written, '' while there is nothing or it cannot be."""
    k, label = field.key, wording.plain(field.label)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key=f"kehu_filters_own_{k}"):
        mode = st.selectbox(
            label,
            MODES[field.type],
            format_func=lambda code: _(_WORDS[code]),
            key=_key(k, "mode"),
            width=WIDTH,
        )
        values: list[str] = []
        if mode in (HAS, IS):
            values = [st.text_input(_("Words"), key=_key(k, "words"), max_chars=MOST_WORDS, width=WIDTH)]
        elif mode == RANGE:
            day = field.type == "date"
            example = DAY if day else "–"
            ends = (_("From"), _("To")) if day else (_("At least"), _("At most"))
            for end, called in zip(("low", "high"), ends, strict=True):
                values.append(st.text_input(called, key=_key(k, end), placeholder=example, width=(WIDTH - 14) // 2))
        elif mode == IN:
            values = st.multiselect(
                _("One of these"),
                field.choices,
                format_func=wording.plain,
                key=_key(k, "chosen"),
                max_selections=MOST_CHOSEN,
                placeholder=_("Choose"),
                width=WIDTH,
            )
    if mode in (HAS, IS, RANGE, IN) and not any(values):
        return ""
    try:
        return custom_filters.written(custom_filters.asked(field, mode, values))
    except Invalid as error:
        st.markdown(f":red[:material/error: {wording.plain(wording.sentence(error.message))}]")
        return ""


def said(field: Field, written: str) -> str:
    """What is asked of a field, in words."""
    one = custom_filters.read(field, written)
    if one.mode == RANGE:
        low, high = (_shown(field, end) if end else "" for end in one.values)
        ends = _("{field} from {low} to {high}"), _("{field} from {low}"), _("{field} up to {high}")
        return ends[0 if low and high else 1 if low else 2].format(field=field.label, low=low, high=high)
    if one.mode in (HAS, IS):
        template = _("{field} contains “{words}”") if one.mode == HAS else _("{field} is “{words}”")
        return template.format(field=field.label, words=one.values[0])
    told = wording.listed(one.values) if one.mode == IN else _(_WORDS[one.mode])
    return _("{field}: {value}").format(field=field.label, value=told)


def _shown(field: Field, value: str) -> str:
    return format.day(date.fromisoformat(value)) if field.type == "date" else custom_filters.number(value)


# --- addresses -------------------------------------------------------------------------------------------------------


def _in_address() -> dict[str, str]:
    return {name.removeprefix(PARAMETER): st.query_params[name] for name in st.query_params if _ours(name)}


def _ours(name: str) -> bool:
    return name.startswith(PARAMETER)


def _publish(found: Mapping[str, str], fields: Mapping[str, Field], withheld: Mapping[str, Field]) -> None:
    """Keep the address in step. What could not be read stays in it, so that the page goes on saying so."""
    for k, written in _in_address().items():
        if k not in found and not _problem(k, written, fields, withheld):
            del st.query_params[PARAMETER + k]
    for k, written in found.items():
        if st.query_params.get(PARAMETER + k) != written:
            st.query_params[PARAMETER + k] = written
    st.session_state[f"{NAME}_in_url"] = _in_address()


def fits(k: str, written: str, fields: Mapping[str, Field]) -> bool:
    """Whether this is a filter of one of the fields."""
    return not _problem(k, written, fields, {})


def _problem(k: str, written: str, fields: Mapping[str, Field], withheld: Mapping[str, Field]) -> str:
    """Why a parameter is no filter, in a sentence; '' where it is one."""
    if k in withheld:
        return _("“{field}” is hidden from your role, so no list is narrowed by it.").format(field=withheld[k].label)
    if k not in fields:
        return _("There is no field “{field}” to filter by.").format(field=k[:60])
    try:
        custom_filters.read(fields[k], written)
    except Invalid as error:
        return error.message
    return ""


def remarks(fields: Mapping[str, Field], withheld: Mapping[str, Field]) -> None:
    """What of the address is no filter, until somebody hides it."""
    there = _in_address()
    problems = {k: problem for k in there if (problem := _problem(k, there[k], fields, withheld))}
    if not problems:
        return
    sentences = list(problems.values())[:MOST_SAID]
    more = "" if len(problems) <= MOST_SAID else _("And {n} more.").format(n=len(problems) - MOST_SAID)
    with st.container(horizontal=True, vertical_alignment="center", key=f"{NAME}_gone"):
        st.warning(wording.sentence(" ".join([_("Left out of this link:"), *sentences, more]).strip()))
        st.button(_("Hide"), type="tertiary", key=f"{NAME}_hide", on_click=_take_out, args=([*problems],))


def _take_out(keys: list[str]) -> None:
    for k in keys:
        st.query_params.pop(PARAMETER + k, None)
    st.session_state[f"{NAME}_in_url"] = _in_address()
