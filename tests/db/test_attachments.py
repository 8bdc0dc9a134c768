"""Files of a customer: what they are is told by their content, nobody else sees them, undo brings them back whole."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import func, select

from db import attachments, connection, customer, file_types, schema
from db.attachments import File
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, NotFound, Refused
from db.permissions import Viewer
from db.undo import undo
from tests import conftest, make

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
WEBP = b"RIFF\x1a\0\0\0WEBPVP8 "


def archive(parts: Mapping[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    """The same bytes at any time: they are in names of tests, which must be the same in all processes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, content in parts.items():
            made.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def office(main: str, **more: bytes) -> bytes:
    return archive({"[Content_Types].xml": b"<Types/>", main: b"<x/>", **more}, method=zipfile.ZIP_DEFLATED)


DOCX = office("word/document.xml")
ODT = archive({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<x/>"})


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"attachments_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


@pytest.fixture
def mine(people: make.People) -> int:
    return int(do(customer.add, people.ann, values={"name": "张三"})[0])


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def add(actor: Viewer, customer_id: int, name: str = "a.txt", content: bytes = b"hello") -> int:
    return int(do(attachments.add, actor, customer_id=customer_id, name=name, content=content))


def files(viewer: Viewer, customer_id: int) -> list[dict[str, Any]]:
    with begin(viewer) as conn:
        rows = attachments.files(conn, viewer=viewer, customer_id=customer_id)
    return rows[["id", "name", "media_type", "bytes", "author"]].to_dict("records")  # type: ignore[return-value]


def content(viewer: Viewer, customer_id: int, attachment_id: int) -> File:
    with begin(viewer) as conn:
        return attachments.content(conn, viewer=viewer, customer_id=customer_id, attachment_id=attachment_id)


# --- what a file is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("a.pdf", PDF, "application/pdf"),
        ("A.PDF", PDF, "application/pdf"),
        ("a.png", PNG, "image/png"),
        ("a.jpg", JPEG, "image/jpeg"),
        ("a.jpeg", JPEG, "image/jpeg"),
        ("a.gif", b"GIF89a....", "image/gif"),
        ("a.webp", WEBP, "image/webp"),
        ("a.docx", DOCX, file_types.MEDIA_TYPES["docx"]),
        ("a.xlsx", office("xl/workbook.xml"), file_types.MEDIA_TYPES["xlsx"]),
        ("a.pptx", office("ppt/presentation.xml"), file_types.MEDIA_TYPES["pptx"]),
        ("a.odt", ODT, file_types.MEDIA_TYPES["odt"]),
        ("a.txt", "报价 ok\n".encode(), "text/plain"),
        ("a.txt", "\ufeff报价".encode(), "text/plain"),
        ("a.csv", "姓名,电话\r\n".encode("gb18030"), "text/csv"),
        ("报价.单.txt", b"x", "text/plain"),
    ],
)
def test_name_and_content_agree(name: str, body: bytes, kind: str) -> None:
    assert file_types.media_type(name, body) == kind


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.png", JPEG),
        ("a.pdf", b"hello"),
        ("a.pdf", b" " + PDF),
        ("a.txt", PDF),
        ("a.txt", PNG),
        ("a.txt", DOCX),
        ("a.txt", b"a\0b"),
        ("a.txt", b"a\x1bb"),
        ("a.txt", "a".encode("utf-16")),
        ("a.csv", b"\xff\xff\xff"),
        ("a.html", b"<script>alert(1)</script>"),
        ("a.svg", b"<svg onload='alert(1)'/>"),
        ("a.exe", b"MZ\x90\0"),
        ("a.pdf", b"MZ\x90\0"),
        ("a.docx", archive({"x": b"y"})),
        ("a.docx", office("xl/workbook.xml")),
        ("a.docx", archive({"word/document.xml": b"x"})),
        ("a.docx", office("word/document.xml", **{"xl/workbook.xml": b"x"})),
        ("a.docx", office("word/document.xml", **{"word/vbaProject.bin": b"x"})),
        ("a.docm", office("word/document.xml")),
        ("a.docx", b"PK\x03\x04 broken"),
        ("a.docx", DOCX[:-10]),
        ("a.odt", archive({"content.xml": b"x", "mimetype": b"application/vnd.oasis.opendocument.text"})),
        ("a.odt", archive({"mimetype": b"text/html"})),
        ("a.odt", archive({"mimetype": b"\xff"})),
        ("a.odt", archive({"mimetype": b"application/vnd.oasis.opendocument.text"}, method=zipfile.ZIP_DEFLATED)),
        ("a.odt", ODT[:40]),
        ("a.webp", b"RIFF\0\0\0\0WAVE"),
        ("a.gif", b"GIF88a"),
        ("a", b"hello"),
        ("txt", b"hello"),
        ("a.zip", archive({"x": b"y"})),
    ],
)
def test_what_is_not_what_it_says_is_no_kind(name: str, body: bytes) -> None:
    assert file_types.media_type(name, body) == ""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("C:\\Users\\ann\\报价 单.pdf", "报价 单.pdf"),
        ("../../etc/passwd.txt", "passwd.txt"),
        ("a\u202efdp.exe.txt", "afdp.exe.txt"),
        ("  .a\0\n\r.txt ", "a .txt"),
        ('x"y<z>|?*.txt', "x_y_z____.txt"),
        ("", ""),
        ("...", ""),
    ],
)
def test_names_are_names_on_every_system(given: str, kept: str) -> None:
    assert attachments.file_name(given) == kept


# --- kept, given out, taken back -------------------------------------------------------------------------------------


