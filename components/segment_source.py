"""Which rule the segment screen works on: the one in the address, else a saved one, a ready-made one, or a new one.

The draft lives in the session; the address holds its rule as soon as it differs from what it began with.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import streamlit as st

from components import rule_draft
from components.rule_draft import Draft
from components.segment_choices import parsed
from db import rules
from db.rules import EVERYONE, Group

PARAMETER = "segment_rule"
_PREFIX = "segment_draft"


@dataclass(frozen=True)
class Source:
    """What the draft began with: `key` tells one beginning from another."""

    key: str
    rule: Group


def number() -> int:
    """A number that was not given before in this visit."""
    n: int = st.session_state.get(f"{_PREFIX}_number", 0) + 1
    st.session_state[f"{_PREFIX}_number"] = n
    return n


def adopt(source: Source) -> str:
    """Take the rule of the address, or of the source, when either is new; gives what is wrong with the address's."""
    written = st.query_params.get(PARAMETER)
    seen = (source.key, written)
    if st.session_state.get(f"{_PREFIX}_seen") == seen:
        return str(st.session_state.get(f"{_PREFIX}_problem", ""))
    found, problem = parsed(written) if written else (None, "")
    st.session_state[f"{_PREFIX}_problem"] = problem
    st.session_state[f"{_PREFIX}_seen"] = seen
    st.session_state[f"{_PREFIX}_past"] = []
    put(found or source.rule)
    return problem


def put(rule: Group) -> None:
    """Work on this rule from now on, with widgets of its own."""
    st.session_state[f"{_PREFIX}_rule"] = rule
    st.session_state[_PREFIX] = rule_draft.of(rule, number)


def draft() -> Draft | None:
    """The rule as the builder edits it; None where it is nested deeper than the builder shows."""
    found: Draft | None = st.session_state.get(_PREFIX)
    return found


def rule() -> Group:
    """The rule as it stood after the last drawing."""
    found: Group = st.session_state[f"{_PREFIX}_rule"]
    return found


def fields() -> list[str]:
    """The fields of the draft's conditions."""
    found = draft()
    return [line.field for line in found.lines()] if found else [c.field.key for c in rules.conditions(rule())]


def fingerprint(found: Group) -> str:
    """Tells one rule from another, for widgets that belong to one."""
    return f"{zlib.crc32(rules.written(found).encode()):08x}"


def settle(source: Source) -> Group:
    """The rule as it stands after the builder was drawn: kept for stepping back, and written into the address."""
    before: Group = st.session_state[f"{_PREFIX}_rule"]
    present = draft()
    rule = present.rule() if present else before
    if rule != before:
        st.session_state[f"{_PREFIX}_past"].append(before)
        st.session_state[f"{_PREFIX}_rule"] = rule
        st.session_state[f"{_PREFIX}_problem"] = ""
    wanted = None if rule == source.rule else rules.written(rule)
    if st.query_params.get(PARAMETER) != wanted and not st.session_state[f"{_PREFIX}_problem"]:
        if wanted is None:
            del st.query_params[PARAMETER]
        else:
            st.query_params[PARAMETER] = wanted
        st.session_state[f"{_PREFIX}_seen"] = (source.key, wanted)
    return rule


def changed() -> bool:
    """Whether there is a step to take back."""
    return bool(st.session_state.get(f"{_PREFIX}_past"))


def step_back() -> None:
    """Work on the rule as it was before the last change."""
    past: list[Group] = st.session_state[f"{_PREFIX}_past"]
    if past:
        put(past.pop())


def replace(rule: Group) -> None:
    """Work on another rule, from which one can step back."""
    st.session_state[f"{_PREFIX}_past"].append(st.session_state[f"{_PREFIX}_rule"])
    put(rule)


def clear() -> None:
    """Begin with everyone."""
    replace(EVERYONE)
