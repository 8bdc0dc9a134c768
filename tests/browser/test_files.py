"""What only a browser shows of a customer's files and contacts: the upload itself, the download, the dialog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select

from db import schema
from tests.browser.conftest import Site, sign_in

OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def customer_id(site: Site) -> int:
    """Ann's customer."""
    with site.database() as conn:
        return int(conn.scalar(select(schema.customers.c.id).where(schema.customers.c.name == "Wang Xiaoming")) or 0)


@pytest.fixture
def page(new_context: Callable[..., BrowserContext], site: Site) -> Page:
    """A tab in which Ann is signed in, cookie and all."""
    page = new_context(accept_downloads=True).new_page()
    page.goto(f"{site.address}/account")
    with page.expect_response("**/auth/session"):
        sign_in(page, "ann")
    return page


def test_a_file_goes_in_and_comes_out_as_it_was(site: Site, page: Page, customer_id: int) -> None:
    page.goto(f"{site.address}/customer?id={customer_id}&customer_tab=files")
    field = page.get_by_test_id("stFileUploaderDropzoneInput")
    expect(field).to_have_attribute("aria-label", "Choose a file")
    expect(page.get_by_test_id("stFileUploaderDropzone").get_by_role("button").last).to_have_accessible_name(
        "Choose a file"
    )
    body = "报价\n".encode()
    with page.expect_request("**/_stcore/upload_file/**") as put:
        field.set_input_files({"name": "报价 单.txt", "mimeType": "text/plain", "buffer": body})
    expect(page.get_by_text("报价 单.txt")).to_be_visible()
    expect(page.get_by_test_id("stFileChip")).to_have_count(0)
    # Nobody else can use that door, while the tab is open.
    for headers in ({}, OURS, OURS | {"Cookie": "kehu_session=made-up"}):
        assert httpx.put(put.value.url, files={"file": b"x"}, headers=headers).status_code == 404
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "报价 单.txt"
    assert Path(download.value.path()).read_bytes() == body
    assert httpx.get(download.value.url).status_code == 401

    field.set_input_files({"name": "page.html", "mimeType": "text/html", "buffer": b"<script>alert(1)</script>"})
    expect(page.get_by_text("page.html: The content is not what the name says")).to_be_visible()
    field.set_input_files({"name": "large.txt", "mimeType": "text/plain", "buffer": b"x" * (10 * 1024 * 1024 + 1)})
    expect(page.get_by_test_id("stFileChip")).to_have_count(1)
    with site.database() as conn:
        assert conn.scalars(select(schema.attachments.c.name)).all() == ["报价 单.txt"]


def test_a_contact_is_added_in_the_dialog_which_keeps_what_was_typed(site: Site, page: Page, customer_id: int) -> None:
    page.goto(f"{site.address}/customer?id={customer_id}&customer_tab=details")
    add = page.get_by_role("button", name="Add contact")
    dialog = page.get_by_role("dialog")
    add.click()
    dialog.get_by_role("textbox", name="Full name").fill("欧阳明月")
    dialog.get_by_role("textbox", name="Phone").fill("12")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("This is not a phone number.")).to_be_visible()
    expect(dialog.get_by_role("textbox", name="Full name")).to_have_value("欧阳明月")
    dialog.get_by_role("textbox", name="Phone").fill("138 0013 8000")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("link", name="+86 138 0013 8000")).to_have_attribute("href", "tel:+8613800138000")
    # Closed without saving, it is offered the next time, and can be dropped.
    add.click()
    dialog.get_by_role("textbox", name="Full name").fill("never saved")
    dialog.get_by_role("textbox", name="Phone").focus()
    expect(dialog.get_by_text("Kept as a draft; only you can see it.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    add.click()
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_role("textbox", name="Full name")).to_have_value("never saved")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    add.click()
    dialog.get_by_role("button", name="Discard").click()
    expect(dialog.get_by_role("textbox", name="Full name")).to_have_value("")
    with site.database() as conn:
        assert conn.scalars(select(schema.contacts.c.name)).all() == ["欧阳明月"]
