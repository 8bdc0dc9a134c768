"""Exports: for the asking user's browser alone, for ten minutes, under their rights; cells a spreadsheet may open."""

from __future__ import annotations

import csv
import io
import logging
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, select, update
from starlette.testclient import TestClient

from api.exports import cell
from db import connection, custom_fields, customer, exports, offers, schema, sessions, tags
from db.connection import begin
from db.errors import Invalid, NotFound, Refused
from db.permissions import GATE, Viewer
from tests import make

START = datetime.fromisoformat("2026-11-20T15:00:00+00:00")


def cookie(viewer: Viewer) -> dict[str, str]:
    with begin(GATE, write=True) as conn:
        made = sessions.redeem(conn, ticket=sessions.start(conn, user_id=viewer.user_id).ticket)
    assert made
    return {"Cookie": f"kehu_session={made.token}"}


def offer(viewer: Viewer, kind: str = "customers", **params: Any) -> str:
    with begin(GATE, write=True) as conn:
        return "/exports/" + offers.make(conn, actor=viewer, kind=kind, params=params)


def rows(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf"), "Excel wants the mark"
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


@pytest.fixture
def known(people: make.People) -> make.People:
    with connection.begin_owner() as conn:
        make.customer(conn, people.ann.user_id, name="王小明", phone="+86 138 0013 8000", company="=1+1")
        make.customer(conn, people.bo.user_id, name="Bo's customer", region="North")
        make.customer(conn, name="Nobody's customer")
    return people


def test_each_gets_what_their_rights_hold(known: make.People, client: TestClient) -> None:
    seen = {}
    for viewer in (known.ann, known.mia, known.root, known.ana):
        answer = client.get(offer(viewer), headers=cookie(viewer))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="kehu-customers-2026-11-20.csv"'
        seen[viewer.username] = rows(answer.content)
    assert [row["Name"] for row in seen["ann"]] == ["王小明"]
    assert {row["Name"] for row in seen["mia"]} == {"王小明", "Bo's customer", "Nobody's customer"}
    assert len(seen["root"]) == len(seen["ana"]) == 3
    assert all(row["Name"].startswith("#") and row["Phone"] == "" for row in seen["ana"])
    assert seen["ann"][0]["Company"] == "'=1+1"
    assert seen["ann"][0]["Phone"] == "+86 138 0013 8000"


def test_custom_fields_are_columns_and_personal_ones_are_withheld(known: make.People, client: TestClient) -> None:
    with begin(known.root, write=True) as conn:
        for key, values in {
            "likes": {"type": "choices", "choices": ["tea", "=1+1"], "name": "=Likes"},
            "vip": {"type": "flag"},
            "idcard": {"type": "text", "personal": True},
            "gone": {"type": "text"},
        }.items():
            last, _set = custom_fields.add(conn, actor=known.root, values={"key": key, "name": key.title()} | values)
        given = {"name": "李四", "custom.likes": ["=1+1", "tea"], "custom.vip": False, "custom.idcard": "=110105"}
        customer.add(conn, actor=known.root, values=given)
        custom_fields.archive(conn, actor=known.root, field_id=last)
    for kind, params in (("customers", {}), ("segment", {"rule": '{"all": []}'})):
        found = rows(client.get(offer(known.root, kind, **params), headers=cookie(known.root)).content)
        [mine] = [row for row in found if row["Name"] == "李四"]
        assert [mine[name] for name in ("'=Likes", "Vip", "Idcard")] == ["tea; =1+1", "no", "'=110105"]
        assert {row["Vip"] for row in found} == {"", "no"}
        assert "Gone" not in mine
        answer = client.get(offer(known.ana, kind, **params), headers=cookie(known.ana))
        masked = rows(answer.content)
        assert "tea; =1+1" in {row["'=Likes"] for row in masked}
        assert "Idcard" not in masked[0]
        assert b"110105" not in answer.content


def test_the_columns_of_the_screen_are_those_of_the_file(known: make.People, client: TestClient) -> None:
    with begin(known.ann, write=True) as conn:
        mine = conn.scalar(select(schema.customers.c.id))
        tags.add(conn, actor=known.ann, customer_id=mine, tag="VIP")
        tags.add(conn, actor=known.ann, customer_id=mine, tag="Big")
    chosen = ["tags", "created_at", "phone", "custom.gone", "source"]
    for viewer in (known.ann, known.mia, known.ana):
        found = rows(client.get(offer(viewer, columns=chosen), headers=cookie(viewer)).content)
        assert list(found[0]) == ["Number", "Name", "Tags", "Added on", "Phone", "Source"]
        [tagged] = [row for row in found if row["Number"] == str(mine)]
        assert (tagged["Tags"], tagged["Phone"] == "") == ("Big; VIP", viewer.masked)
    assert list(rows(client.get(offer(known.ann, columns=[]), headers=cookie(known.ann)).content)[0]) == [
        "Number",
        "Name",
    ]
    for hostile in ("tags", [1], ["password_hash"], {"a": 1}, ["tags"] * 31):
        answer = client.get(offer(known.ann, columns=hostile), headers=cookie(known.ann))
        assert answer.status_code == 403
        assert "column" in answer.text


def test_filters_of_the_screen_hold(known: make.People, client: TestClient) -> None:
    address = offer(known.mia, filters={"region": "North"})
    assert [row["Name"] for row in rows(client.get(address, headers=cookie(known.mia)).content)] == ["Bo's customer"]


def test_only_the_asker_and_only_with_a_session(known: make.People, client: TestClient) -> None:
    address = offer(known.ann)
    assert client.get(address).status_code == 401
    assert client.get(address, headers={"Cookie": "kehu_session=made-up"}).status_code == 401
    for other in (known.bo, known.mia, known.root):
        assert client.get(address, headers=cookie(other)).status_code == 404
    assert client.get("/exports/made-up", headers=cookie(known.ann)).status_code == 404
    assert client.get(address, headers=cookie(known.ann)).status_code == 200


def test_it_expires(known: make.People, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    address, headers = offer(known.ann), cookie(known.ann)
    monkeypatch.setenv("KEHU_NOW", (START + offers.LIFE).isoformat())
    assert client.get(address, headers=headers).status_code == 404
    monkeypatch.setenv("KEHU_NOW", (START + offers.LIFE - timedelta(seconds=1)).isoformat())
    assert client.get(address, headers=headers).status_code == 200


def test_rights_count_when_it_is_fetched(known: make.People, client: TestClient, owner: Connection) -> None:
    address, headers = offer(known.ann), cookie(known.ann)
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "ann").values(role="marketer"))
    answer = client.get(address, headers=headers)
    assert answer.status_code == 403
    assert "王小明" not in answer.text
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "ann").values(active=False))
    assert client.get(address, headers=headers).status_code == 401


