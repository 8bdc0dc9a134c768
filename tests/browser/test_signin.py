"""Signing in and out in a real browser, against a real server: what AppTest cannot see."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select, text, update
from sqlalchemy.engine import make_url

from db import passwords, schema
from db.embedded import Server
from tests.browser.conftest import PASSWORD, Site, sign_in

SIGN_OUT = "Sign out"
WRONG = "The user name or the password is wrong."


def signed_in(page: Page) -> None:
    expect(page.get_by_test_id("stSidebar").get_by_role("button", name=SIGN_OUT)).to_be_visible()


def signed_out(page: Page) -> None:
    expect(page.get_by_label("User name")).to_be_visible()
    expect(page.get_by_role("button", name=SIGN_OUT)).to_have_count(0)


def revoke(site: Site, username: str) -> None:
    with site.database() as conn:
        whose = select(schema.users.c.id).where(schema.users.c.username == username).scalar_subquery()
        conn.execute(
            update(schema.app_sessions).where(schema.app_sessions.c.user_id == whose).values(revoked_at=text("now()"))
        )


def test_after_a_restart_locks_hold_and_a_direct_link_shows_nothing_before_sign_in(site: Site, page: Page) -> None:
    page.goto(site.address)
    sign_in(page, "bo", "wrong password")
    expect(page.get_by_text(WRONG)).to_be_visible()
    with site.database() as conn:
        for _ in range(passwords.TRIES - 2):
            passwords.attempt(conn, username="bo")
    sign_in(page, "bo", "wrong again")
    expect(page.get_by_text("Try again in 15 minutes.")).to_be_visible()
    site.restart()

    # The first visit of this process is the direct link.
    errors: list[str] = []
    page = page.context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
    page.goto(f"{site.address}/customers?customers_search=wang&customers_sort=orders")
    signed_out(page)
    assert "Xiaoming" not in page.content()
    assert page.get_by_test_id("stSidebar").count() == 0
    sign_in(page, "bo")
    expect(page.get_by_text("Try again in 15 minutes.")).to_be_visible()
    sign_in(page, "ann")
    signed_in(page)
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("wang")
    expect(page).to_have_url(f"{site.address}/customers?customers_search=wang&customers_sort=orders")
    expect(page).to_have_title("Customers · 客户 Kehu")
    assert errors == []


def test_cookie_is_for_the_server_alone_and_survives_reload_and_tabs(site: Site, page: Page) -> None:
    page.goto(f"{site.address}/account")
    with page.expect_response("**/auth/session") as answer:
        sign_in(page, "ann")
    signed_in(page)
    assert answer.value.status == 204
    [cookie] = [c for c in page.context.cookies() if c["name"] == "kehu_session"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert not cookie["secure"], "there is no TLS here"
    assert "kehu_session" not in page.evaluate("document.cookie")
    assert cookie["value"] not in page.content()
    page.reload()
    signed_in(page)
    other = page.context.new_page()
    other.goto(f"{site.address}/account")
    expect(other.get_by_role("heading", name="My account")).to_be_visible()


def test_wrong_password_and_unknown_name_get_one_answer(site: Site, page: Page) -> None:
    page.goto(f"{site.address}/account")
    for username in ("mia", "who-is-this"):
        sign_in(page, username, "not the password")
        expect(page.get_by_text(WRONG)).to_be_visible()
        page.reload()
    sign_in(page, "mia")
    signed_in(page)


def test_sign_out_ends_the_session_everywhere_in_this_browser(site: Site, page: Page) -> None:
    page.goto(f"{site.address}/account")
    with page.expect_response("**/auth/session"):
        sign_in(page, "mark")
    signed_in(page)
    [cookie] = [c for c in page.context.cookies() if c["name"] == "kehu_session"]
    with page.expect_response("**/auth/session") as answer:
        page.get_by_test_id("stSidebar").get_by_role("button", name=SIGN_OUT).click()
    signed_out(page)
    assert answer.value.request.method == "DELETE"
    assert [c for c in page.context.cookies() if c["name"] == "kehu_session"] == []
    page.context.add_cookies([cookie])  # whoever kept the token has nothing
    page.reload()
    signed_out(page)


def test_revocation_holds_at_the_next_click_in_a_fragment(site: Site, page: Page) -> None:
    page.goto(f"{site.address}/customers")
    sign_in(page, "ann")
    expect(page.get_by_role("searchbox", name="Search")).to_be_visible()
    revoke(site, "ann")
    page.get_by_role("searchbox", name="Search").fill("wang")
    signed_out(page)
    expect(page.get_by_role("searchbox", name="Search")).to_have_count(0)
    page.reload()
    signed_out(page)


def test_sign_out_everywhere_and_password_change(
    site: Site, page: Page, new_context: Callable[..., BrowserContext]
) -> None:
    page.goto(f"{site.address}/account")
    sign_in(page, "max")
    expect(page.get_by_role("heading", name="My account")).to_be_visible()
    there = new_context().new_page()
    there.goto(f"{site.address}/account")
    sign_in(there, "max")
    signed_in(there)

    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_role("textbox", name="New password").fill("another good password")
    page.get_by_label("The same again").fill("another good password")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Password changed.")).to_be_visible()
    there.reload()
    signed_out(there)
    page.reload()
    expect(page.get_by_role("heading", name="My account")).to_be_visible()

    sign_in(there, "max", "another good password")
    signed_in(there)
    page.reload()
    page.get_by_role("button", name="Sign out everywhere").click()
    signed_out(page)
    there.get_by_role("link", name="My account").click()
    signed_out(there)


def test_what_was_typed_survives_the_end_of_the_session_for_the_same_user_only(
    site: Site, page: Page, new_context: Callable[..., BrowserContext]
) -> None:
    with site.database() as conn:
        customer_id = conn.scalar(select(schema.customers.c.id))
        epoch = schema.users.c.auth_epoch
        typed = "Calls back on Monday, wants the blue one."
        address = f"{site.address}/customer?id={customer_id}&customer_tab=notes"

    def until_session_ends(tab: Page) -> None:
        tab.goto(address)
        sign_in(tab, "ann")
        tab.get_by_label("New note").fill(typed)
        with site.database() as conn:
            conn.execute(update(schema.users).where(schema.users.c.username == "ann").values(auth_epoch=epoch + 1))
        tab.get_by_role("button", name="Add note").click()
        signed_out(tab)
        expect(tab.get_by_text("what you had typed is kept")).to_be_visible()
        assert typed not in tab.content()

    until_session_ends(page)
    sign_in(page, "ann")
    expect(page.get_by_label("New note")).to_have_value(typed)
    page.get_by_role("button", name="Add note").click()
    expect(page.locator(".st-key-kehu_undo_bar")).to_contain_text("Note added.")

    other = new_context().new_page()
    until_session_ends(other)
    sign_in(other, "root")
    expect(other.get_by_label("New note")).to_have_value("")


def test_database_away_is_a_sentence_and_it_recovers(site: Site, server: Server, page: Page) -> None:
    page.goto(f"{site.address}/customers")
    sign_in(page, "cho")
    expect(page.get_by_role("searchbox", name="Search")).to_be_visible()
    name = make_url(site.database_url).database
    admin = make_url(server.admin_url()).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(admin, autocommit=True) as conn:
        database = psycopg.sql.Identifier(str(name))
        conn.execute(psycopg.sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            page.get_by_role("link", name="My account").click()
            expect(page.get_by_text("The database does not answer.")).to_be_visible()
            assert page.request.get(f"{site.address}/healthz").status == 503
            assert "Traceback" not in page.content()
        finally:
            conn.execute(psycopg.sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database))
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="My account")).to_be_visible()
    assert page.request.get(f"{site.address}/healthz").status == 200


def test_one_time_link(site: Site, page: Page, new_context: Callable[..., BrowserContext]) -> None:
    token = "x" * 43
    with site.database() as conn:
        whose = conn.scalar(select(schema.users.c.id).where(schema.users.c.username == "ana"))
        conn.execute(
            schema.user_links.insert().values(
                user_id=whose,
                token_hash=passwords.digest(token),
                created_at=text("'2026-11-20T14:00Z'"),
                expires_at=text("'2026-11-21T14:00Z'"),
            )
        )
    page.goto(f"{site.address}/?link={token}")
    expect(page.get_by_text("Choose the password for your user name ana")).to_be_visible()
    page.get_by_role("textbox", name="New password").fill("chosen by myself")
    page.get_by_label("The same again").fill("chosen by myself")
    page.get_by_role("button", name="Save password and sign in").click()
    signed_in(page)
    assert "link=" not in page.url
    again = new_context().new_page()
    again.goto(f"{site.address}/?link={token}")
    expect(again.get_by_text("This link has been used or has expired.")).to_be_visible()


def test_chinese_browser_sees_chinese_and_may_switch(site: Site, new_context: Callable[..., BrowserContext]) -> None:
    tab = new_context(locale="zh-CN").new_page()
    tab.goto(f"{site.address}/account")
    tab.get_by_role("button", name="English").click()
    expect(tab.get_by_role("button", name="中文")).to_be_visible()
    sign_in(tab, "root")
    signed_in(tab)


def test_charts_tables_and_exports_pass_the_content_security_policy(site: Site, page: Page) -> None:
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    page.goto(site.address)
    sign_in(page, "ann")
    page.get_by_role("link", name="Overview").click()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    page.get_by_role("link", name="Customers").click()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    with page.expect_download() as file:
        page.get_by_role("button", name="Export").click()
    assert file.value.suggested_filename == "kehu-customers-2026-11-20.csv"
    content = file.value.path().read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    assert "Wang Xiaoming" in content.decode("utf-8-sig")
    assert refused == []
