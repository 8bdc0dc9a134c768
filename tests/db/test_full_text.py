"""Search in what people wrote: by the character in Chinese, to the viewer's eyes alone, right after every undo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import select, text

from db import attachments, connection, customer, full_text, interactions, schema, search_keys, tasks, timeline, undo
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, Refused
from db.permissions import Viewer
from tests import conftest, make

TODAY = date(2026, 11, 20)
ZONE = "America/New_York"


@pytest.fixture(scope="module")
def written(server: Server, template: str) -> Iterator[tuple[make.People, dict[str, int]]]:
    """Harbour is Ann's, North Pier is Bo's, Old Mill Ann's and archived."""
    name = f"full_text_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        cast = make.people()
        with connection.begin_owner() as conn:
            found = {
                called: make.customer(conn, owner.user_id, name=called)
                for called, owner in (("Harbour", cast.ann), ("North Pier", cast.bo), ("Old Mill", cast.ann))
            }
        with begin(cast.root, write=True) as conn:
            for called, body in (
                ("Harbour", "合同已經寄出。\n客戶要求 5% 折扣，“老板\\儿子”签字。"),
                ("Harbour", "He'd like a discount of 5_000; ask Zoë O'Neil."),
                ("North Pier", "合同到期，下月续签。"),
                ("Old Mill", "合同作废。"),
            ):
                customer.add_note(conn, actor=cast.root, customer_id=found[called], body=body)
            for called, subject, body in (
                ("Harbour", "报价", "客户说合同条款太长，不愿意签。"),
                ("North Pier", "Renewal", "They want the contract by e-mail: zoe@pier.example"),
            ):
                interactions.log(
                    conn, actor=cast.root, customer_id=found[called], kind="call", subject=subject, body=body
                )
            tasks.add(conn, actor=cast.root, customer_id=found["Harbour"], title="寄样品", assignee_id=cast.ann.user_id)
            attachments.add(
                conn, actor=cast.root, customer_id=found["Harbour"], name="2026合同终稿.txt", content=b"words"
            )
            customer.archive(conn, actor=cast.root, customer_id=found["Old Mill"])
        yield cast, found


@pytest.fixture(scope="module")
def people(written: tuple[make.People, dict[str, int]]) -> make.People:
    return written[0]


@pytest.fixture(scope="module")
def ids(written: tuple[make.People, dict[str, int]]) -> dict[str, int]:
    return written[1]


def find(viewer: Viewer, words: str, **options: object) -> full_text.Found:
    with begin(viewer) as conn:
        return full_text.find(conn, viewer=viewer, words=words, **options)  # type: ignore[arg-type]


def hits(viewer: Viewer, words: str, **options: object) -> list[tuple[str, str]]:
    """(customer, part) of what was found, sorted."""
    rows = find(viewer, words, **options).rows
    return sorted(zip(rows["customer"], rows["part"], strict=True))


def test_each_finds_their_own_in_every_part(people: make.People) -> None:
    harbour = [("Harbour", part) for part in ("files", "notes", "talks")]
    assert hits(people.ann, "合同") == harbour
    assert hits(people.bo, "合同") == [("North Pier", "notes")]
    assert hits(people.mia, "合同") == hits(people.root, "合同") == [*harbour, ("North Pier", "notes")]
    assert hits(people.cho, "合同") == hits(people.max, "合同") == []
    for viewer in (people.ana, people.mark):
        with begin(viewer) as conn, pytest.raises(Refused):
            full_text.find(conn, viewer=viewer, words="合同")
        with begin(viewer) as conn, pytest.raises(Refused):
            timeline.timeline(conn, viewer=viewer, customer_id=1, zone=ZONE, words="合同")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("签", ["notes", "talks"]),  # one character
        ("签字", ["notes"]),
        ("客户", ["notes", "talks"]),  # 客戶 and 客户
        ("客戶", ["notes", "talks"]),
        ("已经寄出", ["notes"]),
        ("合同 客户", ["notes", "talks"]),  # both words, wherever
        ("寄", ["notes", "tasks"]),
        ("样品", ["tasks"]),
        ("終稿", ["files"]),
        ("合同终稿.txt", ["files"]),
        ("2026", ["files"]),
        ("disc", ["notes"]),
        ("count", ["notes"]),  # inside a word
        ("di", ["notes"]),
        ("zoe", ["notes"]),
        ("ZOË o'neil", ["notes"]),
        ("要求5%折扣", ["notes"]),  # blanks beside Chinese characters do not matter
        ("5%", ["notes"]),
        ("%", []),
        ("5_000", ["notes"]),
        ("5x000", []),
        ("_", []),
        ("\\", ["notes"]),
        ("老板\\儿子", ["notes"]),
        ("'; DROP TABLE notes; --", []),
        ("%L', 1)", []),
        ("合" * 10_000, []),
        ("", []),
        (" \u200b ", []),
        ("字签", []),
    ],
)
def test_what_is_typed_finds_what_was_written(people: make.People, typed: str, found: list[str]) -> None:
    assert [part for _customer, part in hits(people.ann, typed)] == found


