"""What an administrator does with a user: hands the commands to the bridge and says what was done."""

from __future__ import annotations

from typing import Any

import streamlit as st

from components import controls, data, places, user_form, wording
from db import clock, passwords, sessions, users
from db.permissions import Role, Viewer
from db.words import _


def make_link(viewer: Viewer, user_id: int, name: str) -> None:
    """A one-time link of this user's, to be shown above the screen."""
    token = data.write(passwords.create_link, actor=viewer, user_id=user_id)
    until = clock.now() + passwords.LINK_LIFE
    user_form.keep_link(name, f"{places.origin()}/?link={token}", expires_at=until, life=passwords.LINK_LIFE)


def carry_out(viewer: Viewer, user: Any, asked: tuple[str, Any]) -> None:
    """Do what the card was asked for, and draw the screen anew. Raises what the commands raise."""
    one: dict[str, Any] = {"actor": viewer, "user_id": user.id}
    name, myself = wording.plain(user.name), user.id == viewer.user_id
    match asked:
        case ("change", (opened, role, team)):
            done = data.write(users.change, role=role, team=team, opened=opened, screen="users", **one)
            if myself and role is not Role.ADMIN:  # who can no longer undo it is offered nothing
                places.go("account")
            controls.saved(done, _("{name}: role and team are saved.").format(name=name))
        case ("deactivate", _nothing):
            done = data.write(users.set_active, active=False, screen="users", **one)
            data.write(sessions.end_all, **one)  # so that no old session lives again with the user
            if not myself:
                controls.saved(done, _("{name} is signed out and can no longer sign in.").format(name=name))
        case ("activate", _nothing):
            data.write(sessions.end_all, **one)  # a server that died in the middle of a deactivation left them
            done = data.write(users.set_active, active=True, screen="users", **one)
            controls.saved(done, _("{name} may sign in again.").format(name=name))
        case ("signout", _nothing):
            data.write(sessions.end_all, **one)
            st.toast(_("{name} is signed out everywhere.").format(name=name), icon=":material/logout:")
        case ("unlock", _nothing):
            data.write(passwords.unlock, **one)
            st.toast(_("{name} may try again at once.").format(name=name), icon=":material/lock_open:")
        case ("link", _nothing):
            make_link(viewer, user.id, user.name)
    st.rerun()
