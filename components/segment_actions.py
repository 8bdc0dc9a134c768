"""What can be done with a segment's rule: step back, read or paste it as JSON, keep it, export it, share it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from components import campaign_start, explain, exports, segment_choices, segment_source, wording
from db import rules
from db.errors import Conflict, Invalid
from db.permissions import Permission, Viewer
from db.rules import Group
from db.words import _

Asked = tuple[str, dict[str, Any]]


def editing(rule: Group, *, key: str, viewer: Viewer) -> None:
    """Under the builder: a step back or forward, everyone again, the rule as JSON."""
    with st.container(horizontal=True):
        back, forward = segment_source.steps()
        for n, label, icon, button, way in (
            (back, _("Step back"), ":material/undo:", "segment_back", True),
            (forward, _("Step forward"), ":material/redo:", "segment_forward", False),
        ):
            if n:
                st.button(label, icon=icon, key=button, on_click=segment_source.step, kwargs={"back": way})
        if rule.rules:
            st.button(
                _("Clear"),
                icon=":material/close:",
                key="segment_clear",
                on_click=segment_source.replace,
                args=(rules.EVERYONE,),
            )
        with st.popover(_("As JSON"), icon=":material/data_object:", key=f"segment_json_of_{key}"):
            _json(rule, key, viewer)


def _json(rule: Group, key: str, viewer: Viewer) -> None:
    pretty = json.dumps(rules.data_of(rule), ensure_ascii=False, indent=1)
    written = st.text_area(
        _("The rule as JSON"), pretty, height=280, key=f"segment_json_{key}", max_chars=rules.MOST_CHARACTERS
    )
    said = st.container()  # above the button: below it, a phone would not show it
    if st.button(_("Use this rule"), type="primary", key="segment_json_use"):
        found, problem = segment_choices.parsed(written, viewer)
        if found is None:
            said.error(wording.sentence(problem))
        else:
            segment_source.replace(found)
            st.rerun()


def bar(rule: Group, *, saved: Any, begun: segment_source.Source, viewer: Viewer) -> Asked | None:
    """What comes next as a button, and the rest in a menu; gives ('save', values), ('copy', values), ('freeze', values)
    or ('archive', {'archived': …}).

    `saved` is the segment as db.saved_segments.get gives it, None for a rule without a name.
    Where somebody changed it since the draft `begun`, this rule can be kept as another one only.
    """
    asked: Asked | None = None
    mine = saved is not None and saved.mine
    changed = rule != begun.rule
    may_save = mine and changed and not segment_source.outdated(begun)
    of = f"{saved.id}_{saved.version}" if saved else "new"  # another key with each version: once saved, a form folds
    copy = f"copy_{of}" if saved else "new"
    keep = _("Save as another") if saved else _("Save segment")
    first = saved is None or (changed and not may_save)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="segment_actions"):
        if may_save and st.button(_("Save changes"), type="primary", icon=":material/save:", key="segment_save"):
            asked = "save", _kept(saved)
        if first:
            with st.popover(keep, icon=":material/save:", type="primary", key=f"segment_keep_{copy}"):
                values = form(f"segment_form_{copy}")
                asked = ("copy", values) if values else asked
        if rule.rules:
            next_step = not (may_save or first)
            campaign_start.button(viewer, rule=rules.written(rule), saved=saved, changed=changed, primary=next_step)
        with st.popover(_("More"), icon=":material/more_horiz:", key=f"segment_more_{of}"):
            if mine and not saved.problem:  # else a new name would be kept with a rule that nobody has written
                with st.expander(_("Name and sharing"), icon=":material/edit:", key=f"segment_details_{of}"):
                    values = form(f"segment_form_{of}", **_kept(saved))
                    asked = ("save", values) if values else asked
            if not first:
                with st.expander(keep, icon=":material/save:", key=f"segment_keep_{copy}"):
                    values = form(f"segment_form_{copy}")
                    asked = ("copy", values) if values else asked
            with st.expander(_("Freeze"), icon=":material/ac_unit:", key=f"segment_freeze_{of}"):
                st.caption(_("Keeps who fits now as a segment of its own, which no longer changes."))
                values = form(f"segment_freeze_{of}_form", send=_("Freeze"))
                asked = ("freeze", values) if values else asked
            with st.expander(_("Share"), icon=":material/link:", key=f"segment_share_{of}"):
                explain.link(viewer, **{segment_source.PARAMETER: rules.written(rule)})
            if viewer.can(Permission.CUSTOMERS_EXPORT):
                exports.button("segment", {"rule": rules.written(rule)}, viewer=viewer, key="segment_export", wide=True)
            asked = _archiving(saved) or asked if mine else asked
    return asked


def _kept(saved: Any) -> dict[str, Any]:
    return {name: getattr(saved, name) for name in ("name", "description", "shared", "folder", "tags")}


def _archiving(saved: Any) -> Asked | None:
    """Take the segment off the list, or put it back."""
    if saved.archived_at is None:
        if st.button(_("Archive"), icon=":material/archive:", key="segment_archive", width="stretch"):
            return "archive", {"archived": True}
    elif st.button(_("Put back on the list"), icon=":material/unarchive:", key="segment_restore", width="stretch"):
        return "archive", {"archived": False}
    return None


def form(
    key: str,
    *,
    name: str = "",
    description: str = "",
    shared: bool = False,
    folder: str = "",
    tags: Sequence[str] = (),
    send: str = "",
) -> dict[str, Any] | None:
    """Name, description, folder, tags and whether colleagues see it; gives them when they are sent.

    `send` is what the button says, "" for saving.
    """
    problems: dict[str, str] = st.session_state.get("segment_problems", {}).get(key, {})
    with st.form(key, border=False):
        given: dict[str, Any] = {"name": st.text_input(_("Name") + " *", name, key=f"{key}_name")}
        _problems(problems, "name")
        given["description"] = st.text_area(_("What it is for"), description, height=80, key=f"{key}_description")
        _problems(problems, "description")
        given["folder"] = st.text_input(_("Folder"), folder, key=f"{key}_folder")
        _problems(problems, "folder")
        written = _(", ").join(tags)
        given["tags"] = st.text_input(_("Tags, with commas between them"), written, key=f"{key}_tags")
        _problems(problems, "tags")
        given["shared"] = st.toggle(
            _("Colleagues may see and copy it"),
            shared,
            key=f"{key}_shared",
            help=_("Everybody counts with their own rights. Only you and administrators change it."),
        )
        _problems(problems, *(problems.keys() - given.keys()))
        sent = st.form_submit_button(send or _("Save segment"), type="primary", key=f"{key}_send")
    st.session_state.pop("segment_problems", None)
    words = re.split(r"[,，、]", str(given["tags"]))
    return given | {"tags": tuple(word for word in words if word.strip()), "form": key} if sent else None


def _problems(problems: Mapping[str, str], *names: str) -> None:
    """What is wrong with the field above."""
    for name in names:
        if name in problems:
            st.markdown(f":red[:material/error: {wording.plain(problems[name])}]")


def refused(key: str, error: Invalid | Conflict) -> None:
    """Show at the form what is wrong with it; what was typed stays. Raises a conflict of the form.

    Where the rule alone was to be saved and somebody else has changed it, the screen is drawn anew: it offers theirs.
    """
    if isinstance(error, Conflict):
        if key:
            raise error
        st.rerun()
    st.session_state["segment_problems"] = {key: error.fields or {"": error.message}}
    st.rerun()
