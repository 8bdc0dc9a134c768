"""The users as a grid, and one of them as a card: what there is to know, and what can be done; the page does it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from components import format, page, places, tables, user_form, wording
from components.signin import role_name
from db.errors import Conflict
from db.permissions import Role
from db.words import _, ngettext

OPENED = "users_opened"
CLASH = "users_clash"
COLOURS = {"active": "green", "locked": "orange", "deactivated": "gray"}


def state_name(state: str) -> str:
    """Whether somebody can sign in, in words."""
    return {"active": _("May sign in"), "locked": _("Locked"), "deactivated": _("Deactivated")}[state]


def pick(people: Sequence[Any], *, zone: str) -> tables.Picked:
    """The grid, with one row to click; the column of locks is there when somebody is locked."""
    shown = pd.DataFrame(
        {
            "name": [one.name for one in people],
            "username": [one.username for one in people],
            "role": [role_name(one.role) for one in people],
            "team": [one.team or "–" for one in people],
            "state": [state_name(one.state) for one in people],
            "seen_at": [seen(one, zone) for one in people],
            "locked_until": [format.instant(one.locked_until, zone) if _locked(one) else "–" for one in people],
        }
    )
    columns = {
        "name": st.column_config.TextColumn(_("Full name"), width=130),
        "username": st.column_config.TextColumn(_("User name"), width=130),
        "role": st.column_config.TextColumn(_("Role"), width=100),
        "team": st.column_config.TextColumn(_("Team"), width=90),
        "state": st.column_config.TextColumn(_("State"), width=100),
        "seen_at": st.column_config.TextColumn(_("Last visit"), width=130),
        "locked_until": st.column_config.TextColumn(_("Locked until"), width=130),
    }
    if not any(map(_locked, people)):
        del columns["locked_until"]
    height = tables.height(len(people), 17)
    ids = [one.id for one in people]
    return tables.pick_row(shown, columns, key="users_list", widths=(7, 4), height=height, ids=ids)


def _locked(user: Any) -> bool:
    return str(user.state) == "locked"


def seen(user: Any, zone: str) -> str:
    """The last visit in the company's time zone."""
    return format.instant(user.seen_at, zone) if user.seen_at else _("never")


def card(
    user: Any, *, myself: bool, teams: Sequence[str], roles: Sequence[Role], owned: int, zone: str
) -> tuple[str, Any] | None:
    """Draw the user; gives what was asked for.

    ('change', (the user as the form showed them, role, team)), ('link' or 'unlock' or 'signout', None), ('activate' or
    'deactivate', None), or None.
    """
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(wording.plain(user.name), anchor=False, width="content")
            st.badge(state_name(user.state), color=COLOURS[user.state])  # type: ignore[arg-type]
            if myself:
                st.badge(_("This is you"), color="blue")
        with st.container(gap=None):
            st.caption(wording.line(*map(wording.plain, (user.username, role_name(user.role), user.team))))
            st.caption(wording.line(wording.plain(user.email), _("Last visit: {when}").format(when=seen(user, zone))))
            if _locked(user):
                told = _("Locked after too many wrong passwords, until {when}.")
                st.caption(":material/lock: " + told.format(when=format.instant(user.locked_until, zone)))
        if user.role in (Role.SALES, Role.MANAGER):
            told = ngettext("{n} customer", "{n} customers", owned).format(n=format.number(owned))
            places.link("customers", told, icon=":material/groups:", customers_owner=str(user.id))
        if CLASH in st.session_state:
            page.say(st.session_state.pop(CLASH))
        changed = _form(user, myself=myself, teams=teams, roles=roles)
        return _buttons(user, myself=myself, owned=owned) or changed


def clash(error: Conflict) -> None:
    """Draw the card anew, with what is there now and why nothing was saved."""
    st.session_state.pop(OPENED, None)
    st.session_state[CLASH] = error
    st.rerun()


def _form(user: Any, *, myself: bool, teams: Sequence[str], roles: Sequence[Role]) -> tuple[str, Any] | None:
    """Role and team. While it is being sent it is the form that was filled in, whatever others have saved meanwhile."""
    opened = st.session_state.get(OPENED)
    if opened is None or opened.id != user.id or not st.session_state.get(f"users_save_{user.id}"):
        opened = st.session_state[OPENED] = user
    key = f"users_change_{user.id}_{zlib.crc32(f'{opened.role} {opened.team}'.encode()):08x}"
    sure = True
    with st.form(f"users_change_{user.id}", border=False):
        role = user_form.role(f"{key}_role", roles, chosen=opened.role)
        team = user_form.team(f"{key}_team", sorted({*teams, *filter(None, [opened.team])}), chosen=opened.team)
        place = st.container()
        if myself:
            sure = st.checkbox(_("I know that giving up this role takes this screen away from me"), key=f"{key}_sure")
            place = st.container()
        sent = st.form_submit_button(_("Save role and team"), key=f"users_save_{user.id}")
    if not sent:
        return None
    if (role, team) == (opened.role, opened.team):
        place.info(_("Nothing had changed, so nothing was saved."))
        return None
    if myself and role != opened.role and not sure:
        user_form.problem(place, _("Tick this first: only another administrator can give the role back to you."))
        return None
    return "change", (opened, role, team)


def _buttons(user: Any, *, myself: bool, owned: int) -> tuple[str, Any] | None:
    asked = None
    with st.container(horizontal=True, gap="small"):
        if _locked(user) and st.button(_("Unlock"), icon=":material/lock_open:", key="users_unlock"):
            asked = "unlock"
        if user.active:
            with st.popover(_("New link"), icon=":material/link:"):
                st.caption(
                    _("For a forgotten password. Earlier links end; the password holds until another is chosen.")
                )
                if st.button(_("Make a link"), type="primary", key="users_make_link"):
                    asked = "link"
            with st.popover(_("Sign out"), icon=":material/logout:"):
                st.caption(_("Ends every session of this user, for a lost telephone. The password stays."))
                if st.button(_("Sign out everywhere"), type="primary", key="users_sign_out"):
                    asked = "signout"
            with st.popover(_("Deactivate"), icon=":material/person_off:"):
                if myself:
                    st.caption(
                        _(
                            "This is your own account: you are out at once, and only another administrator "
                            "can let you in again."
                        )
                    )
                else:
                    st.caption(_("Signs the user out and lets nobody in under this name. You can undo it."))
                if owned:
                    kept = ngettext(
                        "{n} customer stays with this user until handed over.",
                        "{n} customers stay with this user until handed over.",
                        owned,
                    )
                    st.caption(kept.format(n=format.number(owned)))
                if st.button(_("Deactivate this user"), type="primary", key="users_deactivate"):
                    asked = "deactivate"
        elif st.button(_("Activate"), icon=":material/person_check:", key="users_activate"):
            asked = "activate"
    return (asked, None) if asked else None
