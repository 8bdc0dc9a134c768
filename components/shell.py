"""The script of every visit: navigation, session, sign-in, sidebar, the screen. Nothing is shown before the check."""

from __future__ import annotations

import streamlit as st

from components import data, look, page, signin, undo_bar, visit, wording
from components.places import go, place
from db.errors import Unavailable
from db.permissions import Role
from db.sessions import Session
from db.words import _
from pages import SCREENS, SECTIONS

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#2563EB"/>'
    '<text x="16" y="23" font-size="20" text-anchor="middle" fill="#FFF" font-family="sans-serif">客</text></svg>'
)


def main() -> None:
    with data.run("") as run, page.guard():
        away = found = None
        try:
            found = visit.session()
        except Unavailable as error:
            away = error
        visit.use_language(found)
        # Every screen, and before anything else: so a bookmarked link survives the sign-in.
        places = {screen.path: place(screen) for screen in SCREENS}
        chosen = st.navigation(list(places.values()), position="hidden")
        screen = next(s for s in SCREENS if places[s.path] is chosen)
        run.screen = screen.path
        st.set_page_config(page_title=f"{_(screen.title)} · 客户 Kehu", page_icon=ICON, layout="wide")
        look.apply(screen.path)
        visit.send_errand()
        link = st.query_params.get("link")
        if away:
            page.say(away)
        elif link:
            signin.link_screen(link)
        elif found is None:
            visit.lose()
            signin.screen()
        else:
            visit.enter(found, screen.path)
            # Who signs in without having followed a link begins with what is to be done.
            if visit.arrived() and found.viewer.role is Role.SALES and screen is SCREENS[0] and not st.query_params:
                go("today")
            sidebar(found, places)
            with data.snapshot(found), page.guard():
                undo_bar.draw(found.viewer, screen.path)
                chosen.run()


def sidebar(found: Session, places: dict[str, st.Page]) -> None:
    """Product, what this viewer may open, and below it who they are."""
    with st.sidebar:
        st.markdown("### 客户 Kehu")
        for section, title in SECTIONS.items():
            screens = [s for s in SCREENS if s.section == section and s.listed and found.viewer.can(s.permission)]
            if not screens:
                continue
            with st.container(gap=None, key=f"kehu_section_{section}"):
                st.caption(_(title))
                for screen in screens:
                    st.page_link(places[screen.path], label=_(screen.title), icon=screen.icon, width="stretch")
        st.space("stretch")
        with st.container(gap=None, key="kehu_who"):
            st.markdown(f"**{wording.plain(found.name)}** · {signin.role_name(found.viewer.role)}")
            other = signin.language_switch("kehu_other_language")
            look.theme_switch()
            leaving = st.button(_("Sign out"), key="kehu_sign_out", icon=":material/logout:", type="tertiary")
    if other:
        visit.speak(found.viewer, other)
        st.rerun()
    if leaving:
        visit.leave()
        st.rerun()


main()