def test_a_file_is_kept_given_out_deleted_and_comes_back_whole(people: make.People, mine: int) -> None:
    assert files(people.ann, mine) == []
    added = add(people.ann, mine, "/home/ann/报价.pdf", PDF)
    [row] = files(people.mia, mine)
    number = row.pop("id")
    assert row == {"name": "报价.pdf", "media_type": "application/pdf", "bytes": len(PDF), "author": "Ann"}
    assert content(people.mia, mine, number) == File("报价.pdf", "application/pdf", PDF)
    gone = do(attachments.delete, people.ann, customer_id=mine, attachment_id=number)
    assert files(people.ann, mine) == []
    with pytest.raises(NotFound):
        content(people.ann, mine, number)
    do(undo, people.ann, change_set_id=gone, source="screen")
    assert content(people.ann, mine, number).content == PDF
    back = do(undo, people.ann, change_set_id=added, source="screen")
    assert files(people.ann, mine) == []
    do(undo, people.ann, change_set_id=back.change_set_id, source="screen")
    assert content(people.ann, mine, number).content == PDF


def test_history_holds_no_bytes_and_a_customer_with_files_can_be_undone(people: make.People) -> None:
    customer_id, made = do(customer.add, people.ann, values={"name": "x"})
    added = add(people.ann, customer_id, content=b"zekret bytes")
    with connection.begin_owner() as conn:
        images = [str(row) for row in conn.execute(select(schema.changes))]
    assert not any("zekret bytes" in image or b"zekret bytes".hex() in image for image in images)
    do(undo, people.ann, change_set_id=added, source="screen")
    do(undo, people.ann, change_set_id=made, source="screen")
    with connection.begin_owner() as conn:
        c = schema.attachment_contents.c
        assert conn.scalar(select(func.count()).where(c.customer_id == customer_id)) == 1, "they stay, out of sight"


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("a.txt", b"", "The file is empty."),
        ("a.txt", b"x" * (attachments.MOST_BYTES + 1), "The file is larger than 10 MB."),
        ("\u202e.", b"x", "The file has no name."),
        ("x" * 200 + ".txt", b"x", "The name of the file has 204 characters; at most 200."),
        ("a.html", b"<b>", "The content is not what the name says, or no kind that is kept here."),
        ("a.png", PDF, "The content is not what the name says, or no kind that is kept here."),
    ],
    ids=lambda v: str(v)[:12],
)
def test_what_cannot_be_kept_is_a_sentence(
    people: make.People, mine: int, name: str, body: bytes, sentence: str
) -> None:
    with pytest.raises(Invalid) as caught:
        add(people.ann, mine, name, body)
    assert caught.value.message.startswith(sentence)
    assert caught.value.fields == {"file": caught.value.message}
    assert files(people.ann, mine) == []


def test_the_largest_file_fits_and_the_same_one_is_kept_once(people: make.People, mine: int) -> None:
    body = b"x" * attachments.MOST_BYTES
    add(people.ann, mine, "large.txt", body)
    with pytest.raises(Invalid, match="here already as “large"):
        add(people.ann, mine, "again.txt", body)
    [row] = files(people.ann, mine)
    assert len(content(people.ann, mine, row["id"]).content) == attachments.MOST_BYTES


def test_a_customer_has_so_many_files(people: make.People, mine: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "MOST_FILES", 2)
    add(people.ann, mine, "1.txt", b"1")
    add(people.ann, mine, "2.txt", b"2")
    with pytest.raises(Invalid, match="2 files at most"):
        add(people.ann, mine, "3.txt", b"3")


# --- others' ---------------------------------------------------------------------------------------------------------


def test_nobody_reads_adds_or_deletes_files_of_another_ones_customer(people: make.People, mine: int) -> None:
    added = add(people.ann, mine, "zekret.txt", b"zekret")
    [row] = files(people.ann, mine)
    number = row["id"]
    own = int(do(customer.add, people.cho, values={"name": "Cho's"})[0])
    for actor in (people.cho, people.max):
        assert files(actor, mine) == []
        for attempt in (
            lambda actor=actor: content(actor, mine, number),
            lambda actor=actor: content(actor, own, number),
            lambda actor=actor: add(actor, mine, "x.txt", b"x"),
            lambda actor=actor: do(attachments.delete, actor, customer_id=mine, attachment_id=number),
            lambda actor=actor: do(attachments.delete, actor, customer_id=own, attachment_id=number),
            lambda actor=actor: do(undo, actor, change_set_id=added, source="screen"),
        ):
            with pytest.raises((NotFound, Refused)):
                attempt()
    for actor in (people.ana, people.mark):
        assert [(row["name"], row["bytes"]) for row in files(actor, mine)] == [("", 6)]
        for attempt in (
            lambda actor=actor: content(actor, mine, number),
            lambda actor=actor: add(actor, mine, "x.txt", b"x"),
        ):
            with pytest.raises(Refused):
                attempt()
        with begin(actor) as conn:
            assert set(conn.scalars(select(schema.attachment_contents.c.content))) == {b""}
    assert content(people.ann, mine, number).content == b"zekret"
    do(customer.assign, people.ann, customer_ids=[mine], owner_id=people.cho.user_id)
    with pytest.raises(NotFound):
        content(people.ann, mine, number)
    assert content(people.cho, mine, number).content == b"zekret"


def test_numbers_beyond_any_are_not_there(people: make.People, mine: int) -> None:
    for numbers in ((mine, 10**30), (10**30, 1), (mine, 0), (mine, -1)):
        with pytest.raises(NotFound):
            content(people.ann, *numbers)
