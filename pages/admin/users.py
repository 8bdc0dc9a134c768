"""Who may sign in, with which rights, and who sees which customer."""

from __future__ import annotations

import streamlit as st

from components import controls, data, page, rights_view, tables, user_actions, user_form, user_view, wording
from components.signin import role_name
from db import text, users, visibility
from db.errors import Conflict, Invalid, KehuError
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.USERS_MANAGE)

zone, today = page.settings().time_zone, page.today()
actions = page.heading(_("Users"), _("Who may sign in, with which rights, and who sees which customer"))


@page.dialog(_("Invite somebody"))
def invite() -> None:
    """The form of a new user; the link that comes of it is shown above the screen."""
    sent = user_form.invitation(data.read(users.teams, viewer=viewer), rights_view.ROLES)
    if sent is None:
        return
    try:
        user_id, _set = data.write(users.add, actor=viewer, screen="users", **sent.values)
    except Invalid as error:
        sent.explain(error)
    else:
        user_actions.make_link(viewer, user_id, sent.values["name"].strip() or sent.values["username"])
        st.rerun()


@page.fragment
def people() -> None:
    """The users under the filters, and the card of the one that was clicked."""
    every, more = data.read(users.everyone, viewer=viewer)
    teams = data.read(users.teams, viewer=viewer)
    words = st.text_input(
        _("Search"),
        key="users_search",
        type="search",
        live="200ms",
        bind="query-params",
        max_chars=200,
        icon=":material/search:",
        placeholder=_("Name, user name, e-mail or team"),
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters"):
        role = controls.select("users_role", _("Role"), list(rights_view.ROLES), _("All roles"), role_name)
        team = controls.select("users_team", _("Team"), teams, _("All teams"), str)
        states = [state.value for state in users.State]
        state = controls.select("users_state", _("State"), states, _("All states"), user_view.state_name)
    shown = [u for u in every if role in ("", u.role) and team in ("", u.team) and state in ("", u.state)]
    shown = [u for u in shown if u.found_by(words or "")]
    shown.sort(key=lambda u: (text.sort_key(u.name), u.id))
    if not shown:
        st.info(_("No user matches. Remove a filter."))
        return
    picked = user_view.pick(shown, zone=zone)
    with picked.below:
        limits = _("more than {n} users: the last by user name are left out").format(n=len(every)) if more else ""
        hint = _("Click a row to see the user.") if picked.row is None else ""
        st.caption(wording.line(tables.position(0, len(shown), len(every)), hint, limits))
    if picked.row is None:
        return
    user = shown[picked.row]
    with picked.beside:
        owned = data.read(users.owned, viewer=viewer, user_id=user.id)
        known = {"teams": teams, "roles": rights_view.ROLES, "owned": owned, "zone": zone}
        asked = user_view.card(user, myself=user.id == viewer.user_id, **known)
        try:
            if asked:
                user_actions.carry_out(viewer, user, asked)
        except Conflict as error:
            user_view.clash(error)
        except KehuError as error:
            page.say(error)


@page.fragment
def sight() -> None:
    """A customer by number or words, and who of the users sees it."""
    words = st.text_input(
        _("Customer"),
        key="users_customer",
        type="search",
        live="200ms",
        bind="query-params",
        max_chars=200,
        icon=":material/search:",
        placeholder=wording.searched(masked=False),
    )
    if not words:
        st.caption(_("Find a customer to see which users may look at it, and why."))
        return
    names = data.read(visibility.candidates, viewer=viewer, today=today, words=words)
    if not names:
        st.info(_("No customer matches. Try another spelling."))
        return
    chosen = next(iter(names))
    if len(names) > 1:
        named = {number: f"{name} · #{number}" for number, name in names.items()}
        chosen = st.selectbox(_("Which one"), list(named), format_func=named.__getitem__, key="users_which")
    seen = data.read(visibility.of_customer, viewer=viewer, customer_id=chosen)
    rights_view.sight(seen, {reason: _(told) for reason, told in visibility.REASONS.items()})


if actions.button(_("Invite somebody"), icon=":material/person_add:", type="primary", key="users_invite"):
    invite()
user_form.link(zone)
parts = {"people": _("People"), "rights": _("Roles and rights"), "sight": _("Who sees a customer")}
part = controls.switch("users_part", _("Part"), list(parts), parts.__getitem__, default="people", hidden=True)
{"people": people, "rights": rights_view.matrix, "sight": sight}[part]()
