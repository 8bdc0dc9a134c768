"""Customers found by their contact people and their tags: by whom it says, how they rank, who must not find them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date

import pytest

from db import connection, contacts, customer, customers, search, tags
from db.connection import begin
from db.customers import Filters, Page
from db.embedded import Server
from db.permissions import Viewer
from tests import conftest, make

TODAY = date(2026, 11, 20)
CONTACTS = {
    "Harbour Ltd": (
        {"name": "李偉", "phone": "+86 139 1234 5678", "email": "li.wei@harbour.example"},
        {"name": "Zoë Quill"},
    ),
    "Lighthouse": ({"name": "李娜"},),
    "Old Mill": ({"name": "李伟"},),
    "North Pier": ({"name": "李伟"},),
}


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Harbour, Lighthouse and the archived Old Mill are Ann's, North Pier is Bo's, 李伟明 nobody's."""
    name = f"around_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        with connection.begin_owner() as conn:
            ids = {
                called: make.customer(conn, owner_id, name=called)
                for called, owner_id in (
                    ("Harbour Ltd", people.ann.user_id),
                    ("Lighthouse", people.ann.user_id),
                    ("Old Mill", people.ann.user_id),
                    ("North Pier", people.bo.user_id),
                    ("李伟明", 0),
                )
            }
        with begin(people.root, write=True) as conn:
            for called, persons in CONTACTS.items():
                for values in persons:
                    contacts.add(conn, actor=people.root, customer_id=ids[called], values=values)
            for called, tag in (
                ("Harbour Ltd", "VIP 客戶"),
                ("Lighthouse", "vip"),
                ("North Pier", "Vip"),
                ("Old Mill", "VIP"),
            ):
                tags.add(conn, actor=people.root, customer_id=ids[called], tag=tag)
            customer.archive(conn, actor=people.root, customer_id=ids["Old Mill"])
        yield people


def page(viewer: Viewer, words: str, **filters: str) -> Page:
    with begin(viewer) as conn:
        return customers.page(conn, viewer=viewer, today=TODAY, filters=Filters(search=words, **filters))


def found(viewer: Viewer, words: str) -> dict[str, tuple[str, str] | None]:
    """Name → by what, in the order of the list."""
    listed = page(viewer, words)
    return {row["name"]: listed.by.get(row["id"]) for row in listed.rows.to_dict("records")}


@pytest.mark.parametrize(
    ("typed", "hit"),
    [
        ("李偉", {"Harbour Ltd": ("contact", "李偉")}),
        ("李伟", {"Harbour Ltd": ("contact", "李偉")}),
        ("李", {"Harbour Ltd": ("contact", "李偉"), "Lighthouse": ("contact", "李娜")}),
        ("liwei", {"Harbour Ltd": ("contact", "李偉")}),
        ("zoe q", {"Harbour Ltd": ("contact", "Zoë Quill")}),
        ("LI.WEI@harbour.example", {"Harbour Ltd": ("contact", "李偉")}),
        ("+86 139-1234", {"Harbour Ltd": ("contact", "李偉")}),
        ("5678", {"Harbour Ltd": ("contact", "李偉")}),
        ("0086139", {"Harbour Ltd": ("contact", "李偉")}),
        ("vip", {"Harbour Ltd": ("tag", "VIP 客戶"), "Lighthouse": ("tag", "vip")}),
        ("ＶＩＰ 客", {"Harbour Ltd": ("tag", "VIP 客戶")}),
        ("harbour", {"Harbour Ltd": None}),
        ("客戶", {}),  # a tag is found by its beginning
        ("%", {}),
        ("_", {}),
        ("\\", {}),
        ("vip'; DROP TABLE customers; --", {}),
        ("李" * 10_000, {}),
    ],
)
def test_contacts_and_tags_lead_to_the_customer(
    people: make.People, typed: str, hit: dict[str, tuple[str, str] | None]
) -> None:
    assert found(people.ann, typed) == hit


def test_whole_then_beginning_then_tag(people: make.People) -> None:
    # 李伟 is whole for two contacts, the beginning of a customer's own name; the archived one is left out.
    assert list(found(people.root, "李伟")) == ["Harbour Ltd", "North Pier", "李伟明"]
    assert found(people.root, "李伟")["李伟明"] is None
    assert set(found(people.root, "VIP")) == {"Harbour Ltd", "Lighthouse", "North Pier"}


def test_each_sees_their_own(people: make.People) -> None:
    assert list(found(people.bo, "李伟")) == ["North Pier"]
    assert list(found(people.bo, "vip")) == ["North Pier"]
    assert found(people.cho, "李伟") == found(people.cho, "vip") == found(people.cho, "139") == {}
    assert list(found(people.mia, "李伟")) == ["Harbour Ltd", "North Pier", "李伟明"]


def test_masked_roles_find_by_tag_but_by_no_contact(people: make.People) -> None:
    for viewer in (people.ana, people.mark):
        for typed in ("李偉", "liwei", "zoe", "li.wei@", "+86 139 1234", "861391234"):
            assert page(viewer, typed).total == 0, typed
        assert sorted(page(viewer, "vip").by.values()) == [("tag", "VIP 客戶"), ("tag", "vip"), ("tag", "vip")]


def test_more_than_are_ranked_are_narrowed_by_the_database(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connection.begin_owner() as conn:
        ids = [make.customer(conn, people.cho.user_id, name=f"Many {i}", region="North" * (i < 2)) for i in range(4)]
    with begin(people.root, write=True) as conn:
        for customer_id in ids:
            tags.add(conn, actor=people.root, customer_id=customer_id, tag="crowd")
        contacts.add(conn, actor=people.root, customer_id=ids[0], values={"name": "Crowder"})
    monkeypatch.setattr(search, "MOST_HITS", 2)
    listed = page(people.cho, "crowd")
    assert (len(listed.rows), listed.total, listed.more) == (2, 2, True)
    narrowed = page(people.root, "crowd", region="North")
    assert (sorted(narrowed.rows["name"]), narrowed.total, narrowed.more) == (["Many 0", "Many 1"], 2, False)
    assert page(people.bo, "crowd").total == 0
