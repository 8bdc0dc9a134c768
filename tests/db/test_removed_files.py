"""Deleted files: for 90 days undo brings them back with their bytes, then the worker removes these and undo says so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from db import attachments, clock, connection, customer, schema, undo_since
from db.attachments import KEPT_DELETED
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, NotFound, Refused, Unavailable
from db.permissions import WORKER, Viewer
from db.undo import undo
from tests import conftest, make
from worker import tasks


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"removed_files_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


@pytest.fixture
def mine(people: make.People) -> int:
    with connection.begin_owner() as conn:
        conn.execute(schema.attachment_contents.delete())
        conn.execute(schema.attachments.delete())
    return int(do(customer.add, people.ann, values={"name": "张三"})[0])


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def add(actor: Viewer, customer_id: int, body: bytes = b"hello") -> tuple[int, int]:
    """Gives the file and the change set."""
    made = do(attachments.add, actor, customer_id=customer_id, name="a.txt", content=body)
    with connection.begin_owner() as conn:
        return int(conn.scalar(select(func.max(schema.attachments.c.id))) or 0), made


def delete(actor: Viewer, customer_id: int, file_id: int) -> int:
    return int(do(attachments.delete, actor, customer_id=customer_id, attachment_id=file_id))


def back(actor: Viewer, set_id: int) -> int:
    return int(do(undo, actor, change_set_id=set_id, source="screen").change_set_id)


def contents() -> set[int]:
    with connection.begin_owner() as conn:
        return set(conn.scalars(select(schema.attachment_contents.c.id)))


def read(viewer: Viewer, customer_id: int, file_id: int) -> bytes:
    with begin(viewer) as conn:
        return attachments.content(conn, viewer=viewer, customer_id=customer_id, attachment_id=file_id).content


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    start = clock.now()
    return lambda by: monkeypatch.setenv("KEHU_NOW", (start + by).isoformat())


def test_for_ninety_days_a_deleted_file_comes_back_whole(people: make.People, mine: int, later: Any) -> None:
    file_id, _made = add(people.ann, mine)
    gone = delete(people.ann, mine, file_id)
    later(KEPT_DELETED - timedelta(seconds=1))
    assert do(attachments.discard_removed, WORKER) == 0
    back(people.ann, gone)
    assert read(people.ann, mine, file_id) == b"hello"
    later(KEPT_DELETED * 3)
    assert do(attachments.discard_removed, WORKER) == 0, "it stands again"
    assert read(people.ann, mine, file_id) == b"hello"


def test_then_the_bytes_go_and_undo_says_so_and_brings_nothing_back(people: make.People, mine: int, later: Any) -> None:
    file_id, _made = add(people.ann, mine, b"one")
    other, _made = add(people.ann, mine, b"two")
    gone = delete(people.ann, mine, file_id)
    later(KEPT_DELETED)
    assert contents() == {file_id, other}
    assert do(attachments.discard_removed, WORKER) == 1
    assert do(attachments.discard_removed, WORKER) == 0
    assert contents() == {other}
    for actor in (people.ann, people.mia, people.root):
        with pytest.raises(Conflict, match="The content of this file is gone: a deleted file is kept for 90 days"):
            back(actor, gone)
    with pytest.raises(NotFound):
        read(people.ann, mine, file_id)
    assert read(people.ann, mine, other) == b"two"


def test_the_last_deletion_counts_also_one_by_undo(people: make.People, mine: int, later: Any) -> None:
    file_id, made = add(people.ann, mine)
    gone = delete(people.ann, mine, file_id)
    back(people.ann, gone)
    later(timedelta(days=60))
    taken_back = back(people.ann, made)  # the upload itself
    later(timedelta(days=149))
    assert do(attachments.discard_removed, WORKER) == 0
    again = back(people.ann, taken_back)
    assert read(people.ann, mine, file_id) == b"hello"
    back(people.ann, again)
    later(timedelta(days=149) + KEPT_DELETED)
    assert do(attachments.discard_removed, WORKER) == 1


def test_bytes_that_no_history_knows_go_at_once(people: make.People, mine: int) -> None:
    with connection.begin_owner() as conn:
        row = {"customer_id": mine, "id": 10**9, "content": b"x"}
        conn.execute(schema.attachment_contents.insert().values(row))
    assert do(attachments.discard_removed, WORKER) == 1


def test_nobody_but_the_worker_removes_bytes(people: make.People, mine: int, later: Any) -> None:
    file_id, _made = add(people.ann, mine)
    delete(people.ann, mine, file_id)
    later(KEPT_DELETED * 2)
    for actor in (people.ann, people.mia, people.ana, people.root):
        with pytest.raises(Refused):
            do(attachments.discard_removed, actor)
        with pytest.raises(Refused), begin(actor, write=True) as conn:
            conn.execute(text("DELETE FROM attachment_contents"))
    assert contents() == {file_id}


def test_the_job_removes_all_in_parts(people: make.People, mine: int, later: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(attachments, "MOST_REMOVED", 2)
    for n in range(5):
        file_id, _made = add(people.ann, mine, b"x%d" % n)
        delete(people.ann, mine, file_id)
    later(KEPT_DELETED)
    tasks.discard_removed_files(0)
    assert contents() == set()


def test_taking_back_all_since_names_the_deletion_that_stays(people: make.People, mine: int, later: Any) -> None:
    file_id, _made = add(people.ann, mine)
    gone = delete(people.ann, mine, file_id)
    later(KEPT_DELETED)
    do(customer.save, people.ann, customer_id=mine, version=1, values={"city": "Rome"})
    do(attachments.discard_removed, WORKER)
    with begin(people.ann, write=True) as conn:
        plan = undo_since.preview(conn, actor=people.ann, customer_id=mine, change_set_id=gone)
    assert [(step.change_set_id, step.why) for step in plan.left] == [(gone, undo_since.Why.GONE)]
    assert len(plan.steps) == 1


def test_an_undo_under_way_keeps_the_bytes(people: make.People, mine: int, later: Any) -> None:
    file_id, _made = add(people.ann, mine)
    gone = delete(people.ann, mine, file_id)
    later(KEPT_DELETED)
    with begin(people.ann, write=True) as conn:
        undo(conn, actor=people.ann, change_set_id=gone, source="screen")
        with pytest.raises(Unavailable), begin(WORKER, write=True, timeout_ms=200) as other:
            attachments.discard_removed(other, actor=WORKER)
    assert do(attachments.discard_removed, WORKER) == 0
    assert read(people.ann, mine, file_id) == b"hello"
