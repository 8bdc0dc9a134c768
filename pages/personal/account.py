"""One's own account: password, language, and the browsers one is signed in with."""

from __future__ import annotations

import re

import streamlit as st

from components import data, format, page, signin, visit, wording
from db import passwords, sessions, words
from db.errors import Invalid
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.ACCOUNT_EDIT)
here = page.session_id()
zone = page.settings().time_zone
page.heading(_("My account"), wording.line(wording.plain(viewer.username), signin.role_name(viewer.role)))


def browser(user_agent: str) -> str:
    """'Firefox · Windows' from what a browser says of itself."""
    programs = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
    systems = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Mac OS X": "Mac"}
    program = next((name for mark, name in programs.items() if re.search(rf"{mark}/", user_agent)), _("A browser"))
    system = next((name for mark, name in (systems | {"Linux": "Linux"}).items() if mark in user_agent), "")
    return wording.line(program, system)


left, right = st.columns(2)
with left:
    with st.form("account_password_form"):
        st.subheader(_("Password"), anchor=False)
        old = st.text_input(
            _("Present password"), type="password", autocomplete="current-password", key="account_password"
        )
        new = st.text_input(
            _("New password"),
            type="password",
            autocomplete="new-password",
            help=_("At least {n} characters.").format(n=passwords.MIN_LENGTH),
            key="account_password_new",
        )
        again = st.text_input(
            _("The same again"), type="password", autocomplete="new-password", key="account_password_again"
        )
        place = st.container()
        if st.form_submit_button(_("Change password"), type="primary", key="account_password_save"):
            if new != again:
                place.error(_("The two passwords differ."))
            else:
                try:
                    verdict = data.write(passwords.change, actor=viewer, session_id=here, old=old, new=new)
                except Invalid as error:
                    place.error(error.message)
                else:
                    if verdict.ok:
                        place.success(_("Password changed. You are signed out everywhere else."))
                    elif verdict.locked_until:
                        place.error(signin.locked(verdict.locked_until))
                    else:
                        place.error(_("The present password is wrong."))
    with st.container(border=True):
        st.subheader(_("Language"), anchor=False)
        chosen = st.segmented_control(
            _("Language"),
            list(words.LANGUAGES),
            default=words.language(),
            required=True,
            format_func=words.LANGUAGES.__getitem__,
            key=f"account_language_{words.language()}",
            label_visibility="collapsed",
        )
        if chosen != words.language():
            visit.speak(viewer, chosen)
            st.rerun()
with right, st.container(border=True):
    st.subheader(_("Where you are signed in"), anchor=False)
    for device in data.read(sessions.mine, viewer=viewer):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            mine = [_("this browser")] if device.id == here else []
            with st.container(gap=None, width="content"):
                st.markdown(wording.line(browser(device.user_agent), *mine))
                st.caption(
                    _("Last visit {when} · {address}").format(
                        when=format.instant(device.seen_at, zone), address=device.address or _("unknown address")
                    )
                )
            if not mine and st.button(_("Sign out"), key=f"account_end_{device.id}"):
                data.write(sessions.end, actor=viewer, session_id=device.id)
                st.rerun()
    if st.button(_("Sign out everywhere"), icon=":material/logout:", key="account_end_all"):
        data.write(sessions.end_all, actor=viewer)
        visit.leave()
        st.rerun()
