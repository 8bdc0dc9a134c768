"""Which rule the segment screen works on: the one in the address, else a saved one, a ready-made one, or a new one.

The draft lives in the session; the address holds its rule as soon as it differs from what it began with.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from components import rule_draft
from components.rule_draft import Draft
from components.segment_choices import known_fields, parsed
from db import rules
from db.fields import Field
from db.permissions import Viewer
from db.rules import EVERYONE, Group

PARAMETER = "segment_rule"
MOST_STEPS = 100
_STATE = "segment_draft"
_NUMBER = "segment_number"


@dataclass(frozen=True)
class Source:
    """What a draft begins with: `key` tells one beginning from another, `version` is a saved segment's."""

    key: str
    rule: Group
    version: int | None = None


@dataclass
class _State:
    source: Source
    rule: Group
    draft: Draft
    written: str | None
    problem: str
    known: Mapping[str, Field]
    past: list[Group] = field(default_factory=list)
    future: list[Group] = field(default_factory=list)


def source(one: Any, code: str, ready: Group | None) -> Source:
    """What a saved segment, a ready-made one of this code, or nothing at all begins with."""
    if one is not None:
        return Source(f"id {one.id}", one.rule, one.version)
    return Source(f"ready {code}", ready) if ready else Source("new", EVERYONE)


def within(region: str, field: str, op: str, value: Any) -> str:
    """The rule of one condition, as the address holds it, and of a region where one is chosen."""
    where = [{"field": "region", "op": "in", "value": [region]}] if region else []
    return rules.written(rules.parse({"all": [{"field": field, "op": op, "value": value}, *where]}))


def adopt(found: Source, viewer: Viewer) -> str:
    """Take up the rule of the address, or of the source, when either is new; gives what is wrong with the address's."""
    written, known = st.query_params.get(PARAMETER), known_fields(viewer)
    state: _State | None = st.session_state.get(_STATE)
    if state is None or (state.source.key, state.written) != (found.key, written):
        asked, problem = parsed(written, viewer) if written else (None, "")
        rule = asked or found.rule
        st.session_state[_STATE] = _State(found, rule, rule_draft.of(rule, number, known), written, problem, known)
        return problem
    state.known = known
    state.draft.know(known)
    if state.source != found and state.rule in (state.source.rule, found.rule):
        state.source = found
        if state.rule != found.rule:
            _put(found.rule)
    return state.problem


def number() -> int:
    """A number that was not given before in this visit."""
    n: int = st.session_state.get(_NUMBER, 0) + 1
    st.session_state[_NUMBER] = n
    return n


def _state() -> _State:
    state: _State = st.session_state[_STATE]
    return state


def _put(rule: Group) -> None:
    """Work on this rule from now on, with widgets of its own."""
    state = _state()
    state.rule, state.draft = rule, rule_draft.of(rule, number, state.known)


def draft() -> Draft:
    """The rule as the builder edits it."""
    return _state().draft


def rule() -> Group:
    """The rule as it stood after the last drawing."""
    return _state().rule


def version() -> int | None:
    """The version of the saved segment that the draft began with."""
    return _state().source.version


def outdated(found: Source) -> bool:
    """Whether somebody changed the saved segment since the draft, which differs from both, began."""
    return _state().source != found


def fields() -> Sequence[str]:
    """The fields of the draft's conditions."""
    return [line.field for line in draft().lines()]


def fingerprint(found: Group) -> str:
    """Tells one rule from another, for widgets that belong to one."""
    return f"{zlib.crc32(rules.written(found).encode()):08x}"


def settle() -> Group:
    """The rule as it stands after the builder was drawn: kept for stepping back, and written into the address."""
    state = _state()
    now = state.draft.rule()
    if now != state.rule:
        _remember(state)
        state.rule, state.problem = now, ""
    if not state.problem:
        state.written = None if now == state.source.rule else rules.written(now)
        if st.query_params.get(PARAMETER) != state.written:
            if state.written is None:
                del st.query_params[PARAMETER]
            else:
                st.query_params[PARAMETER] = state.written
    return now


def _remember(state: _State) -> None:
    """Keep the present rule as a step to go back to; what was ahead is gone."""
    state.past = [*state.past, state.rule][-MOST_STEPS:]
    state.future.clear()


def steps() -> tuple[int, int]:
    """How many steps can be taken back, and how many forward again."""
    return len(_state().past), len(_state().future)


def step(*, back: bool) -> None:
    """Work on the rule as it was before the last change, or as it was before the last step back."""
    state = _state()
    source, other = (state.past, state.future) if back else (state.future, state.past)
    if source:
        other.append(state.rule)
        _put(source.pop())


def replace(found: Group) -> None:
    """Work on another rule, from which one can step back."""
    _remember(_state())
    _state().problem = ""
    _put(found)


def take(found: Source) -> None:
    """Begin again with what the source holds now, from which one can step back."""
    replace(found.rule)
    _state().source = found