def test_it_is_logged_without_values(
    known: make.People, client: TestClient, owner: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="kehu.exports")
    address = offer(known.mia)
    assert address.removeprefix("/exports/") not in str(owner.execute(select(schema.exports)).all())
    client.get(address, headers=cookie(known.mia))
    row = owner.execute(select(schema.exports)).mappings().one()
    assert (row["user_id"], row["kind"], row["rows"], row["downloaded_at"]) == (
        known.mia.user_id,
        "customers",
        3,
        START,
    )
    [record] = [r for r in caplog.records if r.name == "kehu.exports"]
    assert record.__dict__["rows"] == 3
    assert "王小明" not in str(record.__dict__)


def test_nothing_stays_open(known: make.People, client: TestClient) -> None:
    for address, headers in ((offer(known.ann), cookie(known.ann)), ("/exports/made-up", cookie(known.ann))):
        client.get(address, headers=headers)
        with client.stream("GET", address, headers=headers):
            pass
    assert connection.engine().pool.checkedout() == 0  # type: ignore[attr-defined]


def test_changes(known: make.People, client: TestClient) -> None:
    answer = client.get(offer(known.root, "changes"), headers=cookie(known.root))
    assert answer.status_code == 200
    assert rows(answer.content) == []


def test_who_may_offer_what(known: make.People) -> None:
    with begin(GATE, write=True) as conn:
        for viewer in known.everyone:
            for kind, found in exports.KINDS.items():
                if not viewer.can(found.permission):
                    with pytest.raises(Refused):
                        offers.make(conn, actor=viewer, kind=kind, params={})
        with pytest.raises(NotFound):
            offers.make(conn, actor=known.root, kind="passwords", params={})


