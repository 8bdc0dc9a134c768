"""Duplicates: who has the same phone, e-mail or name, and how little is told of those out of sight."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from db import connection, customer, duplicates
from db.connection import begin
from db.duplicates import MOST_COUNTED, MOST_SHOWN, Alike
from db.embedded import Server
from db.errors import Refused
from db.permissions import Viewer
from tests import conftest, make

PHONE = "+86 138 0013 8000"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"duplicates_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


@pytest.fixture(scope="module")
def ids(people: make.People) -> dict[str, int]:
    found = {}
    with connection.begin_owner() as conn:
        for key, owner, values in (
            ("anns", people.ann.user_id, {"name": "王小明", "phone": PHONE, "email": "ming@example.com"}),
            ("bos", people.bo.user_id, {"name": "王小明", "company": "Tea Ltd", "phone": PHONE}),
            ("chos", people.cho.user_id, {"name": "Secret Person", "phone": PHONE, "email": "MING@example.com"}),
            ("nobodys", 0, {"name": "José", "company": "Tea Ltd", "phone": "+1 202 555 0143"}),
        ):
            found[key] = make.customer(conn, owner, **values)
    with begin(people.ann, write=True) as conn:
        customer.archive(conn, actor=people.ann, customer_id=found["anns"])
    return found


def find(viewer: Viewer, **values: Any) -> dict[str, Alike]:
    with begin(viewer) as conn:
        return duplicates.find(conn, viewer=viewer, **values)


def test_the_same_phone_however_it_is_written(people: make.People, ids: dict[str, int]) -> None:
    for written in (PHONE, "13800138000", "138-0013-8000", "0086 138 0013 8000", "８６ １３８００１３８０００"):
        assert find(people.root, phone=written)["phone"].total == 3, written
    assert find(people.ann, phone=PHONE) == {
        "phone": Alike(3, False, ((ids["anns"], "王小明", True),), 1, ("Bo", "Cho"))
    }
    assert find(people.mia, phone=PHONE)["phone"] == Alike(
        3, False, ((ids["bos"], "王小明", False), (ids["anns"], "王小明", True)), 2, ("Cho",)
    )
    assert find(people.ann, phone=PHONE, but_id=ids["anns"])["phone"].shown == ()
    assert find(people.ann, phone="2025550143") == {}
    assert find(people.ann, phone="+1 202 555 0143")["phone"] == Alike(1, False, (), 0, ("",))


def test_the_same_email_and_the_same_name_with_the_same_company(people: make.People, ids: dict[str, int]) -> None:
    assert find(people.ann, email=" Ming@EXAMPLE.com ")["email"].total == 2
    assert find(people.ann, name="王小明")["name"].total == 1
    assert find(people.ann, name="王小明", company="Tea Ltd")["name"] == Alike(1, False, (), 0, ("Bo",))
    assert find(people.max, name="jose", company="Tea Ltd")["name"].shown == ((ids["nobodys"], "José", False),)
    assert find(people.max, name="jose", company="Tea") == {}


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"phone": "", "email": "", "name": ""},
        {"phone": "13", "email": "@", "name": "%"},
        {"phone": "%%%%%%", "email": "%", "name": "_" * 10_000},
        {"name": "'; drop table customers; --", "company": "\0"},
        {"name": "\u202e\u200b", "phone": "☎", "email": "\ud800"},
    ],
)
def test_nothing_and_nonsense_are_like_nobody(people: make.People, ids: dict[str, int], typed: dict[str, str]) -> None:
    assert find(people.ann, **typed) == {}


def test_of_those_out_of_sight_only_the_owners_name_is_told(people: make.People, ids: dict[str, int]) -> None:
    told = str(find(people.ann, phone=PHONE, email="ming@example.com", name="Secret Person"))
    assert "Cho" in told
    for secret in ("Secret", f"({ids['chos']}", "Tea"):
        assert secret not in told
    ask = text("SELECT id, name, archived, owner FROM public.customers_alike('8613800138000', '', '', '', 0, 10)")
    with begin(people.cho) as conn:
        rows = [tuple(row) for row in conn.execute(ask)]
    assert sorted(rows, key=str) == [
        (ids["chos"], "Secret Person", False, "Cho"),
        (None, None, None, "Ann"),
        (None, None, None, "Bo"),
    ]


def test_who_may_not_edit_is_told_nothing(people: make.People) -> None:
    for viewer in (people.ana, people.mark):
        with pytest.raises(Refused):
            find(viewer, phone=PHONE)
        with pytest.raises(Refused), begin(viewer) as conn:
            conn.execute(text("SELECT * FROM public.customers_alike('8613800138000', '', '', '', 0, 10)"))


def test_many_are_counted_up_to_a_bound(people: make.People) -> None:
    with connection.begin_owner() as conn:
        for _n in range(MOST_COUNTED + 2):
            make.customer(conn, people.max.user_id, name="Many")
    found = find(people.max, name="many")["name"]
    assert (found.total, found.more, len(found.shown)) == (MOST_COUNTED, True, MOST_SHOWN)
    hidden = find(people.ann, name="many")["name"]
    assert (hidden.total, hidden.more, hidden.shown, hidden.owners) == (MOST_COUNTED, True, (), ("Max",))
