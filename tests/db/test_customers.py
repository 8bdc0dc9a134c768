"""The list of customers: what a search finds and in which order, filters, sorts, pages, exports, and for whom."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import chain
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from db import connection, customers, derived, schema
from db import search as finding
from db.connection import begin
from db.customer_filters import Filters
from db.customers import Page
from db.embedded import Server
from db.errors import Invalid, Refused
from db.metrics import Stage
from db.permissions import WORKER, Viewer
from tests import conftest, make

TODAY = date(2026, 11, 20)
# Days since the first and the last order, and how many: each stage and its edges.
ORDERS: dict[str, tuple[int, ...]] = {
    "张三": (30,),
    "李四": (31, 30),
    "Zoë Müller": (31,),
    "张三丰": (90, 95),
    "Jean-Luc O'Brien": (91,),
    "欧阳锋": (0,),
}


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """One database for the module, with eight customers that are listed and one that is archived."""
    name = f"customers_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        ann, bo, cho = people.ann.user_id, people.bo.user_id, people.cho.user_id
        with connection.begin_owner() as conn:
            rows: list[tuple[int, dict[str, Any]]] = [
                (
                    ann,
                    {"name": "张三", "company": "一家公司", "phone": "+86 138 0013 8000", "email": "zhang@example.com"},
                ),
                (ann, {"name": "李四", "phone": "+1 202-555-0143", "email": "li.si@example.org", "region": "East"}),
                (
                    ann,
                    {"name": "Zoë Müller", "company": "50% Söhne_x\\y", "region": "East", "phone": "+44 20 7946 0958"},
                ),
                (bo, {"name": "张三丰", "company": "武当", "region": "North"}),
                (bo, {"name": "Jean-Luc O'Brien", "email": "jl@example.com", "region": "East"}),
                (cho, {"name": "欧阳锋", "region": "West"}),
                (0, {"name": "Wang Xiaoming", "company": "Muller Import and Export of Everything under the Sun Ltd"}),
                (0, {"name": "x" * 60 + "END", "region": "North"}),
                (ann, {"name": "张 archived", "archived_at": conn.scalar(text("SELECT now()"))}),
            ]
            ids = {row["name"]: make.customer(conn, owner_id, **row) for owner_id, row in rows}
            key = {"kind": "household", "value": "004711", "customer_id": ids["李四"]}
            conn.execute(insert(schema.customer_keys).values(**key))
            for who, days in ORDERS.items():
                for n, ago in enumerate(days):
                    make.order(conn, ids[who], TODAY - timedelta(days=ago), amount=f"{10 + n}.50")
            make.order(conn, ids["张三"], TODAY - timedelta(days=30), amount="7", currency="EUR")
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield people


def listed(viewer: Viewer, search: str = "", **options: Any) -> Page:
    filters = Filters(search=search, **{k: options.pop(k) for k in ("owner_id", "region", "stage") if k in options})
    with begin(viewer) as conn:
        return customers.page(conn, viewer=viewer, today=TODAY, filters=filters, **options)


def names(viewer: Viewer, search: str = "", **options: Any) -> list[str]:
    return listed(viewer, search, **options).rows["name"].tolist()


# --- search ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "found"),
    [
        # Chinese, one character and more, at the beginning and inside
        ("张", ["张三", "张三丰"]),
        ("张三", ["张三", "张三丰"]),
        ("三", ["张三", "张三丰"]),
        ("丰", ["张三丰"]),
        ("公司", ["张三"]),
        ("武当", ["张三丰"]),
        ("张 archived", []),
        # pinyin and initials
        ("zhangsan", ["张三", "张三丰"]),
        ("ZhangSanFeng", ["张三丰"]),
        ("zhang san", ["张三", "张三丰"]),
        ("ouyang", ["欧阳锋"]),
        ("oyf", ["欧阳锋"]),
        ("zs", ["张三", "张三丰"]),
        ("zm", ["Zoë Müller"]),
        # Latin in any case, with and without accents, several words in any order
        ("MULLER", ["Zoë Müller", "Wang Xiaoming"]),
        ("zoe müller", ["Zoë Müller"]),
        ("müller zoe", ["Zoë Müller"]),
        ("xiaoming everything", ["Wang Xiaoming"]),
        ("xiaoming nothing", []),
        ("o'brien", ["Jean-Luc O'Brien"]),
        ("张 公司", ["张三"]),
        # a word that goes on beyond what is looked up by trigrams
        ("x" * 30 + "end", ["x" * 60 + "END"]),
        ("x" * 30 + "dne", []),
        # phone: the beginning, the end, the middle, with any punctuation, with what is dialled before it
        ("+86 138", ["张三"]),
        ("8000", ["张三"]),
        ("138-0013-8000", ["张三"]),
        ("(138) 0013.8000", ["张三"]),
        ("0013 80", ["张三"]),
        ("００８６ １３８", ["张三"]),
        ("0086138", ["张三"]),
        ("020 7946 0958", ["Zoë Müller"]),
        ("(202) 555-0143", ["李四"]),
        # e-mail
        ("zhang@example.com", ["张三"]),
        ("LI.SI@", ["李四"]),
        ("@example.com", ["张三", "Jean-Luc O'Brien"]),
        # household; #number is the customer's own
        ("004711", ["李四"]),
        ("#004711", ["李四"]),
        # what means something to LIKE, to SQL or to a pattern is a character
        ("50%", ["Zoë Müller"]),
        ("50% s", ["Zoë Müller"]),
        ("e_x\\y", ["Zoë Müller"]),
        ("o'b", ["Jean-Luc O'Brien"]),
        ("''", []),
        (";", []),
        ("' OR 1=1 --", []),
        ("%%%", []),
        ("[a-z]", []),
        ("\x00\u200b", None),
        ("   ", None),
        ("99999999999999999999999999", []),
        ("\U0010ffff", []),
    ],
)
def test_what_a_search_finds(people: make.People, search: str, found: list[str] | None) -> None:
    page = listed(people.root, search)
    assert sorted(page.rows["name"]) == sorted(names(people.root) if found is None else found)
    assert page.total == len(page.rows)
    assert not page.more


def test_a_customers_own_number_is_found(people: make.People) -> None:
    row = listed(people.root, "oyf").rows.iloc[0]
    assert "欧阳锋" in names(people.root, f"#{row['id']}")


def test_exact_comes_before_beginning_before_inside(people: make.People) -> None:
    assert names(people.root, "张三") == ["张三", "张三丰"]
    assert names(people.root, "zhangsanfeng")[0] == "张三丰"
    assert names(people.root, "muller") == ["Zoë Müller", "Wang Xiaoming"]
    # Any other order is kept when it is asked for.
    assert names(people.root, "张三", sort="name", descending=True) == ["张三丰", "张三"]
    assert names(people.root, "张三", sort="newest", descending=True) == ["张三丰", "张三"]


@pytest.mark.parametrize("hostile", ["x" * 9_999, "张" * 9_999, "%_" * 4_999, " a" * 4_999, "1" * 9_999, "(" * 9_999])
def test_hostile_lengths_are_survived(people: make.People, hostile: str) -> None:
    assert len(names(people.root, hostile)) <= 8


def test_a_search_says_when_there_are_more(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_HITS", 2)
    page = listed(people.root, "example")
    assert (len(page.rows), page.total, page.more) == (2, 2, True)
    assert not listed(people.root, "张三").more
    with begin(people.root) as conn, pytest.raises(Invalid, match="more than 2 hits"):
        customers.export(conn, viewer=people.root, today=TODAY, filters=Filters(search="example"))


# --- list ------------------------------------------------------------------------------------------------------------


def test_rows_carry_their_figures_and_archived_ones_are_absent(people: make.People) -> None:
    page = listed(people.root)
    assert list(page.rows.columns) == [
        *("id", "name", "company", "phone", "email", "region", "city"),
        *("owner", "stage", "orders", "revenue", "last_order_on"),
    ]
    assert (page.total, page.more) == (8, False)
    rows = {row["name"]: row for row in page.rows.to_dict("records")}
    assert "张 archived" not in rows
    one = rows["张三"]
    assert (one["orders"], str(one["revenue"]), one["last_order_on"]) == (2, "10.50", date(2026, 10, 21))
    assert (one["owner"], one["phone"]) == ("Ann", "+86 138 0013 8000")
    empty = rows["Wang Xiaoming"]
    assert (empty["orders"], empty["revenue"], empty["owner"]) == (0, 0, "")
    assert {n: row["stage"] for n, row in rows.items()} == {
        "张三": "repeat",
        "李四": "repeat",
        "Zoë Müller": "at_risk",
        "张三丰": "at_risk",
        "Jean-Luc O'Brien": "lost",
        "欧阳锋": "first",
        "Wang Xiaoming": "prospect",
        "x" * 60 + "END": "prospect",
    }


def test_sorts_and_their_empty_values_at_the_end(people: make.People) -> None:
    by_name = ["Jean-Luc O'Brien", "李四", "欧阳锋", "Wang Xiaoming", "x" * 60 + "END", "张三", "张三丰", "Zoë Müller"]
    assert names(people.root) == by_name
    assert names(people.root, descending=True) == by_name[::-1]
    assert names(people.root, sort="revenue", descending=True)[:2] == ["李四", "张三丰"]
    assert names(people.root, sort="orders", descending=True)[:3] == ["张三", "李四", "张三丰"]
    for descending, first in ((True, "欧阳锋"), (False, "Jean-Luc O'Brien")):
        by_day = names(people.root, sort="last_order", descending=descending)
        assert by_day[0] == first
        assert set(by_day[-2:]) == {"Wang Xiaoming", "x" * 60 + "END"}
    assert names(people.root, sort="newest", descending=True)[0] == "x" * 60 + "END"
    with pytest.raises(Invalid, match="cannot be sorted by"):
        listed(people.root, sort="phone; DROP TABLE customers")


def test_pages_cover_every_row_once(people: make.People) -> None:
    for sort in customers.SORTS:
        for search in ("", "a"):
            whole = names(people.root, search, sort=sort)
            pages = [names(people.root, search, sort=sort, offset=n, limit=3) for n in range(0, 9, 3)]
            assert list(chain(*pages)) == whole, (sort, search)
            assert listed(people.root, search, sort=sort, offset=100).total == len(whole)
    assert names(people.root, offset=-5, limit=0) == names(people.root)[:1]


def test_filters_narrow_lists_and_searches(people: make.People) -> None:
    assert set(names(people.root, region="East")) == {"李四", "Zoë Müller", "Jean-Luc O'Brien"}
    assert set(names(people.root, owner_id=people.bo.user_id)) == {"张三丰", "Jean-Luc O'Brien"}
    assert set(names(people.root, owner_id=0)) == {"Wang Xiaoming", "x" * 60 + "END"}
    assert names(people.root, region="East", owner_id=people.bo.user_id, stage="lost") == ["Jean-Luc O'Brien"]
    assert names(people.root, "muller", region="East") == ["Zoë Müller"]
    assert listed(people.root, "muller", region="East").total == 1
    assert names(people.root, region="' OR true --") == []
    for stage in Stage:
        found = names(people.root, stage=stage.value)
        assert listed(people.root, stage=stage.value).total == len(found)
        assert bool(found) == (stage is not Stage.LOYAL)
    with pytest.raises(Invalid, match="no stage"):
        listed(people.root, stage="wizard")


# --- whose -----------------------------------------------------------------------------------------------------------


def test_everybody_sees_their_own(people: make.People) -> None:
    hers = {"张三", "李四", "Zoë Müller"}
    team = hers | {"张三丰", "Jean-Luc O'Brien", "Wang Xiaoming", "x" * 60 + "END"}
    assert set(names(people.ann)) == hers
    assert set(names(people.mia)) == team
    assert set(names(people.max)) == {"欧阳锋", "Wang Xiaoming", "x" * 60 + "END"}
    assert set(names(people.root)) == team | {"欧阳锋"}
    for viewer, found in (
        (people.ann, ["张三"]),
        (people.bo, ["张三丰"]),
        (people.mia, ["张三", "张三丰"]),
        (people.cho, []),
    ):
        for search in ("张三", "三", "zhangsan", "zs"):
            assert names(viewer, search) == found, viewer.username
    masked = listed(people.ana).rows
    assert masked["name"].tolist() == [f"#{i}" for i in masked["id"]]
    assert set(masked["phone"]) | set(masked["email"]) | set(masked["company"]) == {""}
    assert set(masked["region"]) == {"", "East", "North", "West"}
    assert sorted(masked["orders"]) == sorted(listed(people.root).rows["orders"])


def test_regions_and_owners_are_those_one_sees(people: make.People) -> None:
    regions, owners = {}, {}
    for viewer in people.everyone:
        with begin(viewer) as conn:
            regions[viewer.username] = customers.regions(conn, viewer=viewer)
            owners[viewer.username] = customers.owners(conn, viewer=viewer)
    assert regions["ann"] == ["East"]
    assert regions["mia"] == ["East", "North"]
    assert regions["root"] == regions["ana"] == ["East", "North", "West"]
    ids = {name: getattr(people, name).user_id for name in ("ann", "bo", "cho", "mia", "max")}
    assert owners["ann"] == {ids["ann"]: "Ann"}
    assert owners["mia"] == {0: "", ids["ann"]: "Ann", ids["bo"]: "Bo", ids["mia"]: "Mia"}
    assert owners["root"].keys() == {0, *ids.values()}


def test_an_export_is_the_list(people: make.People) -> None:
    for viewer in (people.ann, people.mia, people.ana, people.root):
        for filters in (Filters(), Filters(region="East"), Filters(search="example")):
            with begin(viewer) as conn:
                page = customers.page(conn, viewer=viewer, today=TODAY, filters=filters)
                rows = list(customers.export(conn, viewer=viewer, today=TODAY, filters=filters))
                # Nothing of how it was read stays with the connection.
                assert "yield_per" not in conn.get_execution_options()
            key = "id"
            for row in rows:
                assert (row.pop("custom"), row.pop("custom_personal"), row.pop("source")) == ({}, {}, "")
                assert row.pop("created_at")
            assert sorted(rows, key=lambda r: r[key]) == sorted(page.rows.to_dict("records"), key=lambda r: r[key])
            if not filters.search:
                assert [row["id"] for row in rows] == page.rows["id"].tolist()
    with begin(people.mark) as conn, pytest.raises(Refused):
        customers.export(conn, viewer=people.mark, today=TODAY, filters=Filters())
    with begin(people.ann) as conn, pytest.raises(Invalid, match="no stage"):
        customers.export(conn, viewer=people.ann, today=TODAY, filters=Filters(stage="x"))


def test_too_many_rows_are_not_cut_silently(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customers, "MOST_EXPORTED", 3)
    with begin(people.root) as conn, pytest.raises(Invalid, match="8 rows are more"):
        customers.export(conn, viewer=people.root, today=TODAY, filters=Filters())


def test_a_page_takes_few_statements(people: make.People) -> None:
    seen: list[str] = []
    event.listen(connection.engine(), "before_cursor_execute", lambda *a: seen.append(a[2]))
    for options, most in (
        ({}, 3),
        ({"region": "East"}, 3),
        ({"stage": "lost"}, 2),
        ({"search": "张三"}, 10),
        ({"search": "nothing"}, 9),
    ):
        with begin(people.ann) as conn:
            seen.clear()
            customers.page(conn, viewer=people.ann, today=TODAY, filters=Filters(**options))
            assert len(seen) <= most, seen
