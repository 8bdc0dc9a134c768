"""An administrator invites somebody, who comes in by the link; deactivated, they are out with the next click."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, expect
from sqlalchemy import insert, select

from db import clock, schema
from tests.browser.conftest import Site, click_first_row, sign_in

PASSWORD = "Zoe chose this herself"


def administrator(site: Site, name: str) -> None:
    """One of this test's own: the site is everybody's."""
    with site.database() as conn:
        known = conn.scalar(select(schema.users.c.password_hash).where(schema.users.c.username == "root"))
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        row = {"username": name, "name": name.title(), "role": "admin", "password_hash": known, "language": "en"}
        conn.execute(insert(schema.users).values(**row, **stamps))


def test_invited_signed_in_and_shut_out(site: Site, new_context: Callable[..., BrowserContext]) -> None:
    administrator(site, "ada")
    desk, hers = new_context(), new_context()
    page = desk.new_page()
    page.goto(f"{site.address}/users?users_search=zoe")
    sign_in(page, "ada")
    expect(page.get_by_text("No user matches. Remove a filter.")).to_be_visible()
    page.get_by_role("button", name="Invite somebody").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="User name").fill("two words")
    dialog.get_by_role("textbox", name="Full name", exact=True).fill("Zoe")
    dialog.get_by_role("button", name="Add user").click()
    expect(dialog.get_by_text("make a user name, 64 at most and no blanks.")).to_be_visible()
    dialog.get_by_role("textbox", name="User name").fill("zoe")
    dialog.get_by_role("button", name="Add user").click()
    expect(dialog).to_have_count(0)
    link = page.get_by_test_id("stCode").inner_text().strip()
    assert re.fullmatch(rf"{re.escape(site.address)}/\?link=[\w-]{{40,}}", link)
    expect(page.get_by_text("1–1 of 1")).to_be_visible()

    zoe = hers.new_page()
    zoe.goto(link)
    expect(zoe.get_by_text("Welcome, Zoe.")).to_be_visible()
    zoe.get_by_label("New password", exact=True).fill(PASSWORD)
    zoe.get_by_label("The same again").fill(PASSWORD)
    zoe.get_by_role("button", name="Save password and sign in").click()
    expect(zoe.get_by_role("link", name="Customers")).to_be_visible()
    expect(zoe.get_by_role("link", name="Users")).to_have_count(0)
    zoe.goto(f"{site.address}/users")
    expect(zoe.get_by_text("Your role does not include this screen.")).to_be_visible()

    page.get_by_role("button", name="Done").click()
    expect(page.get_by_test_id("stCode")).to_have_count(0)
    deactivate = page.get_by_role("button", name="Deactivate", exact=True)
    click_first_row(page, deactivate)
    deactivate.click()
    page.get_by_role("button", name="Deactivate this user").click()
    bar = page.locator(".st-key-kehu_undo_bar")
    expect(bar).to_contain_text("Zoe is signed out and can no longer sign in.")
    expect(page.get_by_role("button", name="Activate")).to_be_visible()

    zoe.get_by_role("link", name="My account").click()
    expect(zoe.get_by_text("Your session has ended.")).to_be_visible()
    sign_in(zoe, "zoe", PASSWORD)
    expect(zoe.get_by_text("The user name or the password is wrong.")).to_be_visible()

    bar.get_by_role("button", name="Undo").click()
    expect(bar).to_contain_text("is undone")
    sign_in(zoe, "zoe", PASSWORD)
    expect(zoe.get_by_role("heading", name="My account")).to_be_visible()
    log = site.log.read_text("utf-8")
    assert link.partition("link=")[2] not in log
    assert PASSWORD not in log


def test_on_a_phone(site: Site, new_context: Callable[..., BrowserContext]) -> None:
    administrator(site, "abe")
    page = new_context(viewport={"width": 390, "height": 844}, has_touch=True).new_page()
    page.goto(f"{site.address}/users?users_search=abe")
    sign_in(page, "abe")
    click_first_row(page, page.get_by_text("This is you"))
    wide = "[document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth)"
    for part, shown in {
        "Roles and rights": "hand customers over to another owner",
        "Who sees a customer": "Find a customer to see which users may look at it, and why.",
    }.items():
        assert max(page.evaluate(wide)) <= 390, part
        page.get_by_role("radio", name=part).click()
        expect(page.get_by_text(shown)).to_be_visible()
    page.get_by_role("searchbox", name="Customer").press_sequentially("wang", delay=30)
    expect(page.get_by_text("owns the customer")).to_be_visible()
    assert max(page.evaluate(wide)) <= 390
    for table in page.locator("table").all():
        box = table.bounding_box()
        assert box
        assert box["x"] + box["width"] <= 390
