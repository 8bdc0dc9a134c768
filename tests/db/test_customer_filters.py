"""What the list's filters find, each by hand and together, for whom, and that exports honour them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from db import clock, connection, customers, derived, exports, schema, tags
from db.connection import begin
from db.customer_filters import Filters
from db.embedded import Server
from db.errors import Invalid
from db.permissions import WORKER, Viewer
from tests import conftest, make

TODAY = date(2026, 11, 20)
ZONE = "Asia/Shanghai"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's A, B, C and the archived Z, Bo's D, Cho's E, nobody's F."""
    name = f"filters_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        now = {"created_at": clock.now(), "updated_at": clock.now()}
        with connection.begin_owner() as conn:
            conn.execute(insert(schema.settings).values(key="time_zone", value=ZONE, **now))
            ann = people.ann.user_id
            rows: list[tuple[str, int, dict[str, Any]]] = [
                ("A", ann, {"region": "East", "source": "web"}),
                ("B", ann, {"region": "East", "source": "store"}),
                ("C", ann, {"region": "West", "source": "web"}),
                ("D", people.bo.user_id, {"region": "East", "source": "web"}),
                ("E", people.cho.user_id, {"region": "East"}),
                ("F", 0, {"source": "store"}),
                ("Z", ann, {"region": "East", "archived_at": clock.now()}),
            ]
            ids = {n: make.customer(conn, owner, name=n, **more) for n, owner, more in rows}
            for who, words in {"A": ["VIP", "北方"], "B": ["vip"], "D": ["VIP"], "E": ["other"], "Z": ["VIP"]}.items():
                conn.execute(insert(schema.customer_tags), [tags.row(ids[who], w) | now for w in words])
            for who, ago, amount in (("A", 10, "100"), ("B", 90, "250"), ("B", 200, "50"), ("D", 91, "99.50")):
                make.order(conn, ids[who], TODAY - timedelta(days=ago), amount)
            for who, ago in (("A", 30), ("B", 31), ("E", 0)):
                day = TODAY - timedelta(days=ago)
                at = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
                call = {"kind": "call", "author_id": ann, "happened_at": at, "happened_on": day, "body": "x"}
                conn.execute(insert(schema.interactions).values(customer_id=ids[who], **call, **now))
            # A quarter past midnight in Shanghai, 30 days ago; and a quarter before.
            for who, hour, minute in (("C", 16, 15), ("D", 15, 45)):
                at = datetime(2026, 10, 20, hour, minute, tzinfo=UTC)
                note = {"author_id": ann, "body": "x", "created_at": at, "updated_at": at}
                conn.execute(insert(schema.notes).values(customer_id=ids[who], **note))
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield people


