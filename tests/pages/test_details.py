"""What stands around a customer on its page: contacts, addresses, consents and files; by one, by two, by the masked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from components import data
from db import addresses, attachments, connection, consents, contacts, customer, schema
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import HOSTILE, click, count, database, markup_of, said, signed_in, sound, words

MOST_QUERIES = 14
TABLES = ("contacts", "addresses", "consents", "attachments", "attachment_contents", "change_sets")


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    with database(server, template) as made:
        yield made


@pytest.fixture
def mine(people: make.People) -> int:
    with connection.begin(people.ann, write=True) as conn:
        return customer.add(conn, actor=people.ann, values={"name": "一家公司"})[0]


def opened(viewer: Viewer, customer_id: int, tab: str = "details", **more: str) -> AppTest:
    return sound(signed_in(viewer, "customer", id=str(customer_id), customer_tab=tab, **more))


def do(command: Any, actor: Viewer, **values: Any) -> Any:
    with connection.begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def rows(table: str, customer_id: int) -> list[dict[str, Any]]:
    t = schema.metadata.tables[table]
    with connection.begin_owner() as conn:
        found = conn.execute(select(t).where(t.c.customer_id == customer_id).order_by(t.c.id)).mappings()
        return [dict(row) for row in found]


def sent(app: AppTest, **typed: str | bool) -> AppTest:
    """Fill in the dialog that is open and save it."""
    for name, value in typed.items():
        found = [*app.text_input, *app.text_area, *app.checkbox, *app.selectbox]
        [widget] = [w for w in found if str(w.key).startswith(f"customer_row_{name}_")]
        widget.set_value(value)
    return click(app, "customer_row_save")


# --- contacts --------------------------------------------------------------------------------------------------------


def test_nothing_yet_says_what_would_be_here(people: make.People, mine: int) -> None:
    shown = said(opened(people.ann, mine))
    assert "Nobody yet. Add whom to talk to there." in shown
    assert "No address yet. Add where to deliver or to send bills to." in shown
    assert "The customer was not asked yet. Not asked is not a yes." in shown
    assert "No files yet." in said(opened(people.ann, mine, "files"))


def test_a_contact_is_added_reached_edited_deleted_and_taken_back(people: make.People, mine: int) -> None:
    app = click(opened(people.ann, mine), "customer_contact_add")
    app = sound(
        sent(app, name="李 *四*", phone="138 0013 8000", email="li@example.com", job_title="Boss", wechat="li_4")
    )
    [row] = rows("contacts", mine)
    assert (row["name"], row["phone"], row["main"]) == ("李 *四*", "+86 138 0013 8000", True), (
        "the first is the main one"
    )
    links = {link.label.replace("\\", ""): link.url for link in app.main.link_button}
    assert links == {"+86 138 0013 8000": "tel:+8613800138000", "li@example.com": "mailto:li@example.com"}
    assert "李 *四*" in said(app)
    assert markup_of(app, "李 *四*") == []
    assert "Contact added." in words(app)

    app = click(app, f"customer_contact_edit_{row['id']}")
    app = sound(sent(app, name="李四", note="likes tea"))
    [row] = rows("contacts", mine)
    assert (row["name"], row["note"], row["version"]) == ("李四", "likes tea", 2)
    assert "Saved: Full name, Note." in said(app)
    app = sound(click(app, f"customer_contact_delete_{row['id']}"))
    assert rows("contacts", mine) == []
    sound(click(app, "kehu_undo_button"))
    assert [row["name"] for row in rows("contacts", mine)] == ["李四"]


def test_a_refused_contact_says_why_at_the_field_and_keeps_what_was_typed(people: make.People, mine: int) -> None:
    before = count(*TABLES)
    app = click(opened(people.ann, mine), "customer_contact_add")
    app = sent(app, name=" ", phone="12", email="nobody", note="kept")
    shown = said(app) + words(app)
    for sentence in ("This must not be empty.", "This is not a phone number.", "This is not an e-mail address."):
        assert sentence in shown.replace("\\", "")
    assert count(*TABLES) == before
    [note] = [w for w in app.text_area if str(w.key).startswith("customer_row_note_")]
    assert note.value == "kept"
    sound(sent(app, name="x", phone="", email=""))
    assert [row["note"] for row in rows("contacts", mine)] == ["kept"]


def test_two_editors_see_both_sides_and_choose(people: make.People, mine: int) -> None:
    contact_id, _set = do(contacts.add, people.ann, customer_id=mine, values={"name": "Old", "job_title": "Old"})
    app = click(opened(people.ann, mine), f"customer_contact_edit_{contact_id}")
    edited = {"customer_id": mine, "contact_id": contact_id}
    do(contacts.save, people.mia, **edited, version=1, values={"name": "Theirs", "job_title": "Theirs", "note": "new"})
    app = sent(app, name="Mine", job_title="Mine")
    shown = words(app).replace("\\", "")
    assert "Somebody saved this while you were editing. Choose which values to keep." in shown
    for side in ("Mine: Mine", "Theirs: Theirs"):
        assert side in shown
    next(r for r in app.radio if r.key == "customer_row_clash_job_title").set_value("theirs")
    app = click(app, "customer_row_clash_done")
    sound(click(app, "customer_row_save"))
    [row] = rows("contacts", mine)
    assert (row["name"], row["job_title"], row["note"]) == ("Mine", "Theirs", "new")


def test_a_contact_that_is_gone_when_it_is_saved_is_a_sentence(people: make.People, mine: int) -> None:
    contact_id, _set = do(contacts.add, people.ann, customer_id=mine, values={"name": "Old"})
    app = click(opened(people.ann, mine), f"customer_contact_edit_{contact_id}")
    do(contacts.delete, people.mia, customer_id=mine, contact_id=contact_id)
    app = sent(app, name="x")
    assert "This is no longer there: somebody may have deleted it." in words(app).replace("\\", "")
    assert rows("contacts", mine) == []


@pytest.mark.parametrize("typed", HOSTILE, ids=lambda t: t[:12])
def test_hostile_text_is_text_everywhere(people: make.People, mine: int, typed: str) -> None:
    values = dict.fromkeys(("name", "job_title", "wechat", "note"), typed)
    do(contacts.add, people.ann, customer_id=mine, values=values)
    place = dict.fromkeys(("recipient", "street", "city", "region", "country"), typed) | {"kind": "home"}
    do(addresses.add, people.ann, customer_id=mine, values=place)
    do(consents.record, people.ann, customer_id=mine, channel="mail", state="given", how=typed)
    do(attachments.add, people.ann, customer_id=mine, name=f"{typed}.txt", content=b"x")
    kept = HOSTILE[typed]
    for tab in ("details", "files", "history"):
        app = opened(people.ann, mine, tab)
        assert markup_of(app, kept) == []


# --- addresses and consents ------------------------------------------------------------------------------------------


def test_an_address_is_added_edited_and_taken_back(people: make.People, mine: int) -> None:
    app = click(opened(people.ann, mine), "customer_address_add")
    app = sound(sent(app, kind="office", recipient="王小明", street="南京西路 1 号", city="上海", postcode="200041"))
    [row] = rows("addresses", mine)
    assert (row["kind"], row["street"], row["main"]) == ("office", "南京西路 1 号", True)
    assert "200041 上海" in said(app)
    app = click(app, f"customer_address_edit_{row['id']}")
    app = sound(sent(app, kind="billing"))
    assert [r["kind"] for r in rows("addresses", mine)] == ["billing"]
    sound(click(app, "kehu_undo_button"))
    assert [r["kind"] for r in rows("addresses", mine)] == ["office"]
    history = said(opened(people.ann, mine, "history"))
    assert "What for: Office → Billing address" in history
    app = opened(people.ann, mine)
    sound(click(app, f"customer_address_delete_{row['id']}"))
    assert rows("addresses", mine) == []


def test_what_is_refused_stands_beside_the_name_on_every_tab(people: make.People, mine: int) -> None:
    do(consents.record, people.ann, customer_id=mine, channel="mail", state="given", how="form")
    assert "no calls" not in said(opened(people.ann, mine))
    app = opened(people.ann, mine)
    [how] = [w for w in app.text_input if "_consent_how_" in str(w.key)]
    how.set_value("said so")
    [state] = [w for w in app.button_group if "_consent_state_" in str(w.key)]
    state.set_value("refused")
    [save] = [b for b in app.button if "_consent_save_" in str(b.key)]
    app = sound(save.click().run())
    [row] = rows("consents", mine)[1:]
    assert (row["channel"], row["state"], row["source"]) == ("phone", "refused", "said so")
    for tab in ("details", "timeline", "files"):
        for viewer in (people.ann, people.ana):
            assert "no calls" in said(opened(viewer, mine, tab)), (tab, viewer.role)


def test_a_consent_needs_to_say_how_one_knows(people: make.People, mine: int) -> None:
    app = opened(people.ann, mine)
    [save] = [b for b in app.button if "_consent_save_" in str(b.key)]
    app = save.click().run()
    assert "Say how you know: a form, a call, a letter." in said(app)
    assert rows("consents", mine) == []


# --- files -----------------------------------------------------------------------------------------------------------


def upload(app: AppTest, name: str, content: bytes) -> AppTest:
    [field] = app.main.get("file_uploader")
    field.set_value((name, content, "text/html"))  # what the browser calls it is of no account
    return app.run()


def test_a_file_is_uploaded_linked_deleted_and_comes_back(people: make.People, mine: int) -> None:
    app = sound(upload(opened(people.ann, mine, "files"), "报价.txt", b"tea"))
    [row] = rows("attachments", mine)
    assert (row["name"], row["media_type"], row["bytes"]) == ("报价.txt", "text/plain", 3)
    assert [row["content"] for row in rows("attachment_contents", mine)] == [b"tea"]
    [link] = [link for link in app.main.link_button if link.label == "Download"]
    assert link.url == f"/files/{mine}/{row['id']}"
    assert "File added." in words(app)
    [field] = app.main.get("file_uploader")
    assert not field.value, "the field is empty again"
    app = sound(click(app, f"customer_file_delete_{row['id']}"))
    assert rows("attachments", mine) == []
    sound(click(app, "kehu_undo_button"))
    assert [row["name"] for row in rows("attachments", mine)] == ["报价.txt"]
    assert "At most 10 MB a file and 200 files a customer" in said(app)


def test_a_refused_file_is_a_sentence(people: make.People, mine: int) -> None:
    before = count(*TABLES)
    app = upload(opened(people.ann, mine, "files"), "a *b*.pdf", b"<script>")
    assert "a _b_.pdf: The content is not what the name says" in said(app)
    assert count(*TABLES) == before


# --- masked and others' ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_masked_roles_see_no_person_and_change_nothing(people: make.People, mine: int, who: str) -> None:
    extra = {"job_title": "zekret", "phone": "138 0013 8000", "email": "zekret@example.com", "note": "zekret"}
    do(contacts.add, people.ann, customer_id=mine, values={"name": "zekret", "main": True, **extra})
    place = {"kind": "home", "street": "zekret", "recipient": "zekret", "city": "Rome"}
    do(addresses.add, people.ann, customer_id=mine, values=place)
    do(consents.record, people.ann, customer_id=mine, channel="mail", state="withdrawn", how="zekret")
    do(attachments.add, people.ann, customer_id=mine, name="zekret.txt", content=b"zekret")
    for tab in ("details", "files", "history", "timeline"):
        app = opened(getattr(people, who), mine, tab)
        sent_ = words(app)
        assert "zekret" not in sent_
        assert "138 0013 8000" not in sent_
        assert not app.main.get("file_uploader")
        assert not [link for link in app.main.link_button if "/files/" in link.url]
        assert [b.key for b in app.button if not b.key.startswith("kehu_")] == []
        assert "no e-mails" in sent_
    assert "Rome" in words(opened(getattr(people, who), mine))


@pytest.mark.parametrize("tab", ["details", "files"])
@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_a_full_page_asks_few_questions(
    people: make.People, mine: int, tab: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEHU_NO_CACHE", "1")
    for n in range(12):
        do(contacts.add, people.ann, customer_id=mine, values={"name": f"N {n}"})
        do(consents.record, people.ann, customer_id=mine, channel="mail", state="given", how=f"form {n}")
        do(attachments.add, people.ann, customer_id=mine, name=f"{n}.txt", content=str(n).encode())
    app = sound(signed_in(people.ann, "customer", language=language, id=str(mine), customer_tab=tab))
    assert data.queries() <= MOST_QUERIES
    if tab == "details" and language == "en":
        assert "The last 10 are shown; the others are in the history." in said(app)
