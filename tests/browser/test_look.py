"""Nothing is cut, sticks out, lacks a glyph or is left in English; `python -m tests.shots` looks at every screen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext
from sqlalchemy import update

from db import schema
from db.permissions import Role, Viewer
from pages import SCREENS
from tests.browser.conftest import PASSWORD, Site
from tests.shots import LOCALES, WIDTHS, problems, settle, whole

NAMES = frozenset({"mia", "root", "ann", "wang", "xiaoming"})
# Who looks at which screens: the administrator at what a manager may not open.
LISTED = [screen for screen in SCREENS if screen.listed]
MANAGERS = [s for s in LISTED if Viewer(0, "", Role.MANAGER).can(s.permission)]
LOOKS = {"mia": MANAGERS, "root": [s for s in LISTED if s not in MANAGERS]}


@pytest.mark.parametrize("who", LOOKS)
@pytest.mark.parametrize(("width", "theme", "language"), [(1440, "light", "en"), (390, "dark", "zh")])
def test_screens_look_right(
    site: Site, new_context: Callable[..., BrowserContext], width: int, theme: str, language: str, who: str
) -> None:
    with site.database() as conn:  # the browser decides the language
        conn.execute(update(schema.users).where(schema.users.c.username == who).values(language=None))
    context = new_context(
        locale=LOCALES[language], color_scheme=theme, viewport={"width": width, "height": WIDTHS[width]}
    )
    page = context.new_page()
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(site.address)
    page.wait_for_selector(".st-key-kehu_signin_name input")
    settle(page)
    found = {"signin": problems(page, language)}
    page.locator(".st-key-kehu_signin_name input").fill(who)
    page.locator(".st-key-kehu_signin_password input").fill(PASSWORD)
    page.locator('[data-testid="stFormSubmitButton"] button').click()
    page.wait_for_selector(".st-key-kehu_signin_name", state="detached")
    for screen in LOOKS[who]:
        path = "" if screen is SCREENS[0] else screen.path
        page.goto(f"{site.address}/{path}")
        settle(page)
        whole(page, width)
        found[path] = problems(page, language, names=NAMES)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}
    assert failed == []


def test_faults_are_found(new_context: Callable[..., BrowserContext]) -> None:
    """The look at a page with one fault of each kind; without it the test above would prove nothing."""
    page = new_context(viewport={"width": 390, "height": 844}).new_page()
    page.set_content(
        """<div data-testid="stApp" style="font-family: sans-serif">
        <div style="width: 800px">宽</div>
        <div data-testid="stMetric" style="width: 60px"><div data-testid="stMetricValue" style="overflow: hidden">
          <div style="white-space: nowrap; overflow: hidden">386,225,117.25</div></div></div>
        <p style="width: 40px; overflow: hidden; white-space: nowrap">a long text that is cut</p>
        <p>\U0010fffe</p><p>Sign out</p><p>Choose an option</p><p>Total: nan</p><p>这里 leftover 了</p>
        <p class="name">Wang Xiaoming</p><div data-testid="stException">boom</div></div>"""
    )
    wrong = "\n".join(problems(page, "zh", names=NAMES))
    for fault in (
        "the page scrolls sideways",
        "a figure is cut: 386,225,117.25",
        "a text is cut: a long text",
        "no font has",
        "not in Chinese: Sign out",
        "Streamlit's own: Choose an option",
        "a bug shows through: Total: nan",
        "English words: leftover",
        "an error is shown: boom",
    ):
        assert fault in wrong, wrong
    assert "Wang" not in wrong
