"""Drafts: kept for one user, whoever else looks; the oldest go, and the old ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from db import clock, connection, drafts, schema
from db.connection import begin
from db.drafts import LIFE, MOST_BYTES, MOST_DRAFTS
from db.embedded import Server
from db.errors import Invalid, Refused
from db.permissions import WORKER, Viewer
from tests import conftest, make


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"drafts_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def get(viewer: Viewer, form: str = "customer:1") -> drafts.Draft | None:
    with begin(viewer) as conn:
        return drafts.get(conn, viewer=viewer, form=form)


def test_a_draft_is_kept_replaced_and_thrown_away(people: make.People) -> None:
    ann = people.ann
    assert get(ann) is None
    do(drafts.keep, ann, form="customer:1", values={"name": "a"}, version=3)
    typed = {"name": "<b>张三</b>", "custom.likes": ["tea"], "custom.vip": False, "city": "", "phone": None}
    do(drafts.keep, ann, form="customer:1", values=typed, version=4)
    found = get(ann)
    assert found
    assert (found.values, found.version, found.updated_at) == (typed, 4, clock.now())
    assert get(ann, "customer:new") is None
    do(drafts.discard, ann, form="customer:1")
    do(drafts.discard, ann, form="customer:1")
    assert get(ann) is None


def test_nobody_else_reads_changes_or_removes_it(people: make.People) -> None:
    do(drafts.keep, people.ann, form="customer:1", values={"name": "Anns"})
    for viewer in (people.bo, people.mia, people.root):
        assert get(viewer) is None
        do(drafts.discard, viewer, form="customer:1")
        with begin(viewer, write=True) as conn:
            assert conn.scalar(select(func.count()).select_from(schema.drafts)) == 0
            assert conn.execute(update(schema.drafts).values(version=9)).rowcount == 0
        forged = {"user_id": people.ann.user_id, "form": "customer:2", "values": {}, "updated_at": clock.now()}
        with pytest.raises(Refused), begin(viewer, write=True) as conn:
            conn.execute(insert(schema.drafts).values(**forged))
        do(drafts.keep, viewer, form="customer:1", values={"name": viewer.username})
    for viewer in (people.ana, people.mark):
        with pytest.raises(Refused):
            get(viewer)
        with pytest.raises(Refused):
            do(drafts.keep, viewer, form="customer:1", values={})
        for writing in (False, True):
            with pytest.raises(Refused), begin(viewer, write=writing) as conn:
                conn.execute(text("SELECT form FROM public.drafts"))
    found = get(people.ann)
    assert found
    assert found.values == {"name": "Anns"}
    do(drafts.discard, people.ann, form="customer:1")


@pytest.mark.parametrize("form", ["", "customer", "customer:", "customer:x", "Customer:1", "customer:1 ", "a:1" * 30])
def test_only_forms_have_drafts(people: make.People, form: str) -> None:
    with pytest.raises(Invalid):
        do(drafts.keep, people.ann, form=form, values={})
    assert get(people.ann, form) is None


def test_hostile_values_are_kept_without_what_cannot_be(people: make.People) -> None:
    typed = {"name": "a\0b\ud800c\u202e", "custom.likes": ["\0", "x"], "n": 1.5}
    do(drafts.keep, people.bo, form="customer:new", values=typed)
    found = get(people.bo, "customer:new")
    assert found
    assert found.values == {"name": "abc\u202e", "custom.likes": ["", "x"], "n": "1.5"}
    do(drafts.keep, people.bo, form="customer:new", values={"a": "张" * (MOST_BYTES // 3 - 10)})
    with pytest.raises(Invalid, match="too long"):
        do(drafts.keep, people.bo, form="customer:new", values={"a": "张" * (MOST_BYTES // 3 + 1)})


def test_the_oldest_go_when_there_are_too_many(people: make.People) -> None:
    old = {"user_id": people.cho.user_id, "values": {}}
    with connection.begin_owner() as conn:
        rows = [
            old | {"form": f"customer:{n}", "updated_at": clock.now() - timedelta(hours=n)}
            for n in range(1, MOST_DRAFTS + 1)
        ]
        conn.execute(insert(schema.drafts), rows)
    do(drafts.keep, people.cho, form="customer:2", values={})  # there already
    assert get(people.cho, f"customer:{MOST_DRAFTS}")
    do(drafts.keep, people.cho, form="customer:new", values={})
    assert get(people.cho, f"customer:{MOST_DRAFTS}") is None
    assert get(people.cho, f"customer:{MOST_DRAFTS - 1}")
    assert get(people.cho, "customer:new")


def test_what_is_past_its_life_is_not_shown_and_the_worker_removes_it_unread(people: make.People) -> None:
    for viewer, age in ((people.mia, LIFE), (people.max, LIFE - timedelta(seconds=1))):
        do(drafts.keep, viewer, form="customer:7", values={"name": "x"})
        with connection.begin_owner() as conn:
            d = schema.drafts.c
            then = update(schema.drafts).where(d.user_id == viewer.user_id, d.form == "customer:7")
            conn.execute(then.values(updated_at=clock.now() - age))
    assert get(people.mia, "customer:7") is None
    assert get(people.max, "customer:7")
    for viewer in (people.ann, people.root):
        with pytest.raises(Refused):
            do(drafts.discard_old, viewer)
    assert do(drafts.discard_old, WORKER) == 1
    assert do(drafts.discard_old, WORKER) == 0
    with pytest.raises(Refused), begin(WORKER) as conn:
        conn.execute(text("SELECT values FROM drafts"))
    assert get(people.max, "customer:7")
