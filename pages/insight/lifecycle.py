"""The rules of the stages and the bounds of the scores: in force, a draft with its effect, and all versions."""

from __future__ import annotations

import streamlit as st

from components import controls, data, page, wording
from components import lifecycle_view as view
from db import definitions
from db.errors import Invalid
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.OVERVIEW_READ)
settings, today = page.settings(), page.today()
page.heading(_("Stages and scores"), _("The rules by which customers are told apart, with every version of them"))
kinds = {"stages": _("Stages"), "scores": _("Scores")}
kind = controls.switch("lifecycle_of", _("Rules"), list(kinds), kinds.__getitem__, default="stages", hidden=True)
may_save = viewer.can(Permission.DEFINITIONS_EDIT)


@page.fragment
def trial(kind: str) -> None:
    """A draft, what it would change at once, and, for who may, its saving."""
    now = data.read(definitions.in_force, viewer=viewer, kind=kind)
    listed = data.read(definitions.versions, viewer=viewer, kind=kind)
    left, right = st.columns([5, 6])
    with left.container(border=True):
        st.markdown("**" + _("Rules") + "**")
        st.caption(view.version_said(viewer, kind, settings.time_zone))
        start = view.begin_with(kind, now, listed)
        draft, under = view.form(kind, start, now)
        foot = st.container()
    with right.container(border=True):
        whose = "" if viewer.role.value == "admin" else _("the customers you may see")
        st.markdown("**" + wording.line(_("What the draft would change"), whose) + "**")
        try:
            found = data.read(definitions.effect, viewer=viewer, kind=kind, rules=draft, today=today)
        except Invalid as error:
            view.explain(under, error)
            st.caption(_("Correct the numbers marked in red to see it."))
            return
        view.effect(kind, found, draft, now)
    if not may_save:
        foot.caption(_("You can try here what other rules would change. Administrators put them into force."))
        return
    with foot:
        again = "" if start.in_force else _("Version {n} again").format(n=start.number)
        key = f"lifecycle_why_{kind}_{now.row_version}_{start.number}"
        why = st.text_input(_("Why") + " *", again, key=key, max_chars=definitions.MOST_REASON)
        problem = st.container(gap=None)
        if not st.button(_("Put into force"), type="primary", key="lifecycle_save"):
            return
        save = {"kind": kind, "rules": draft, "reason": why, "row_version": now.row_version, "screen": "lifecycle"}
        try:
            number, set_id = data.write(definitions.save, actor=viewer, **save)
        except Invalid as error:
            view.explain({"reason": problem}, error)
        else:
            controls.saved(set_id, _("Version {n} is in force.").format(n=number))


trial(kind)
with st.container(border=True):
    st.markdown("**" + _("Versions") + "**")
    versions = data.read(definitions.versions, viewer=viewer, kind=kind)
    view.versions(versions, data.read(definitions.in_force, viewer=viewer, kind=kind), settings.time_zone)
    st.caption(_("To bring one back, begin a draft with it. An undo puts the version before into force again."))