def test_the_piece_shows_the_hit_as_it_was_written(people: make.People) -> None:
    rows = find(people.ann, "要求", part="notes").rows
    piece = rows.iloc[0]
    assert (piece["before"], piece["hit"], piece["after"]) == (
        "合同已經寄出。 客戶",
        "要求",
        " 5% 折扣,“老板\\儿子”签字。",
    )
    assert (piece["kind"], piece["who"], piece["customer"]) == ("note", "Root", "Harbour")
    assert find(people.ann, "客户").rows["hit"].tolist() == ["客戶", "客户"]
    assert find(people.ann, "zoe").rows.iloc[0]["hit"] == "Zoë"
    assert full_text.snippet("a" * 100 + "合 同" + "b" * 500, "", "合同") == ("…" + "a" * 40, "合 同", "b" * 157 + "…")
    assert full_text.snippet("", "报价", "报价") == ("", "报价", "")


def test_pages_and_parts(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    every = find(people.root, "合同").rows
    assert every["written_at"].is_monotonic_decreasing
    pieces = [find(people.root, "合同", offset=n, limit=1).rows["id"].tolist() for n in range(4)]
    assert [one for piece in pieces for one in piece] == every["id"].tolist()
    assert find(people.root, "合同", offset=10**9).rows.empty
    assert hits(people.root, "合同", part="talks") == [("Harbour", "talks")]
    assert (find(people.root, "合同").total, find(people.root, "合同").more) == (4, False)
    monkeypatch.setattr(full_text, "MOST_HITS", 2)
    cut = find(people.root, "合同")
    assert (len(cut.rows), cut.total, cut.more) == (2, 2, True)
    with pytest.raises(Invalid, match="no “x”"):
        find(people.root, "合同", part="x")


def test_the_database_gives_nobody_anothers(people: make.People) -> None:
    """The functions themselves hold the viewer to their own, and only who may has them."""
    asked = "SELECT count(*) FROM {}(ARRAY['notes','talks','tasks','files'], ARRAY['%% 合 %%'], ARRAY[]::text[], 100)"
    with begin(people.bo) as conn:
        assert conn.exec_driver_sql(asked.format("written_scoped")).scalar() == 1
    with begin(people.cho) as conn:
        assert conn.exec_driver_sql(asked.format("written_scoped")).scalar() == 0
    for viewer, function in (
        (people.bo, "written_all"),
        (people.ana, "written_all"),
        (people.ana, "written_scoped"),
        (people.mark, "written_all"),
    ):
        with begin(viewer) as conn, pytest.raises(Exception, match="permission denied"):
            conn.exec_driver_sql(asked.format(function))


def test_undo_and_deletion_keep_the_search_right(people: make.People, ids: dict[str, int]) -> None:
    t = schema.tasks.c
    harbour = ids["Harbour"]
    with begin(people.ann, write=True) as conn:
        customer.add_note(conn, actor=people.ann, customer_id=harbour, body="蓝鲸")
        tasks.add(conn, actor=people.ann, customer_id=harbour, title="海豚", body="before")
        note_id = conn.scalar(select(schema.notes.c.id).where(schema.notes.c.body == "蓝鲸"))
        task_id = conn.scalar(select(t.id).where(t.title == "海豚"))
    assert (hits(people.ann, "蓝鲸"), hits(people.ann, "海豚")) == ([("Harbour", "notes")], [("Harbour", "tasks")])
    with begin(people.ann, write=True) as conn:
        one = {"customer_id": harbour, "task_id": task_id, "version": 1}
        edited = tasks.save(conn, actor=people.ann, values={"title": "企鹅"}, **one)
        gone = customer.delete_note(conn, actor=people.ann, customer_id=harbour, note_id=note_id)
    assert (hits(people.ann, "蓝鲸"), hits(people.ann, "海豚"), len(hits(people.ann, "企鹅"))) == ([], [], 1)
    assert len(hits(people.ann, "before")) == 1
    for change_set_id in (edited, gone):
        with begin(people.ann, write=True) as conn:
            undo.undo(conn, actor=people.ann, change_set_id=change_set_id, source="screen")
    assert (len(hits(people.ann, "蓝鲸")), len(hits(people.ann, "海豚")), hits(people.ann, "企鹅")) == (1, 1, [])


def test_rows_of_before_are_brought_up(people: make.People) -> None:
    with connection.begin_owner() as conn:
        conn.execute(text("UPDATE notes SET search_text = ''"))
        assert search_keys.bring_up(conn) == 0
        conn.execute(text("COMMENT ON COLUMN notes.search_text IS NULL"))
        count = make.count(conn, "notes")
    with connection.begin_owner() as conn:
        assert search_keys.bring_up(conn) == count
        assert search_keys.bring_up(conn) == 0
    assert ("North Pier", "notes") in hits(people.bo, "合同")


def test_the_timeline_is_narrowed(people: make.People, ids: dict[str, int]) -> None:
    def narrowed(viewer: Viewer, words: str, part: str = "") -> timeline.Timeline:
        with begin(viewer) as conn:
            return timeline.timeline(conn, viewer=viewer, customer_id=ids["Harbour"], zone=ZONE, words=words, part=part)

    found = narrowed(people.ann, "合同")
    assert sorted(found.rows["part"]) == ["notes", "talks"]
    assert found.totals == {"orders": 0, "talks": 1, "notes": 1, "tasks": 0, "campaigns": 0, "changes": 0}
    assert narrowed(people.ann, "合同", "talks").rows["part"].tolist() == ["talks"]
    assert narrowed(people.ann, "合同", "orders").rows.empty
    assert narrowed(people.ann, "%").totals["notes"] == 0
    assert narrowed(people.ann, "\u200b").rows.empty
    assert narrowed(people.bo, "合同").rows.empty
    assert len(narrowed(people.ann, "  ").rows) > 2
