"""The list of customers narrowed by a segment: who is found, for whom, and a sentence and nobody where it cannot be."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from sqlalchemy import text, update

from db import (
    bulk_actions,
    clock,
    connection,
    customer_filters,
    customers,
    derived,
    exports,
    frozen_lists,
    held,
    saved_segments,
    saved_views,
    schema,
    segment_filter,
    segments,
    tags,
    view_params,
)
from db.bulk_actions import Action, Chosen
from db.connection import begin
from db.customer_filters import EVERYBODY, Filters
from db.embedded import Server
from db.errors import KehuError
from db.permissions import WORKER, Viewer
from db.undo import undo
from tests import conftest, make

TODAY = date(2026, 11, 20)


def by(field: str, op: str, value: Any) -> str:
    return json.dumps({"all": [{"field": field, "op": op, "value": value}]})


OSLO, RICH = by("city", "in", ["Oslo"]), by("revenue", ">=", 100)
BY_PHONE = by("phone", "not empty", None)


@dataclass(frozen=True)
class Shop:
    """Ann: a (Oslo, 150), b (Bergen, 20), z (Oslo, archived). Bo: c (Oslo). Cho: d (Oslo, 300). e (Bergen)."""

    people: make.People
    ids: dict[str, int]

    def named(self, ids: Any) -> str:
        names = {number: name for name, number in self.ids.items()}
        return "".join(sorted(names[int(i)] for i in ids))


@pytest.fixture
def shop(server: Server, template: str) -> Iterator[Shop]:
    name = f"segfilter_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        with connection.begin_owner() as conn:
            rows = {
                "a": (people.ann.user_id, "Oslo", "150.00"),
                "b": (people.ann.user_id, "Bergen", "20.00"),
                "z": (people.ann.user_id, "Oslo", "500.00"),
                "c": (people.bo.user_id, "Oslo", ""),
                "d": (people.cho.user_id, "Oslo", "300.00"),
                "e": (0, "Bergen", ""),
            }
            ids = {}
            for name, (owner, city, spent) in rows.items():
                ids[name] = make.customer(conn, owner, name=name.upper(), city=city, phone=f"+1 555 000{len(ids)}")
                if spent:
                    make.order(conn, ids[name], date(2026, 11, 1), spent)
            archived = update(schema.customers).where(schema.customers.c.id == ids["z"])
            conn.execute(archived.values(archived_at=clock.now()))
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield Shop(people, ids)


def keep(viewer: Viewer, rule: str, name: str = "S", **values: Any) -> str:
    with begin(viewer, write=True) as conn:
        return f"s{saved_segments.save(conn, actor=viewer, name=name, rule=rule, **values)[0]}"


def number(code: str) -> int:
    return int(code.removeprefix("s"))


def listed(shop: Shop, viewer: Viewer, segment: str, **asked: Any) -> str:
    filters, ordered = {}, {}
    for name, value in asked.items():
        (ordered if name in ("sort", "descending", "limit", "offset") else filters)[name] = value
    with begin(viewer) as conn:
        found = customers.page(conn, viewer=viewer, today=TODAY, filters=Filters(segment=segment, **filters), **ordered)
    assert "limit" in ordered or found.total == len(found.rows)
    return shop.named(found.rows["id"])


def refused(viewer: Viewer, segment: str, **filters: Any) -> str:
    """What every way to the list says; none gives anybody."""
    asked = Filters(segment=segment, **filters)
    said = set()
    ways: list[Any] = [
        lambda c: customers.page(c, viewer=viewer, today=TODAY, filters=asked),
        lambda c: customers.matching(c, viewer, TODAY, asked),
    ]
    if viewer.can(customers.Permission.CUSTOMERS_EXPORT):
        ways.append(lambda c: exports.check(c, viewer=viewer, kind="customers", params=_params(asked), today=TODAY))
    if viewer.can(customers.Permission.CUSTOMERS_EDIT):
        action = Action(bulk_actions.TAG, tag="x")
        many = Chosen(filters=asked)
        ways.append(lambda c: bulk_actions.preview(c, viewer=viewer, today=TODAY, chosen=many, action=action))
    for way in ways:
        with begin(viewer) as conn, pytest.raises(KehuError) as error:
            way(conn)
        said.add(error.value.message)
    [sentence] = said
    return sentence


def _params(filters: Filters) -> dict[str, Any]:
    return {"filters": json.loads(json.dumps(vars(filters)))}


def test_each_finds_their_own_customers_in_the_segment(shop: Shop) -> None:
    p = shop.people
    oslo, rich = keep(p.ann, OSLO, shared=True), keep(p.ann, RICH, "R", shared=True)
    everyone = {p.ann: "a", p.bo: "c", p.cho: "d", p.mia: "ac", p.max: "d"}
    everyone |= {p.ana: "acd", p.mark: "acd", p.root: "acd"}
    for viewer, found in everyone.items():
        assert listed(shop, viewer, oslo) == found, viewer.username
        for sort in customers.SORTS:
            assert listed(shop, viewer, oslo, sort=sort, descending=True) == found
        with begin(viewer) as conn:
            rule = by("segment", "in", [number(oslo)])
            assert segments.count(conn, viewer=viewer, rule=rule, today=TODAY) == len(found)
    assert listed(shop, p.ann, rich) == "a"
    assert listed(shop, p.root, rich) == "ad"
    assert listed(shop, p.root, "stage_prospect") == "ce"
    assert listed(shop, p.root, oslo, limit=1) == "a"


def test_it_narrows_what_other_filters_and_a_search_find(shop: Shop) -> None:
    p = shop.people
    oslo = keep(p.ann, OSLO, shared=True)
    assert listed(shop, p.root, oslo, revenue_from=200) == "d"
    assert listed(shop, p.root, oslo, owner_id=p.bo.user_id) == "c"
    assert listed(shop, p.root, oslo, search="a") == "a"
    assert listed(shop, p.root, oslo, search="b") == ""
    assert listed(shop, p.root, oslo, search="a", sort="revenue") == "a"
    with begin(p.ann, write=True) as conn:
        tags.add(conn, actor=p.ann, customer_id=shop.ids["a"], tag="VIP")
    assert listed(shop, p.ann, oslo, tags=("VIP",)) == "a"
    assert "Who is archived is in no segment" in refused(p.ann, oslo, archived=True)


def test_many_members_are_counted_and_paged(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customers, "FEW", 1)
    oslo = keep(shop.people.ann, OSLO, shared=True)
    for sort in customers.SORTS:
        assert listed(shop, shop.people.root, oslo, sort=sort) == "acd"
        assert listed(shop, shop.people.mia, oslo, sort=sort) == "ac"


def test_a_segment_that_one_may_not_see_shows_nobody(shop: Shop) -> None:
    p = shop.people
    private = keep(p.ann, OSLO)
    assert listed(shop, p.ann, private) == "a"
    assert listed(shop, p.root, private) == "acd", "administrators see every segment"
    for viewer in (p.bo, p.cho, p.mia, p.max, p.ana, p.mark):
        assert "is not shared with you, so nobody is shown" in refused(viewer, private)
    within = keep(p.ann, by("segment", "not in", [number(private)]), "Not private")
    with begin(p.root, write=True) as conn:
        conn.execute(update(schema.segments).where(schema.segments.c.id == number(within)).values(visibility="shared"))
    assert "not shared with you" in refused(p.bo, within)
    for code in ("s0", "s99999999999999999", "s1 or 1=1", "12", "everyone", "S1", "\0", "s" + "9" * 400, "'; --"):
        assert "nobody is shown" in refused(p.ann, code), code


def test_what_is_withheld_from_a_role_narrows_no_list_of_its(shop: Shop) -> None:
    p = shop.people
    by_phone = keep(p.ann, BY_PHONE, shared=True)
    assert listed(shop, p.ann, by_phone) == "ab"
    for viewer in (p.ana, p.mark):
        assert "hidden from your role" in refused(viewer, by_phone)
        within = keep(p.ann, by("segment", "in", [number(by_phone)]), f"W {viewer.username}", shared=True)
        assert "hidden from your role" in refused(viewer, within)


def test_an_archived_segment_goes_on_and_one_that_is_gone_shows_nobody(shop: Shop) -> None:
    p = shop.people
    with begin(p.ann, write=True) as conn:
        segment_id, made = saved_segments.save(conn, actor=p.ann, name="Oslo", rule=OSLO, shared=True)
        saved_segments.archive(conn, actor=p.ann, segment_id=segment_id)
    code = f"s{segment_id}"
    assert listed(shop, p.bo, code) == "c"
    with begin(p.bo) as conn:
        assert code not in segment_filter.offered(conn, viewer=p.bo)
        [one] = segment_filter.named(conn, viewer=p.bo, codes=(code, "s77", "x")).values()
    assert (one.name, one.archived) == ("Oslo", True)
    with begin(p.ann, write=True) as conn:
        undo(conn, actor=p.ann, change_set_id=made + 1, source="screen")
        undo(conn, actor=p.ann, change_set_id=made, source="screen")
    assert "not there any more" in refused(p.ann, code)


def test_a_rule_that_cannot_be_read_shows_nobody(shop: Shop) -> None:
    p = shop.people
    code = keep(p.ann, OSLO, "Oslo")
    with connection.begin_owner() as conn:
        gone = text("UPDATE segments SET rule = CAST(:rule AS jsonb) WHERE id = :id")
        conn.execute(gone, {"rule": by("custom.gone", "in", ["x"]), "id": number(code)})
    assert "The rule of the segment “Oslo” cannot be read, so nobody is shown." in refused(p.ann, code)


def test_a_frozen_segment_keeps_whom_it_listed(shop: Shop) -> None:
    p = shop.people
    oslo = keep(p.ann, OSLO, "Oslo", shared=True)
    with begin(p.root) as conn:
        chosen = frozen_lists.chosen(conn, viewer=p.root, today=TODAY, filters=Filters(segment=oslo))
    assert (shop.named(chosen.ids), chosen.personal) == ("acd", False)
    with begin(p.root, write=True) as conn:
        frozen, _set, _n = saved_segments.freeze(
            conn, actor=p.root, name="List", ids=chosen.ids, personal=chosen.personal, shared=True
        )
        conn.execute(update(schema.customers).where(schema.customers.c.id == shop.ids["c"]).values(city="Bergen"))
    assert (listed(shop, p.root, f"s{frozen}"), listed(shop, p.root, oslo)) == ("acd", "ad")
    assert listed(shop, p.mia, f"s{frozen}") == "ac"
    assert listed(shop, p.ana, f"s{frozen}") == "acd"


def test_a_list_frozen_by_a_personal_segment_is_told_to_no_masked_role(shop: Shop) -> None:
    p = shop.people
    by_phone = keep(p.ann, BY_PHONE, "Phone")
    named = keep(p.ann, by("segment", "in", [number(by_phone)]), "Named")
    for code in (by_phone, named):
        with begin(p.ann) as conn:
            asked = Filters(segment=code)
            assert frozen_lists.chosen(conn, viewer=p.ann, today=TODAY, filters=asked).personal
            ticked = frozen_lists.chosen(conn, viewer=p.ann, today=TODAY, ids=(shop.ids["a"],), filters=asked)
            assert ticked.personal


def test_bulk_actions_and_exports_keep_to_it(shop: Shop) -> None:
    p = shop.people
    oslo = keep(p.mia, OSLO, shared=True)
    action, many = Action(bulk_actions.TAG, tag="Found"), Chosen(filters=Filters(segment=oslo))
    with begin(p.mia) as conn:
        found = bulk_actions.preview(conn, viewer=p.mia, today=TODAY, chosen=many, action=action)
        rows = exports.rows(conn, viewer=p.mia, kind="customers", params=_params(Filters(segment=oslo)), today=TODAY)
        assert shop.named(row["id"] for row in rows) == "ac"
    assert (found.total, found.names) == (2, ("A", "C"))
    with begin(p.mia, write=True) as conn:
        done = bulk_actions.run(conn, actor=p.mia, today=TODAY, chosen=many, action=action, expected=2)
    assert done.changed == 2
    assert listed(shop, p.root, "", tags=("Found",)) == "ac"


def test_a_shared_view_with_a_private_segment_shows_others_nobody(shop: Shop) -> None:
    p = shop.people
    private = keep(p.ann, OSLO)
    params = view_params.params_of(Filters(segment=private, region="x"), "name", False)
    assert params == {"segment": private, "region": "x"}
    with begin(p.ann, write=True) as conn:
        view_id, _set = saved_views.add(conn, actor=p.ann, name="V", params={"segment": private}, visibility="shared")
    with begin(p.bo) as conn:
        view = saved_views.get(conn, viewer=p.bo, view_id=view_id)
    assert view.params == {"segment": private}
    assert "nobody is shown" in refused(p.bo, view.params["segment"])


def test_what_is_offered_is_what_one_may_see(shop: Shop) -> None:
    p = shop.people
    keep(p.ann, OSLO, "Ann's")
    shared = keep(p.bo, OSLO, "A shared", shared=True)
    mine = keep(p.bo, OSLO, "Zoe's")
    with begin(p.bo) as conn:
        offered = segment_filter.offered(conn, viewer=p.bo)
    assert [code for code in offered if code.startswith("s") and code[1:].isdigit()] == [shared, mine]
    assert "stage_prospect" in offered
    with begin(p.cho) as conn:
        offered = segment_filter.offered(conn, viewer=p.cho)
    assert [one.name for code, one in offered.items() if code[1:].isdigit()] == ["A shared"]


def test_a_segment_that_was_not_looked_up_narrows_nothing_silently() -> None:
    with pytest.raises(RuntimeError):
        customer_filters.of_customer(Filters(segment="s1"), TODAY)
    assert Filters(segment="s1").personal
    assert not EVERYBODY.personal
    assert Chosen(filters=Filters(segment="s1")).personal


def test_memory_and_the_database_find_the_same(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    p = shop.people
    rules = {"R": RICH, "O": OSLO, "P": BY_PHONE}
    codes = [keep(p.ann, rule, name, shared=True) for name, rule in rules.items()]
    assert held.load()
    asked = []
    told = held.ask

    def noted(*given: Any, **values: Any) -> Any:
        asked.append(told(*given, **values))
        return asked[-1]

    monkeypatch.setattr(held, "ask", noted)
    try:
        for viewer in p.everyone:
            for code in codes[:2] if viewer.masked else codes:
                remembered = listed(shop, viewer, code, sort="revenue", descending=True)
                assert asked[-1] is not None, "it was answered from memory"
                monkeypatch.setattr(segment_filter, "MOST_BY_NUMBER", -1)
                assert listed(shop, viewer, code, sort="revenue", descending=True) == remembered
                monkeypatch.undo()
                monkeypatch.setattr(held, "ask", noted)
        assert listed(shop, p.ann, keep(p.ann, by("city", "in", ["Nowhere"]), "N")) == ""
    finally:
        held.drop()
