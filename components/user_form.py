"""The form that invites somebody, with problems under their fields, and the one-time link that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import format, wording
from components.signin import role_name
from db.errors import Invalid
from db.permissions import Role
from db.words import _, ngettext

LINK = "users_link"


@dataclass(frozen=True)
class Sent:
    """What was typed, by field, and the place under each field."""

    values: dict[str, str]
    places: dict[str, DeltaGenerator]

    def explain(self, error: Invalid) -> None:
        """Say under each field what is wrong with it."""
        for field, sentence in error.fields.items():
            problem(self.places[field], sentence)


@dataclass(frozen=True)
class Link:
    """A link that was just made. No simple value: it is never kept with what somebody had typed."""

    name: str
    address: str
    expires_at: datetime
    life: timedelta


def problem(place: DeltaGenerator, sentence: str) -> None:
    """A sentence under a field."""
    apart = wording.plain(sentence).replace("@", "\u2060@")  # the example of an address is no link
    place.markdown(f":red[:material/error: {apart}]")


def role(key: str, roles: Sequence[Role], *, chosen: Role) -> Role:
    """A choice of the roles that people can have."""
    picked = st.selectbox(_("Role"), roles, index=roles.index(chosen), format_func=role_name, key=key)
    return Role(picked)


def team(key: str, teams: Sequence[str], *, chosen: str = "") -> str:
    """A team that is there, none, or a new one by its name."""
    every = ["", *teams]
    picked = st.selectbox(
        _("Team"), every, index=every.index(chosen), format_func=lambda name: name or _("No team"), key=key
    )
    new = st.text_input(_("Or a new team"), key=f"{key}_new", help=_("A name here counts instead of the choice above."))
    return new.strip() or picked or ""


def invitation(teams: Sequence[str], roles: Sequence[Role]) -> Sent | None:
    """Draw the form; gives what was typed once it is sent."""
    texts = {
        "username": (_("User name") + " *", _("What the person types to sign in, for example anna.li")),
        "name": (_("Full name"), _("As colleagues know the person; without it, the user name.")),
        "email": (_("E-mail"), ""),
    }
    values: dict[str, str] = {}
    places: dict[str, DeltaGenerator] = {}
    with st.form("users_new", border=False):
        for field, (label, explained) in texts.items():
            with st.container(gap="xsmall"):
                values[field] = st.text_input(label, help=explained or None, key=f"users_new_{field}")
                places[field] = st.container()
        values["role"] = role("users_new_role", roles, chosen=Role.SALES)
        places["role"] = st.container()
        with st.container(gap="xsmall"):
            values["team"] = team("users_new_team", teams)
            places["team"] = st.container()
        st.caption(_("You get a link to pass on; the person chooses a password there."))
        sent = st.form_submit_button(_("Add user"), type="primary", key="users_new_save")
    return Sent(values, places) if sent else None


def keep_link(name: str, address: str, *, expires_at: datetime, life: timedelta) -> None:
    """Show this link above the screen until it is put away."""
    st.session_state[LINK] = Link(name, address, expires_at, life)


def link(zone: str) -> None:
    """Draw the link that was made last, if it has not been put away."""
    kept: Link | None = st.session_state.get(LINK)
    if kept is None:
        return
    with st.container(border=True, key="kehu_link_made"):
        st.markdown(_("**{name}** chooses a password at this link:").format(name=wording.plain(kept.name)))
        st.code(kept.address, language=None, wrap_lines=True)
        st.caption(
            ngettext(
                "It works once, for {n} day, until {when}. Pass it on yourself: it is shown only here and now, and "
                "earlier links of this user have ended.",
                "It works once, for {n} days, until {when}. Pass it on yourself: it is shown only here and now, and "
                "earlier links of this user have ended.",
                kept.life.days,
            ).format(n=kept.life.days, when=format.instant(kept.expires_at, zone))
        )
        if st.button(_("Done"), key="users_link_done"):
            del st.session_state[LINK]
            st.rerun()
