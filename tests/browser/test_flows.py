"""What people do all day, in a real browser: find, look, edit, take back, meet another editor, export; on a phone too.

All tabs of one person share a browser context, as at a desk, and the files of the page are fetched once.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from sqlalchemy import insert, select

from db import clock, derived, schema
from db.permissions import Role, Viewer
from pages import SCREENS
from tests import make
from tests.browser.conftest import Site, click_first_row, sign_in

PHONE = "+86 138 0013 8000"
WANG, OTTO, FIRST = "王小明", "Otto Normal", "Customer 01"
CUSTOMERS = 55
MONA = Viewer(0, "mona", Role.MANAGER)


@pytest.fixture(scope="module")
def ids(site: Site) -> dict[str, int]:
    """Flo, a salesperson with 55 customers, and Mona, who manages her team; customer ids by name."""
    with site.database() as conn:
        now = clock.now()
        known = conn.scalar(select(schema.users.c.password_hash).where(schema.users.c.username == "ann"))
        person = {"password_hash": known, "language": "en", "team_id": 1, "created_at": now, "updated_at": now}
        for name, role in (("flo", "sales"), ("mona", "manager")):
            conn.execute(insert(schema.users).values(username=name, name=name.title(), role=role, **person))
        flo = conn.scalar(select(schema.users.c.id).where(schema.users.c.username == "flo"))
        found = {WANG: make.customer(conn, flo, name=WANG, phone=PHONE, region="North", company="Acme, Inc.")}
        found[OTTO] = make.customer(conn, flo, name=OTTO, region="North", email="otto@example.com")
        for n in range(1, CUSTOMERS - 1):
            name = f"Customer {n:02}"
            found[name] = make.customer(conn, flo, name=name, region="South")
        for day in (date(2026, 8, 1), date(2026, 10, 1), date(2026, 11, 2)):
            make.order(conn, found[WANG], day, "1234.50")
        derived.rebuild(conn)
    return found


@pytest.fixture(scope="module")
def desk(chromium: Browser, site: Site, ids: dict[str, int]) -> Iterator[Callable[[str], BrowserContext]]:
    """The browser of a person, signed in once. What its console complains of fails the last test that used it."""
    made: dict[str, BrowserContext] = {}

    def of(name: str) -> BrowserContext:
        if name not in made:
            made[name] = chromium.new_context(locale="en-US", viewport={"width": 1440, "height": 900})
            tab = made[name].new_page()
            tab.goto(f"{site.address}/account")
            with tab.expect_response("**/auth/session"):
                sign_in(tab, name)
            tab.close()
        return made[name]

    yield of
    for context in made.values():
        context.close()


@pytest.fixture
def tab(desk: Callable[[str], BrowserContext]) -> Iterator[Callable[[str], Page]]:
    """Opens tabs for a person; in the end nothing may have been complained of in their consoles."""
    complaints: list[str] = []
    made: list[Page] = []

    def open_one(name: str = "flo") -> Page:
        page = desk(name).new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                complaints.append(f"{said.text} {said.location.get('url')}")
                if said.type == "error" and not _probing(said.text, said.location.get("url", ""))
                else None
            ),
        )
        made.append(page)
        return page

    yield open_one
    for page in made:
        page.close()
    assert complaints == []


def _probing(text: str, url: str) -> bool:
    """Streamlit looks for its server under the path of the page before it looks at the root."""
    return "404" in text and bool(re.search(r"/[a-z]+/_stcore/(health|host-config)$", url))


def text_of(page: Page, label: str) -> Locator:
    return page.get_by_role("textbox", name=label, exact=True)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save customer").click()


def test_find_by_pinyin_look_open_edit_and_take_back(site: Site, ids: dict[str, int], tab: Callable[..., Page]) -> None:
    page = tab()
    page.goto(f"{site.address}/customers")
    expect(page.get_by_text(f"1–50 of {CUSTOMERS}")).to_be_visible()
    page.get_by_role("searchbox", name="Search").press_sequentially("wangx", delay=30)
    expect(page.get_by_text("1–1 of 1")).to_be_visible()
    expect(page).to_have_url(re.compile(r"customers_search=wangx$"))
    expect(page.get_by_test_id("glide-cell-1-0")).to_have_text(WANG)
    click_first_row(page, page.get_by_role("heading", name=WANG))
    page.get_by_role("link", name="Open").click()
    expect(page).to_have_url(f"{site.address}/customer?id={ids[WANG]}")

    page.get_by_role("button", name="Edit", exact=True).click()
    text_of(page, "Phone").fill("139 0013 9000")
    text_of(page, "Phone").press("Control+Enter")
    bar = page.locator(".st-key-kehu_undo_bar")
    expect(bar).to_contain_text("Saved: Phone.")
    expect(page.get_by_role("link", name="+86 139 0013 9000")).to_be_visible()
    bar.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("link", name=PHONE)).to_be_visible()
    expect(bar).to_contain_text("is undone")
    bar.get_by_role("button", name="Hide").click()
    expect(bar).to_have_count(0)


def test_two_editors_of_one_customer(site: Site, ids: dict[str, int], tab: Callable[..., Page]) -> None:
    hers, mine = tab("mona"), tab("flo")
    for page, value in ((mine, "Mine Ltd"), (hers, "Hers Ltd")):
        page.goto(f"{site.address}/customer?id={ids[OTTO]}&customer_tab=details")
        page.get_by_role("button", name="Edit", exact=True).click()
        text_of(page, "Company").fill(value)
    text_of(hers, "City").fill("Rome")
    save(hers)
    expect(hers.locator(".st-key-kehu_undo_bar")).to_contain_text("Saved: City, Company.")
    save(mine)
    expect(mine.get_by_text("Somebody saved this customer while you were editing.")).to_be_visible()
    expect(mine.get_by_text("Mine: Mine Ltd")).to_be_visible()
    mine.get_by_text("Theirs: Hers Ltd").click()
    mine.get_by_role("button", name="Go on with these values").click()
    expect(text_of(mine, "Company")).to_have_value("Hers Ltd")
    text_of(mine, "Company").fill("Ours Ltd")
    save(mine)
    expect(mine.locator(".st-key-kehu_undo_bar")).to_contain_text("Saved: Company.")
    with site.database() as conn:
        c = schema.customers.c
        assert tuple(conn.execute(select(c.company, c.city).where(c.id == ids[OTTO])).one()) == ("Ours Ltd", "Rome")


def test_a_link_keeps_its_part_its_filters_and_its_page(
    site: Site, ids: dict[str, int], tab: Callable[..., Page]
) -> None:
    page = tab()
    address = f"{site.address}/customer?id={ids[FIRST]}&customer_tab=history"
    page.goto(address)
    expect(page.get_by_text("No changes yet.")).to_be_visible()
    expect(page).to_have_url(address)
    page.get_by_role("radio", name="Details").click()
    expect(page).to_have_url(address.replace("history", "details"))

    address = f"{site.address}/customers?customers_region=South&customers_descending=true&customers_page=2"
    page.goto(address)
    expect(page.get_by_text(f"51–53 of {CUSTOMERS - 2}")).to_be_visible()
    assert sorted(page.url.split("?")[1].split("&")) == sorted(address.split("?")[1].split("&"))
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="客户", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="地区：南部")).to_be_visible()
    expect(page).to_have_url(re.compile("customers_region=South"))
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Customers")).to_be_visible()


def test_export_holds_the_rows_of_the_list(site: Site, tab: Callable[..., Page]) -> None:
    page = tab()
    page.goto(f"{site.address}/customers?customers_region=North")
    expect(page.get_by_text("1–2 of 2")).to_be_visible()
    with page.expect_download() as file:
        page.get_by_role("button", name="Export").click()
    rows = list(csv.DictReader(io.StringIO(Path(file.value.path()).read_text("utf-8-sig"))))
    assert [row["Name"] for row in rows] == [OTTO, WANG]
    assert (rows[1]["Phone"], rows[1]["Company"], rows[1]["Region"]) == (PHONE, "Acme, Inc.", "North")
    assert (rows[1]["Owner"], rows[1]["Orders"], rows[1]["Last order"]) == ("Flo", "3", "2026-11-02")


def test_a_segment_is_built_answers_at_once_and_is_kept(
    site: Site, ids: dict[str, int], tab: Callable[..., Page]
) -> None:
    page = tab()
    page.goto(f"{site.address}/segments")
    page.get_by_role("button", name="New segment").click()
    answer = page.locator(".st-key-segment_answer")
    expect(answer).to_contain_text(f"100.0% of your {CUSTOMERS} customers")
    page.get_by_role("combobox", name="Field").fill("Orders")
    page.get_by_role("option", name="Orders · Purchases").click()
    expect(page.get_by_text("Without a value this condition does not count yet.")).to_be_visible()
    page.get_by_role("combobox", name="Comparison").click()
    page.get_by_role("option", name=">", exact=True).click()
    page.get_by_role("spinbutton", name="Value").fill("2")
    page.get_by_role("spinbutton", name="Value").press("Enter")
    expect(answer).to_contain_text("Orders > 2")
    expect(answer).to_contain_text(f"1.8% of your {CUSTOMERS} customers")
    expect(page.get_by_text("alone: 1")).to_be_visible()
    expect(page).to_have_url(re.compile(r"segment_rule=.*orders"))
    page.get_by_role("spinbutton", name="Value").fill("")
    page.get_by_role("spinbutton", name="Value").press("Enter")
    expect(page.get_by_text("Without a value this condition does not count yet.")).to_be_visible()
    page.get_by_role("spinbutton", name="Value").fill("2")
    page.get_by_role("spinbutton", name="Value").press("Enter")
    expect(page).to_have_url(re.compile(r"segment_rule=.*orders"))
    page.reload()
    expect(answer).to_contain_text("Orders > 2")
    page.get_by_role("button", name="中文").click()
    expect(answer).to_contain_text("订单数 > 2")
    expect(page.get_by_role("combobox", name="字段")).to_have_value("订单数 · 购买记录")
    page.get_by_role("button", name="English").click()
    page.get_by_role("button", name="Save segment").click()
    text_of(page, "Name *").fill("Often")
    page.locator(".st-key-segment_form_new_send button").click()
    expect(page.get_by_role("heading", name="Often")).to_be_visible()
    expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/segment\?id=\d+$"))
    page.get_by_role("button", name="Remove").click()
    expect(answer).to_contain_text("Everyone")
    page.get_by_role("button", name="Step back").click()
    expect(answer).to_contain_text("Orders > 2")
    expect(page).to_have_url(re.compile(r"/segment\?id=\d+$"))


def test_a_bar_opens_its_customers(site: Site, ids: dict[str, int], tab: Callable[..., Page]) -> None:
    page = tab()
    page.goto(site.address)
    bar = page.locator(".st-key-overview_lifecycle .bars .point path").first
    bar.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # plotly draws itself in
    place = bar.bounding_box()
    assert place
    page.mouse.move(place["x"] + 3, place["y"] + place["height"] / 2)
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    expect(page.locator(".st-key-segment_answer")).to_contain_text(f"of your {CUSTOMERS} customers")
    expect(page.get_by_text("Stage is Prospect")).to_be_visible()
    expect(page.get_by_text(f"1–20 of {CUSTOMERS - 1}")).to_be_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen_and_editing_works(
    site: Site, ids: dict[str, int], tab: Callable[..., Page]
) -> None:
    page = tab("mona")
    page.set_viewport_size({"width": 390, "height": 844})
    for screen in SCREENS:
        if not MONA.can(screen.permission):
            continue
        query = f"?id={ids[WANG]}" if screen.path == "customer" else ""
        page.goto(f"{site.address}/{'' if screen is SCREENS[0] else screen.path}{query}")
        expect(page.get_by_role("heading").first).to_be_visible()
        expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
        page.wait_for_timeout(500)
        # Charts are drawn at a width of their own and then fitted.
        wide = "[document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth)"
        for _try in range(20):
            if max(page.evaluate(wide)) <= 390:
                break
            page.wait_for_timeout(200)
        assert max(page.evaluate(wide)) <= 390, screen.path
    page.goto(f"{site.address}/customer?id={ids['Customer 02']}&customer_tab=details")
    page.get_by_role("button", name="Edit", exact=True).click()
    text_of(page, "City").fill("Oslo")
    save(page)
    expect(page.locator(".st-key-kehu_undo_bar")).to_contain_text("Saved: City.")
    expect(page.get_by_text("Oslo")).to_be_visible()


def test_dark(site: Site, tab: Callable[..., Page]) -> None:
    page = tab("mona")
    page.emulate_media(color_scheme="dark")
    page.goto(site.address)
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    app = page.get_by_test_id("stApp")
    expect(app).to_have_css("background-color", "rgb(15, 20, 27)")
    expect(app).to_have_css("color", "rgb(230, 235, 242)")


def test_what_is_typed_outlives_the_tab_and_ctrl_enter_saves(
    site: Site, ids: dict[str, int], tab: Callable[..., Page]
) -> None:
    address = f"{site.address}/customer?id={ids['Customer 07']}"
    one = tab("flo")
    one.goto(address)
    one.get_by_role("button", name="Edit", exact=True).click()
    text_of(one, "City").fill("Rome")
    text_of(one, "Phone").fill("139 0013 9999")
    text_of(one, "E-mail").fill("otto@example.com")
    text_of(one, "City").click()
    expect(one.get_by_text("1 customer has this e-mail.")).to_be_visible()
    expect(one.get_by_text("Kept as a draft; only you can see it.")).to_be_visible()
    one.close()
    two = tab("flo")
    two.goto(address)
    two.get_by_role("button", name="Edit", exact=True).click()
    two.get_by_role("button", name="Continue").click()
    expect(text_of(two, "City")).to_have_value("Rome")
    expect(two.get_by_role("button", name="Save all the same")).to_be_visible()
    region = two.get_by_role("combobox", name="Region")
    region.fill("Far West")
    region.press("Enter")
    text_of(two, "City").press("Control+Enter")
    expect(two.locator(".st-key-kehu_undo_bar")).to_contain_text("Saved: City, E-mail, Phone, Region.")