def found(viewer: Viewer, **filters: Any) -> str:
    """Letters of the customers in the list; its total and the export say the same."""
    narrowed = Filters(**filters)
    with begin(viewer) as conn:
        page = customers.page(conn, viewer=viewer, today=TODAY, filters=narrowed)
        names = page.rows["name"].tolist()
        assert page.total == len(names)
        for sort in customers.SORTS:
            sorted_by = customers.page(conn, viewer=viewer, today=TODAY, filters=narrowed, sort=sort, descending=True)
            assert sorted(sorted_by.rows["name"]) == sorted(names), sort
        if not viewer.masked:
            # As the file's parameters come back from the database.
            params = {"filters": {k: list(v) if isinstance(v, tuple) else v for k, v in vars(narrowed).items()}}
            rows = exports.rows(conn, viewer=viewer, kind="customers", params=params, today=TODAY)
            assert [row["name"] for row in rows] == names
    return "".join(names)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, "ABCDEF"),
        ({"region": "East"}, "ABDE"),
        ({"source": "web"}, "ACD"),
        ({"source": "web", "region": "East"}, "AD"),
        ({"source": "nowhere"}, ""),
        ({"owner_id": 0}, "F"),
        ({"team_id": 1}, "ABCD"),
        ({"team_id": 2}, "E"),
        ({"team_id": 77}, ""),
        ({"tags": ("vip",)}, "ABD"),
        ({"tags": ("ViP", "北方")}, "A"),
        ({"tags": ("vip", "other")}, ""),
        ({"tags": ("nothing",)}, ""),
        ({"revenue_from": 100}, "AB"),
        ({"revenue_from": 101}, "B"),
        ({"revenue_to": 99}, "CEF"),
        ({"revenue_to": 100}, "ACDEF"),
        ({"revenue_from": 0, "revenue_to": 0}, "CEF"),
        ({"revenue_from": 99, "revenue_to": 299}, "AD"),
        ({"revenue_from": 300, "revenue_to": 99}, ""),
        ({"revenue_from": 10**12}, ""),
        ({"revenue_to": 10**12}, "ABCDEF"),
        ({"ordered": "within", "ordered_days": 90}, "AB"),
        ({"ordered": "within", "ordered_days": 89}, "A"),
        ({"ordered": "within", "ordered_days": 0}, ""),
        ({"ordered": "before", "ordered_days": 90}, "CDEF"),
        ({"ordered": "never"}, "CEF"),
        ({"contacted": "within", "contacted_days": 30}, "ACE"),
        ({"contacted": "within", "contacted_days": 31}, "ABCDE"),
        ({"contacted": "within", "contacted_days": 0}, "E"),
        ({"contacted": "before", "contacted_days": 30}, "BDF"),
        ({"contacted": "never"}, "F"),
        ({"archived": True}, "Z"),
        ({"archived": True, "tags": ("vip",), "region": "East"}, "Z"),
        ({"archived": True, "search": "z"}, "Z"),
        ({"archived": True, "search": "a"}, ""),
        ({"search": "a", "tags": ("vip",)}, "A"),
        ({"search": "c", "tags": ("vip",)}, ""),
        ({"stage": "prospect", "contacted": "never"}, "F"),
        (
            {
                "region": "East",
                "source": "web",
                "team_id": 1,
                "tags": ("vip",),
                "revenue_to": 100,
                "ordered": "before",
                "ordered_days": 90,
                "contacted": "before",
                "contacted_days": 30,
            },
            "D",
        ),
    ],
    ids=str,
)
def test_each_filter_finds_what_was_counted_by_hand(people: make.People, filters: dict[str, Any], names: str) -> None:
    assert found(people.root, **filters) == names
    # A salesperson finds the own ones of these, a manager those of the team and of nobody.
    assert found(people.ann, **filters) == "".join(n for n in names if n in "ABCZ")
    assert found(people.mia, **filters) == "".join(n for n in names if n in "ABCDFZ")


def test_masked_roles_find_as_many_and_no_archived_one_by_its_name(people: make.People) -> None:
    for filters, n in (({"tags": ("vip",)}, 3), ({"contacted": "never"}, 1), ({"archived": True}, 1)):
        assert len(found(people.ana, **filters).split("#")) - 1 == n
    assert found(people.ana, archived=True, search="z") == ""


@pytest.mark.parametrize(
    "filters",
    [
        {"stage": "x"},
        {"ordered": "x"},
        {"contacted": "'; drop table customers; --"},
        {"ordered": "within", "ordered_days": -1},
        {"contacted": "before", "contacted_days": 3_651},
        {"revenue_from": 10**30},
        {"tags": tuple(f"t{n}" for n in range(11))},
    ],
    ids=str,
)
def test_what_no_list_offers_is_refused_in_words(people: make.People, filters: dict[str, Any]) -> None:
    with pytest.raises(Invalid), begin(people.root) as conn:
        customers.page(conn, viewer=people.root, today=TODAY, filters=Filters(**filters))


def test_what_there_is_to_choose_from(people: make.People) -> None:
    with begin(people.root) as conn:
        assert customers.sources(conn, viewer=people.root) == ["store", "web"]
        assert customers.teams(conn, viewer=people.root) == {1: "Team 1", 2: "Team 2"}
    with begin(people.cho) as conn:
        assert customers.sources(conn, viewer=people.cho) == []
        assert customers.teams(conn, viewer=people.cho) == {}