def test_unknown_filters_are_refused(known: make.People) -> None:
    for params in ({"filters": {"sql": "1"}}, {"filters": "x"}):
        with begin(known.root) as conn, pytest.raises(Invalid):
            exports.check(conn, viewer=known.root, kind="customers", params=params, today=date(2026, 11, 20))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("=1+1", "'=1+1"),
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1+1", "'＝1+1"),
        ("-12.50", "-12.50"),
        ("+8613800138000", "+8613800138000"),
        ("+86 138 0013 8000", "+86 138 0013 8000"),
        ("+86-138-0013", "'+86-138-0013"),
        ("+", "'+"),
        ("-", "'-"),
        ("", ""),
        (None, ""),
        (Decimal("-12.50"), "-12.50"),
        (-3, "-3"),
        (date(2026, 11, 3), "2026-11-03"),
        (datetime(2026, 11, 3, 1, 2, 3, tzinfo=UTC), "2026-11-02 20:02:03"),
        (True, "True"),
    ],
)
def test_cells(value: object, written: str) -> None:
    assert cell(value, "America/New_York") == written


def test_a_rule_about_contacts_gives_an_analyst_no_file(
    known: make.People, client: TestClient, owner: Connection
) -> None:
    """Offered while it was allowed, fetched after the role was changed."""
    rule = '{"all": [{"field": "phone", "op": "in", "value": ["yes"]}]}'
    address, headers = offer(known.ann, "segment", rule=rule), cookie(known.ann)
    assert [row["Name"] for row in rows(client.get(address, headers=headers).content)] == ["王小明"]
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "ann").values(role="analyst"))
    answer = client.get(address, headers=headers)
    assert answer.status_code == 403
    assert "cannot count by" in answer.text
    # Nor does the address of the whole list hold what it held.
    found = rows(client.get(offer(known.ann), headers=headers).content)
    assert len(found) == 3
    assert not any("王" in str(row) or "138" in str(row) for row in found)


@pytest.mark.parametrize("typed", ["a\0b", "\ud800", "\0", "王\0小\ud800明", "\u202e王\u0000"])
def test_what_no_table_can_hold_is_offered_all_the_same(known: make.People, client: TestClient, typed: str) -> None:
    address = offer(known.ann, filters={"search": typed, "region": ""})
    answer = client.get(address, headers=cookie(known.ann))
    assert answer.status_code == 200
    assert [row["Name"] for row in rows(answer.content)] in ([], ["王小明"])


def test_hostile_params_are_a_sentence(known: make.People, client: TestClient) -> None:
    for kind, params in (
        ("customers", {"filters": []}),
        ("customers", {"filters": {"nonsense": 1}}),
        ("segment", {"rule": 5}),
        ("segment", {"rule": "{"}),
        ("segment", {"rule": "[" * 10_000}),
        ("segment", {}),
    ):
        answer = client.get(offer(known.ann, kind, **params), headers=cookie(known.ann))
        assert (answer.status_code, bool(answer.text)) == (403, True), params
    for address in ("/exports/" + "x" * 5_000, "/exports/%00", "/exports/%F0%9F%98%80", "/exports/..%2f..%2fauth"):
        assert client.get(address, headers=cookie(known.ann)).status_code == 404, address
