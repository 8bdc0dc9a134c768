"""The command line: documents, exit codes, errors, rights, and that docs/cli.md says what is so."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import insert, select
from sqlalchemy.engine import make_url

from db import clock, connection, customer, derived, overview, passwords, schema, sessions, viewers, words
from db.__main__ import COMMANDS, main, parser
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from db.metrics import METRICS, Stage
from db.permissions import GATE, NOBODY, WORKER, Permission
from db.terminal import customers as terminal_customers
from db.terminal import history as terminal_history
from db.terminal.command import Usage
from tests import make
from tests.engine import forget, serving

ROOT = Path(__file__).parent.parent.parent
MANUAL = ROOT / "docs" / "cli.md"
PHONE, EMAIL = "+86 138 0013 8000", "zhang@example.com"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out, parse_float=Decimal)

    @property
    def error(self) -> dict[str, Any]:
        assert self.out == ""
        return dict(json.loads(self.err)["error"])


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings of the machine; the language is given back."""
    for name in ("KEHU_USER", "KEHU_URL", "KEHU_PORT", "KEHU_DEBUG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C")
    monkeypatch.setenv("COLUMNS", "200")
    yield
    words.use(None)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """One command line in this process."""

    def command(*argv: object) -> Result:
        capsys.readouterr()
        code = main([str(a) for a in argv])
        return Result(code, *capsys.readouterr())

    return command


def process(*argv: str | bytes, **settings: str) -> Result:
    """One command line as the operator runs it."""
    done = subprocess.run(
        [sys.executable, "-m", "db", *argv], cwd=ROOT, env=os.environ | settings, capture_output=True, check=False
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass(frozen=True)
class Shop:
    """Customers of the cast: Ann's with orders and contacts, Bo's, Cho's, and one that nobody has."""

    ann: int
    bo: int
    cho: int
    nobody: int


@pytest.fixture
def shop(people: make.People) -> Shop:
    with connection.begin_owner() as conn:
        ann = make.customer(conn, people.ann.user_id, name="张三", phone=PHONE, email=EMAIL, region="North")
        bo = make.customer(conn, people.bo.user_id, name="Bob", region="South")
        cho = make.customer(conn, people.cho.user_id, name="Charlie")
        nobody = make.customer(conn, NOBODY, name="Dora")
        make.order(conn, ann, date(2026, 9, 1), "0.10")
        make.order(conn, ann, date(2026, 11, 2), "20.10")
        make.order(conn, ann, date(2026, 11, 5), "7.00", currency="EUR")
        make.order(conn, bo, date(2026, 11, 3), "1234567890.55")
        make.order(conn, cho, date(2026, 11, 4), "3.00")
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
    return Shop(ann, bo, cho, nobody)


@pytest.fixture
def rule(tmp_path: Path) -> Path:
    """A file with the rule that everybody fits."""
    file = tmp_path / "rule.json"
    file.write_text('{"all": []}')
    return file


def phone_of(customer_id: int) -> str:
    with connection.begin_owner() as conn:
        return str(conn.scalar(select(schema.customers.c.phone).where(schema.customers.c.id == customer_id)))


# --- each command as a process ---------------------------------------------------------------------------------------


@pytest.mark.processes
def test_as_a_process_it_reads_writes_and_undoes(shop: Shop) -> None:
    found = process("search", "zs", "--json")
    assert (found.code, found.err) == (0, "")
    assert [row["id"] for row in found.document["rows"]] == [shop.ann]
    assert found.out.count("\n") == 1
    saved = process("customer", str(shop.ann), "--set", "phone=", "--json", "--as", "ann").document
    assert phone_of(shop.ann) == ""
    [set_id] = saved["change_set_ids"]
    assert process("undo", str(set_id), "--json", KEHU_USER="ann").document["rows"] == 1
    assert phone_of(shop.ann) == PHONE


@pytest.mark.processes
def test_processes_survive_hostile_surroundings(shop: Shop) -> None:
    garbage = process("search", b"\xff\xfe", "--json")
    assert garbage.error["code"] == Invalid.code
    narrow = process("search", "zs", PYTHONIOENCODING="ascii", LANG="zh_CN.GB2312")
    assert narrow.code == 0
    assert "张三" in narrow.out
    assert "最近下单" in narrow.out

    reader = subprocess.Popen(
        [sys.executable, "-m", "db", "search", ""], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert reader.stdout
    assert reader.stderr
    reader.stdout.close()
    assert reader.wait() == 141
    assert reader.stderr.read() == b""
    reader.stderr.close()


# --- documents -------------------------------------------------------------------------------------------------------


def test_search_gives_rows_total_and_more(run: Run, shop: Shop) -> None:
    everybody = run("search", "", "--json").document
    assert everybody.keys() == {"rows", "total", "more"}
    assert [row["name"] for row in everybody["rows"]] == ["Bob", "Charlie", "Dora", "张三"]
    last = everybody["rows"][-1]
    assert list(last) == [
        *("id", "name", "company", "phone", "email", "region", "city", "owner", "stage"),
        *("orders", "revenue", "last_order_on"),
    ]
    assert (last["orders"], last["revenue"], last["last_order_on"]) == (3, Decimal("20.20"), "2026-11-05")
    assert (everybody["rows"][2]["owner"], everybody["rows"][2]["last_order_on"]) == ("", None)
    cut = run("search", "", "--limit", 1, "--json").document
    assert (len(cut["rows"]), cut["total"], cut["more"]) == (1, 4, False)
    assert run("search", "zhang", "--json").document["rows"] == [last]
    assert run("search", "--json", "--", "-x").document == {"rows": [], "total": 0, "more": False}


def test_money_stands_with_two_decimals_and_reads_back_exactly(run: Run, shop: Shop) -> None:
    assert '"revenue": 20.20,' in run("search", "zhang", "--json").out
    assert '"revenue": 1234567914.0' not in run("overview", "--json").out
    whole = run("overview", "--json").document
    assert whole["revenue"] == Decimal("1234567913.75")
    assert str(whole["basket"]) == "308641978.44"


def test_overview_says_what_the_query_says(run: Run, shop: Shop, people: make.People) -> None:
    for viewer in people.everyone:
        for start, end in ((None, None), (date(2026, 11, 1), date(2026, 11, 30))):
            days = [] if start is None else ["--from", start, "--to", end]
            said = run("overview", "--as", viewer.username, "--json", *days).document
            with begin(viewer) as conn:
                known = overview.overview(
                    conn, viewer=viewer, today=clock.today(), currency="USD", start=start, end=end
                )
            assert list(said) == [
                *("from", "to", "currency", *METRICS, "other_currency_orders", "stages", "campaigns", "waiting_since")
            ]
            for key, figure in known.figures.items():
                told, value = said[key], figure.value
                if isinstance(value, Decimal):
                    assert told == value.quantize(Decimal("0.01")), key
                else:
                    assert told == (None if value is None else pytest.approx(Decimal(str(value)))), key
            assert said["other_currency_orders"] == known.other_currency_orders
            assert list(said["stages"]) == [s.value for s in Stage]
            assert list(said["stages"].values()) == list(known.stages["customers"])
            assert (said["from"], said["to"]) == (known.period.start.isoformat(), known.period.end.isoformat())


def test_overview_narrows_to_a_region_and_knows_no_other(run: Run, shop: Shop) -> None:
    north = run("overview", "--region", "North", "--json").document
    assert (north["customers"], north["orders"], north["revenue"]) == (1, 3, Decimal("20.20"))
    assert run("overview", "--region", "Nowhere").code == Invalid.code
    assert run("overview", "--region", "North", "--as", "bo").code == Invalid.code


def test_a_customer_is_shown_edited_noted_and_handed_over_in_one_transaction(run: Run, shop: Shop) -> None:
    before = run("customer", shop.ann, "--json").document
    assert before["change_set_ids"] == []
    assert set(before) == set(customer.Customer.__annotations__) | {"currency", "change_set_ids"}
    after = run(
        *("customer", shop.ann, "--set", "city=Wuhan", "--set", "company=A=B", "--note", "hello", "--assign", "cho"),
        *("--as", "ann", "--json"),
    ).document
    assert (after["city"], after["company"], after["owner"], len(after["change_set_ids"])) == ("Wuhan", "A=B", "Cho", 3)
    assert run("customer", shop.ann, "--as", "ann").code == NotFound.code
    seen = run("customer", shop.ann, "--as", "cho", "--json").document
    assert (seen["city"], seen["owner"]) == ("Wuhan", "Cho")
    with connection.begin_owner() as conn:
        sources = set(conn.scalars(select(schema.change_sets.c.source)))
        assert sources == {"terminal"}
        assert conn.scalar(select(schema.notes.c.body)) == "hello"
    # One part that cannot be saved, and nothing is.
    failed = run("customer", shop.bo, "--set", "city=Rome", "--assign", "nobody-such", "--as", "bo")
    assert failed.code == NotFound.code
    assert run("customer", shop.bo, "--json").document["city"] == ""


def test_a_customer_can_be_left_to_nobody_and_a_value_that_stood_there_makes_no_change(run: Run, shop: Shop) -> None:
    left = run("customer", shop.ann, "--assign", "-", "--json").document
    assert (left["owner_id"], left["owner"]) == (NOBODY, "")
    same = run("customer", shop.ann, "--set", "region=North")
    assert same.code == 0
    assert "Nothing was changed" in same.out
    assert len(run("changes", "--json").document["sets"]) == 1


def test_changes_are_listed_paged_and_shown_value_by_value(run: Run, shop: Shop) -> None:
    first, second = (
        run("customer", shop.ann, "--set", f"city={city}", "--as", "ann", "--json").document["change_set_ids"][0]
        for city in ("Rome", "Oslo")
    )
    newest = run("changes", "--limit", 1, "--json").document
    assert ([s["id"] for s in newest["sets"]], newest["more"]) == ([second], True)
    assert newest["sets"][0]["customer_id"] == shop.ann
    older = run("changes", "--limit", 1, "--before", second, "--json").document
    assert ([s["id"] for s in older["sets"]], older["more"]) == ([first], False)
    one = run("changes", second, "--json").document
    assert (one["id"], one["actor"], one["more"]) == (second, "Ann", False)
    [line] = one["lines"]
    assert (line["column"], line["before"], line["after"]) == ("city", "Rome", "Oslo")
    mine = run("changes", "--customer", shop.ann, "--limit", 1, "--as", "ann", "--json").document
    assert ([s["id"] for s in mine["sets"]], mine["more"]) == ([second], True)
    assert mine["sets"][0]["lines"] == one["lines"]
    assert run("changes", second + 1).code == NotFound.code
    assert run("changes", "--customer", shop.cho, "--as", "ann").code == NotFound.code
    assert run("changes", first, "--before", second).code == Usage.code


def test_undo_takes_back_or_lists_the_conflict(run: Run, shop: Shop) -> None:
    def save(city: str, phone: str) -> int:
        saved = run("customer", shop.ann, "--set", f"city={city}", "--set", f"phone={phone}", "--as", "ann", "--json")
        return int(saved.document["change_set_ids"][0])

    first = save("Rome", "+86 139 0013 9000")
    save("Oslo", "+86 139 0013 9000")
    clash = run("undo", first, "--as", "ann", "--json")
    assert (clash.code, clash.error["code"]) == (Conflict.code, 6)
    [row] = clash.error["rows"]
    assert (row["column"], row["before"], row["after"], row["now"]) == ("city", "", "Rome", "Oslo")
    assert "Oslo" in run("undo", first, "--as", "ann").err
    rest = run("undo", first, "--leave-conflicts", "--as", "ann", "--json").document
    assert rest.keys() == {"change_set_id", "rows", "conflicts"}
    assert [c["column"] for c in rest["conflicts"]] == ["city"]
    assert phone_of(shop.ann) == PHONE
    assert run("undo", first, "--as", "ann").code == Invalid.code
    assert run("undo", 999_999).code == NotFound.code


def test_text_is_aligned_in_both_languages(run: Run, shop: Shop) -> None:
    lines = run("search", "").out.splitlines()
    assert lines[0].split() == [
        *("Number", "Name", "Phone", "E-mail", "Region", "Owner", "Stage", "Orders", "Revenue", "Last", "order")
    ]
    assert lines[4].split()[1] == "张三"
    assert lines[-1] == "4 of 4"
    chinese = run("overview", "--lang", "zh").out
    assert "客户" in chinese
    assert "Customers" not in chinese
    assert "not known" in run("overview").out


# --- users -----------------------------------------------------------------------------------------------------------


def test_tasks_are_added_listed_put_off_finished_and_taken_back(run: Run, shop: Shop, people: make.People) -> None:
    who = ("--as", "ann", "--json")
    own = ("--kind", "call", "--due", "2026-11-21", "--time", "9:30", "--priority", "high", "--details", "b")
    made = run("tasks", "add", shop.ann, "Tea\u200b offer", *own, *who).document
    run("tasks", "add", shop.ann, "Mia's", "--for", "mia", *who)
    listed = run("tasks", "list", *who).document
    [row] = listed["rows"]
    assert (row["title"], row["due_on"], row["due_time"], row["body"]) == ("Tea offer", "2026-11-21", "09:30", "b")
    assert listed["totals"] == {"overdue": 0, "today": 0, "soon": 1, "later": 0, "no_day": 0, "done": 0}
    text = run("tasks", "list", "--all", "--as", "ann").out
    assert "Nov 21, 2026 · 09:30" in text
    assert "Next 7 days 1 · Without a day 1" in text
    assert [r["title"] for r in run("tasks", "list", "--of", "mia", *who).document["rows"]] == ["Mia's"]
    assert run("tasks", "list", "--as", "bo").out.strip() == "No tasks."
    one = (shop.ann, row["id"], *who)
    assert run("tasks", "postpone", shop.ann, row["id"], "2026-12-24", *who).code == 0
    done = run("tasks", "done", *one).document["change_set_id"]
    assert run("tasks", "list", "--due", "done", *who).document["rows"][0]["due_on"] == "2026-12-24"
    assert run("tasks", "done", *one).error["code"] == Invalid.code
    assert run("undo", done, "--as", "ann").code == 0
    for command in (("done",), ("reopen",), ("delete",)):
        assert run("tasks", *command, shop.ann, row["id"], "--as", "bo").code == NotFound.code
    assert run("tasks", "add", shop.ann, "x", "--for", "bo", *who).error["fields"].keys() == {"assignee_id"}
    assert run("undo", made["change_set_id"], "--as", "ann").code == Conflict.code, "it was put off since"
    assert run("tasks", "delete", *one).code == 0


def test_talks_are_logged_and_stand_on_the_timeline(run: Run, shop: Shop) -> None:
    who = ("--as", "ann")
    said = run("customers", "log", shop.ann, "--outcome", "call_back", "--body", "回电话\nmañana", "--minutes", 3, *who)
    assert said.out.startswith("Saved. To take it back: python -m db undo ")
    run("customers", "log", shop.ann, "--kind", "mail", "--subject", "Offer", "--day", "2026-10-02", *who)
    found = run("customers", "timeline", shop.ann, "--part", "talks", *who, "--json").document
    assert [(r["kind"], r["happened_on"], r["minutes"]) for r in found["rows"]] == [
        ("call", "2026-11-20", 3),
        ("mail", "2026-10-02", None),
    ]
    assert found["totals"] == {"orders": 3, "talks": 2, "notes": 0, "tasks": 0, "campaigns": 0, "changes": 0}
    text = run("customers", "timeline", shop.ann, "--limit", 4, *who).out
    assert "回电话 mañana · call_back" in text
    assert "4 of 5" in text
    assert run("customers", "timeline", shop.ann, "--as", "bo").code == NotFound.code
    assert run("customers", "log", shop.ann, "--body", "x", "--as", "bo").code == NotFound.code
    assert run("customers", "log", shop.ann, *who).code == Invalid.code


def test_the_first_administrator_comes_out_of_an_empty_database(run: Run, clone: str) -> None:
    none = run("search", "x")
    assert none.code == NotFound.code
    assert "users add" in none.err
    assert run("users", "add", "li", "--role", "sales").code == NotFound.code
    added = run("users", "add", "Root", "--role", "admin", "--json").document
    assert (added["user"]["username"], added["user"]["role"], added["user"]["name"]) == ("root", "admin", "root")
    base, token = added["link"].split("/?link=")
    assert base == "http://localhost:8501"
    with begin(GATE, write=True) as conn:
        assert passwords.redeem_link(conn, token=token, password="long enough to be good") == added["user"]["id"]
    assert run("users", "add", "li", "--role", "sales", "--team", "Coast", "--json").document["user"]["team"] == "Coast"
    again = run("users", "add", "LI", "--role", "admin", "--json")
    assert (again.code, list(again.error["fields"])) == (Invalid.code, ["username"])


def test_users_are_listed_changed_locked_out_and_signed_out(run: Run, people: make.People) -> None:
    def session() -> int:
        with begin(GATE, write=True) as conn:
            return sessions.start(conn, user_id=people.ann.user_id).session_id

    def alive(session_id: int) -> bool:
        with begin(GATE) as conn:
            return sessions.check(conn, session_id=session_id) is not None

    with connection.begin_owner() as conn:
        conn.exec_driver_sql("SELECT setval('teams_id_seq', 100)")  # the cast's teams brought their own ids
    everyone = run("users", "list", "--json").document
    assert [u["username"] for u in everyone["users"]] == ["ana", "ann", "bo", "cho", "mark", "max", "mia", "root"]
    first = session()
    assert run("users", "signout", "ann", "--json").document["change_set_id"] is None
    assert not alive(first)
    second = session()
    gone = run("users", "deactivate", "ann", "--json").document
    assert gone["user"]["active"] is False
    refused = run("search", "x", "--as", "ann")
    assert refused.code == Refused.code
    assert run("users", "link", "ann").code == NotFound.code
    assert run("users", "deactivate", "ann").code == Invalid.code
    assert run("users", "activate", "ann").code == 0
    assert not alive(second), "an old session must not live again"
    moved = run("users", "role", "ann", "manager", "--team", "New team", "--json").document
    assert (moved["user"]["role"], moved["user"]["team"]) == ("manager", "New team")
    assert run("undo", moved["change_set_id"]).code == 0
    assert run("users", "role", "ann", "analyst", "--team", "", "--json").document["user"]["team"] == ""


def test_a_locked_user_is_told_and_let_in_again(run: Run, people: make.People) -> None:
    with begin(GATE, write=True) as conn:
        for _try in range(passwords.TRIES + 1):
            passwords.attempt(conn, username="ann")
    assert "locked" in next(line for line in run("users", "list").out.splitlines() if line.startswith("ann "))
    assert run("users", "unlock", "ann", "--json").document["user"]["locked_until"] is None
    with begin(GATE) as conn:
        assert passwords.lock_of(conn, username="ann") is None
    assert run("users", "unlock", "eve").code == NotFound.code


def test_the_last_administrator_stays_one(run: Run, people: make.People) -> None:
    assert run("users", "role", "root", "sales").code == Invalid.code
    assert run("users", "deactivate", "root").code == Invalid.code
    assert run("users", "role", "ann", "admin").code == 0
    assert run("users", "role", "root", "sales", "--as", "root").code == 0
    assert run("users", "list", "--as", "root").code == Refused.code


@pytest.mark.parametrize(
    ("argv", "field"),
    [
        (["", "--role", "sales"], "username"),
        (["-", "--role", "sales"], "username"),
        (["a b", "--role", "sales"], "username"),
        (["a\nb", "--role", "sales"], "username"),
        (["x" * 65, "--role", "sales"], "username"),
        (["ok", "--role", "sales", "--email", "nope"], "email"),
        (["ok", "--role", "sales", "--name", "n" * 201], "name"),
        (["ok", "--role", "sales", "--team", "t" * 201], "team"),
    ],
)
def test_users_that_cannot_be(run: Run, people: make.People, argv: list[str], field: str) -> None:
    failed = run("users", "add", *argv, "--json")
    assert (failed.code, list(failed.error["fields"])) == (Invalid.code, [field])


def test_links_begin_where_people_reach_kehu(run: Run, people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*argv: str) -> str:
        return str(run("users", "link", "ann", "--json", *argv).document["link"]).split("?")[0]

    monkeypatch.setenv("KEHU_PORT", "8600")
    assert link() == "http://localhost:8600/"
    monkeypatch.setenv("KEHU_URL", "https://kehu.example.com/")
    assert link() == "https://kehu.example.com/"
    assert link("--url", "https://other.example.com/crm") == "https://other.example.com/crm/"
    assert run("users", "link", "ann", "--url", "javascript:alert(1)").code == Usage.code


# --- rights ----------------------------------------------------------------------------------------------------------


def test_a_name_has_the_scope_that_its_session_has(people: make.People) -> None:
    for viewer in people.everyone:
        with begin(GATE, write=True) as conn:
            session_id = sessions.start(conn, user_id=viewer.user_id).session_id
            session = sessions.check(conn, session_id=session_id)
            assert session
            assert viewers.viewer_of(conn, username=viewer.username.upper()) == session.viewer == viewer


def test_nobody_sees_through_the_terminal_what_the_screens_withhold(run: Run, shop: Shop, people: make.People) -> None:
    mine = {
        "ann": {shop.ann},
        "bo": {shop.bo},
        "cho": {shop.cho},
        "mia": {shop.ann, shop.bo, shop.nobody},
        "max": {shop.cho, shop.nobody},
    }
    everybody = {shop.ann, shop.bo, shop.cho, shop.nobody}
    for viewer in people.everyone:
        who = ("--as", viewer.username, "--json")
        seen = mine.get(viewer.username, everybody)
        assert {row["id"] for row in run("search", "", *who).document["rows"]} == seen
        assert run("overview", *who).document["customers"] == len(seen)
        assert {i for i in everybody if run("customer", i, *who).code == 0} == seen
        if viewer.masked:
            whole = run("customer", shop.ann, *who).out + run("search", "", *who).out
            whole += run("changes", "--customer", shop.ann, *who).out
            assert PHONE not in whole
            assert EMAIL not in whole
            assert "张三" not in whole
            assert f'"name": "#{shop.ann}"' in whole
            assert run("search", "张三", *who).document["total"] == 0
            assert run("search", "13800138000", *who).document["total"] == 0


CALLS: dict[str, tuple[Permission, ...]] = {
    "search x": (Permission.CUSTOMERS_READ,),
    "customer {bo}": (Permission.CUSTOMERS_READ,),
    "customer {bo} --set city=Rome": (Permission.CUSTOMERS_EDIT,),
    "customer {bo} --note hello": (Permission.CUSTOMERS_EDIT,),
    "customer {bo} --assign bo": (Permission.CUSTOMERS_ASSIGN,),
    "tasks list": (Permission.TASKS_READ,),
    "tasks list --of bo": (Permission.TASKS_READ,),
    "tasks add {bo} x --for bo": (Permission.TASKS_EDIT,),
    "tasks done {bo} 1": (Permission.TASKS_EDIT,),
    "tasks reopen {bo} 1": (Permission.TASKS_EDIT,),
    "tasks postpone {bo} 1 2026-12-01": (Permission.TASKS_EDIT,),
    "tasks delete {bo} 1": (Permission.TASKS_EDIT,),
    "customers timeline {bo}": (Permission.CUSTOMERS_READ,),
    "customers log {bo} --body x": (Permission.CUSTOMERS_EDIT,),
    "customers bulk archive --ids {bo}": (Permission.CUSTOMERS_EDIT,),
    "customers bulk tag x --ids {bo} --dry-run": (Permission.CUSTOMERS_EDIT,),
    "customers bulk assign bo --ids {bo}": (Permission.CUSTOMERS_ASSIGN,),
    "contacts list {bo}": (Permission.CUSTOMERS_READ,),
    "contacts add {bo} --name x": (Permission.CUSTOMERS_EDIT,),
    "contacts change {bo} 1 --name x": (Permission.CUSTOMERS_EDIT,),
    "contacts remove {bo} 1": (Permission.CUSTOMERS_EDIT,),
    "addresses list {bo}": (Permission.CUSTOMERS_READ,),
    "addresses add {bo} --street x --kind home": (Permission.CUSTOMERS_EDIT,),
    "addresses change {bo} 1 --street x": (Permission.CUSTOMERS_EDIT,),
    "addresses remove {bo} 1": (Permission.CUSTOMERS_EDIT,),
    "consents list {bo}": (Permission.CUSTOMERS_READ,),
    "consents record {bo} mail given --how x": (Permission.CUSTOMERS_EDIT,),
    "tags list": (Permission.CUSTOMERS_READ,),
    "tags add {bo} x": (Permission.CUSTOMERS_EDIT,),
    "tags remove {bo} x": (Permission.CUSTOMERS_EDIT,),
    "overview": (Permission.OVERVIEW_READ,),
    "segment count {rule}": (Permission.SEGMENTS_READ,),
    "segment list": (Permission.SEGMENTS_READ,),
    "segment list --ready": (Permission.SEGMENTS_READ,),
    "segment show 1": (Permission.SEGMENTS_READ,),
    "segment save Big {rule}": (Permission.SEGMENTS_EDIT,),
    "said x": (Permission.PERSONAL_READ,),
    "campaigns": (Permission.CAMPAIGNS_READ,),
    "funnel 1": (Permission.CAMPAIGNS_READ,),
    "changes": (Permission.CHANGES_READ,),
    "changes 1": (Permission.CHANGES_READ,),
    "changes --customer {bo}": (Permission.CUSTOMERS_READ,),
    "undo 1": (Permission.CHANGES_UNDO,),
    "users list": (Permission.USERS_MANAGE,),
    "users add new --role sales": (Permission.USERS_MANAGE,),
    "users link ann": (Permission.USERS_MANAGE,),
    "users role ann analyst": (Permission.USERS_MANAGE,),
    "users deactivate ann": (Permission.USERS_MANAGE,),
    "users activate ann": (Permission.USERS_MANAGE,),
    "users signout ann": (Permission.USERS_MANAGE,),
    "users unlock ann": (Permission.USERS_MANAGE,),
    "demo": (Permission.DEMO_LOAD,),
    "bench-data --customers 10": (Permission.DEMO_LOAD,),
}


def test_said_finds_what_was_written(run: Run, shop: Shop) -> None:
    run("customer", shop.ann, "--note", "合同已经寄出")
    found = run("said", "合同", "--json", "--as", "ann").document
    assert [(row["customer_id"], row["part"], row["hit"]) for row in found["rows"]] == [(shop.ann, "notes", "合同")]
    assert (found["total"], found["more"]) == (1, False)
    assert "合同已经寄出" in run("said", "寄出").out
    assert run("said", "合同", "--json", "--as", "bo").document == {"rows": [], "total": 0, "more": False}
    assert run("said", "合同", "--part", "tasks", "--json").document["total"] == 0
    assert run("said", " ").code == Invalid.code


def test_every_command_names_its_permissions_and_refuses_without(
    run: Run, shop: Shop, people: make.People, rule: Path
) -> None:
    named: dict[str, set[Permission]] = {c.name: set() for c in COMMANDS}
    for call, permissions in CALLS.items():
        named[next(name for name in named if f"{call} ".startswith(f"{name} "))] |= set(permissions)
    assert named == {c.name: set(c.permissions) for c in COMMANDS}
    assert [c.name for c in COMMANDS if not c.permissions] == ["migrate"], "only migrate runs as the owner"
    for call, permissions in CALLS.items():
        for viewer in (people.bo, people.mia, people.ana, people.mark):
            if not all(viewer.can(p) for p in permissions):
                done = run(*shlex.split(call.format(bo=shop.bo, rule=rule)), "--as", viewer.username)
                assert (done.code, done.out) == (Refused.code, ""), f"{call} as {viewer.username}"
    with connection.begin_owner() as conn:
        assert conn.execute(select(schema.change_sets)).all() == []


def test_an_undo_needs_the_right_to_the_command_and_its_rows(run: Run, shop: Shop) -> None:
    made = run("customer", shop.ann, "--set", "city=Rome", "--as", "ann", "--json").document["change_set_ids"][0]
    for name in ("bo", "cho", "max", "ana", "mark"):
        assert run("undo", made, "--as", name).code in (Refused.code, NotFound.code), name
    assert run("undo", made, "--as", "mia").code == 0
    added = run("users", "add", "new", "--role", "sales", "--json").document["change_set_id"]
    assert run("undo", added, "--as", "mia").code in (Refused.code, NotFound.code)


def test_who_asks_is_told_by_option_environment_and_rank(run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEHU_USER", "bo")
    assert run("search", "", "--json").document["total"] == 1
    assert run("--as", "mia", "search", "", "--json").document["total"] == 3
    assert run("search", "", "--json", "--as", "mia").document["total"] == 3
    monkeypatch.delenv("KEHU_USER")
    assert run("search", "", "--json").document["total"] == 4
    unknown = run("search", "x", "--as", "eve", "--json")
    assert unknown.error["code"] == NotFound.code
    assert run("search", "x", "--as", "-").code == NotFound.code, "nobody is no user"


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        "",
        "nonsense",
        "search",
        "search a b",
        "search a --limit 0",
        "search a --limit 501",
        "search a --limit -1",
        "search a --lim 1",
        "search a --limit ٣",
        "customer x",
        "customer 0",
        "customer 99999999999999999999",
        "customer 1 --set phone",
        "customer 1 --set city=a --set city=b",
        "overview --from yesterday",
        "overview --from 2026-02-30",
        "changes --limit 201",
        "changes 1 --customer 1",
        "undo",
        "tasks",
        "tasks add 1",
        "tasks add 1 x --due tomorrow",
        "tasks add 1 x --time 25:00",
        "tasks add 1 x --kind visit",
        "tasks done 1",
        "tasks done 1 x",
        "tasks postpone 1 1 never",
        "tasks list --all --of ann",
        "customers",
        "customers log x",
        "customers timeline 1 --part deals",
        "users",
        "users add x",
        "users add x --role gate",
        "users role ann worker",
        "segment",
        "segment count",
        "segment show x",
        "segment list --ready --archived",
        "segment save NAME",
        "migrate --as ann",
        "search a --lang fr",
    ],
)
def test_what_cannot_be_understood_is_one_sentence(run: Run, clone: str, argv: str) -> None:
    said = run(*shlex.split(argv))
    assert (said.code, said.out, said.err.count("\n")) == (Usage.code, "", 1)
    assert run(*shlex.split(argv), "--json").error["code"] == Usage.code


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE customers; --",
        "%",
        "_",
        "\\",
        "\x1b[31mred",
        "\u202eabc",
        "a" * 5_000,
        "\udcff",
        "👩‍👧",
        "(",
    ],
)
def test_hostile_text_is_only_text(run: Run, shop: Shop, text: str) -> None:
    found = run("search", "--json", "--", text)
    assert found.error["code"] == Invalid.code if text == "\udcff" else found.document["rows"] == []
    kept = run("customer", shop.bo, f"--note={text}x", f"--set=city={text[:50]}", "--json", "--as", "bo")
    assert kept.code == 0, kept.err
    for argv in (["customer", shop.bo], ["changes", "--customer", shop.bo], ["search", "bob"]):
        shown = run(*argv, "--as", "bo")
        assert shown.code == 0
        assert "\x1b" not in shown.out
        assert "\u202e" not in shown.out
    for argv in (["--as", text, "search", "x"], ["users", "link", f"{text}y"], ["overview", "--region", f"{text}z"]):
        failed = run(*argv)
        assert (failed.out, failed.code in (NotFound.code, Invalid.code, Usage.code)) == ("", True)
        assert "Traceback" not in failed.err


HOSTILE_RULES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"DROP TABLE customers",
    "no UTF-8": b'{"all": ["\xff\xfe"]}',
    "NUL": b'{"all": [\0]}',
    "NUL in a value": b'{"field": "region", "op": "in", "value": ["\\u0000"]}',
    "half a surrogate": b'{"field": "region", "op": "in", "value": ["\\ud800"]}',
    "half a surrogate as a field": b'{"field": "\\ud800", "op": "in"}',
    "NaN": b'{"field": "orders", "op": ">", "value": NaN}',
    "endless": b'{"field": "orders", "op": ">", "value": 1e99999999999999999999}',
    "deep": b"[" * 9_000 + b"]" * 9_000,
    "just not too deep": b'{"field": ' + b"[" * 960 + b"]" * 960 + b"}",
    "long": b'{"all": ["' + b"x" * 10**6 + b'"]}',
    "twice": b'{"all": [], "all": []}',
    "terminal": b'{"field": "\\u001b[31mred\\u202e", "op": "in"}',
}


@pytest.mark.parametrize("hostile", HOSTILE_RULES)
def test_a_hostile_rule_is_a_sentence(run: Run, people: make.People, tmp_path: Path, hostile: str) -> None:
    file = tmp_path / "rule.json"
    file.write_bytes(HOSTILE_RULES[hostile])
    for argv in (["segment", "count", file], ["segment", "save", "x", file]):
        for lang in ("en", "zh"):
            said = run(*argv, "--as", "ann", "--lang", lang)
            assert (said.code, said.out) == (Invalid.code, "")
            assert len(said.err) < 1_000
            assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", said.err)
            assert run(*argv, "--as", "ann", "--json", "--lang", lang).error["code"] == Invalid.code


def test_a_rule_that_cannot_be_read_is_a_sentence(run: Run, people: make.People, tmp_path: Path) -> None:
    for file in (tmp_path, tmp_path / "none.json", "x" * 5_000, "\udcff"):
        said = run("segment", "count", file, "--as", "ann")
        assert (said.code, said.out) == (Invalid.code, ""), file
        assert "cannot be read" in said.err


@pytest.mark.processes
def test_a_rule_comes_by_standard_input_too(shop: Shop) -> None:
    command = [sys.executable, "-m", "db", "segment", "count", "-", "--as", "ann", "--json"]
    for typed, code in (
        (b'\xef\xbb\xbf{"all": [{"field": "orders", "op": ">=", "value": 3}]}', 0),
        (b'{"field": "region", "op": "in", "value": ["\xff"]}', Invalid.code),
        (b"", Invalid.code),
    ):
        for settings in ({"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}):
            done = subprocess.run(
                command, cwd=ROOT, env=os.environ | settings, input=typed, capture_output=True, check=False
            )
            assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr
            if code == 0:
                assert json.loads(done.stdout) == {"count": 1, "sentence": "Orders ≥ 3"}


def test_segments_in_the_terminal_have_the_rights_of_the_screens(
    run: Run, shop: Shop, people: make.People, rule: Path, tmp_path: Path
) -> None:
    mine = {"ann": 1, "bo": 1, "cho": 1, "mia": 3, "max": 2}
    personal = tmp_path / "phone.json"
    personal.write_text('{"any": [{"none": [{"field": "phone", "op": "in", "value": "yes"}]}]}')
    secret = run("segment", "save", "Secret", rule, "--as", "ann", "--json").document["id"]
    shared = run("segment", "save", "Phone", personal, "--shared", "--as", "ann", "--json").document
    for viewer in people.everyone:
        who = ("--as", viewer.username, "--json")
        everyone = mine.get(viewer.username, 4)
        assert run("segment", "count", rule, *who).document["count"] == everyone
        prospects = run("segment", "list", "--ready", *who).document["rows"][0]
        assert prospects["code"] == "stage_prospect"
        assert prospects["count"] == (0 if everyone == 1 else 1), "Dora, whom nobody has"
        assert (run("segment", "show", secret, *who).code == 0) == (viewer in (people.ann, people.root))
        names = {row["name"] for row in run("segment", "list", *who).document["rows"]} - {"Copy"}
        assert names == ({"Secret", "Phone"} if viewer in (people.ann, people.root) else {"Phone"})
        for argv in (["count", personal], ["show", shared["id"]], ["save", "Copy", personal]):
            said = run("segment", *argv, *who)
            assert (said.code == Refused.code) == viewer.masked, (viewer.username, argv)
            if viewer.masked:
                assert "Has a phone" in said.error["message"]
        if viewer not in (people.ann, people.root):
            assert run("undo", shared["change_set_id"], *who).code in (NotFound.code, Refused.code)
    assert run("undo", shared["change_set_id"], "--as", "ann").code == 0
    assert run("segment", "show", shared["id"], "--as", "ann").code == NotFound.code
    assert run("segment", "list", "--archived", "--as", "ann").out == "No segment was taken off the list.\n"


def test_values_that_cannot_be_saved_are_named(run: Run, shop: Shop) -> None:
    failed = run("customer", shop.ann, "--set", "phone=x", "--set", "email=y", "--json")
    assert (failed.code, sorted(failed.error["fields"])) == (Invalid.code, ["email", "phone"])
    assert run("customer", shop.ann, "--set", "owner_id=1").code == Invalid.code
    assert run("customer", shop.ann, "--set", "name=").code == Invalid.code
    assert run("customer", shop.ann, "--note", " ").code == Invalid.code
    assert run("customer", shop.ann, "--assign", "root").code == Invalid.code
    assert run("overview", "--from", "2026-11-02", "--to", "2026-11-01").code == Invalid.code
    for day in ("0001-01-01", "9999-12-31"):
        for side in ("--from", "--to"):
            assert run("overview", side, day).code in (0, Invalid.code), f"{side} {day}"


def test_a_bug_is_a_number_without_a_traceback(run: Run, people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("secret of a customer")

    monkeypatch.setattr(terminal_customers.customers, "search", broken)
    said = run("search", "x")
    assert (said.code, said.out) == (1, "")
    assert re.search(r"RuntimeError, number [0-9a-f]{8}", said.err)
    assert "secret" not in said.err
    assert set(run("search", "x", "--json").error) == {"code", "message", "id"}
    monkeypatch.setenv("KEHU_DEBUG", "1")
    assert "Traceback" in run("search", "x").err


def test_ctrl_c_is_quiet(run: Run, people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(terminal_history.undo, "undo", interrupted)
    assert run("undo", "1") == Result(130, "", "")


@pytest.mark.parametrize(
    "address",
    ["postgresql://kehu:secret@127.0.0.1:1/kehu", "nonsense secret", "mysql://kehu:secret@localhost/kehu"],
)
def test_a_database_that_is_not_there_is_a_sentence_without_its_password(
    run: Run, clone: str, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("DATABASE_URL", address)
        forget()
        said = run("overview", "--json")
    forget()
    assert (said.code, said.error["code"]) == (7, 7)
    assert "secret" not in said.err


def test_a_database_without_the_schema_says_what_to_do(run: Run, server: Server) -> None:
    with database(server, "empty", "template0"):
        said = run("overview")
        assert said.code == Unavailable.code
        assert "migrate" in said.err
        assert run("migrate", "--json").document["before"] is None
        assert run("migrate", "--json").document["before"] is not None
        assert run("overview").code == NotFound.code


def test_bench_data_is_loaded_into_an_empty_database_and_says_what_it_made(run: Run, clone: str) -> None:
    ahead = run("bench-data", "--customers", "200", "--until", "2026-11-20", "--dry-run", "--json").document
    assert (ahead["loaded"], ahead["counts"]["customers"], ahead["seconds"]) == (False, 200, 0.0)
    done = run("bench-data", "--customers", "200", "--until", "2026-11-20", "--json")
    assert "100%" in done.err
    assert done.document["loaded"] is True
    assert done.document["counts"]["customers"] == 200
    assert (done.document["first_day"], done.document["last_day"]) == ("2024-11-21", "2026-11-20")
    for other in ("demo", "bench-data --customers 10"):
        again = run(*other.split(), "--json")
        assert (again.code, again.out) == (Conflict.code, "")
    for wrong in ("0", "-1", "x", "10000001"):
        assert run("bench-data", "--customers", wrong).code == 2
    listed = run("search", "", "--as", "bench.manager1", "--json").document
    assert 0 < listed["total"] < 200


def test_the_demo_is_only_loaded_into_an_empty_database(run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    own = run("demo", "--json")
    assert own.error["code"] == Conflict.code
    assert run("demo", "--if-empty") == Result(0, "", "")
    # Kehu's own server, that is.
    with monkeypatch.context() as patch:
        patch.delenv("DATABASE_URL")
        assert run("demo", "--if-empty") == Result(0, "", "")
        assert run("demo", "--if-empty", "--json").document["loaded"] is False


# --- the manual ------------------------------------------------------------------------------------------------------


def sections() -> dict[str, str]:
    """Heading → its text, examples left out."""
    text = re.sub(r"```.*?```", "", MANUAL.read_text(), flags=re.S)
    return {part.partition("\n")[0]: part for part in re.split(r"^#{2,3} ", text, flags=re.M)[1:]}


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Command → its parser, found by walking the whole one."""

    def walk(place: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
        below = [a for a in place._actions if isinstance(a, argparse._SubParsersAction)]
        if not below:
            yield name, place
        for action in below:
            for part, found in action.choices.items():
                yield from walk(found, f"{name} {part}".strip())

    return dict(walk(parser(), ""))


def options(place: argparse.ArgumentParser) -> set[str]:
    return {o for a in place._actions for o in a.option_strings if o.startswith("--")}


def test_every_command_and_option_stands_in_the_manual_and_the_other_way_round() -> None:
    found, written = parsers(), sections()
    assert found.keys() == {c.name for c in COMMANDS}
    assert found.keys() <= written.keys()
    everywhere = {"--as", "--json", "--lang", "--help"}
    assert set(re.findall(r"^\| `(--[a-z]+)", written["Options of every command"], flags=re.M)) == everywhere
    headings = re.findall(r"^### (.*)$", MANUAL.read_text(), flags=re.M)
    assert set(headings) == found.keys()
    for name, place in found.items():
        listed = set(re.findall(r"^\| `(--[a-z-]+)", written[name], flags=re.M))
        assert listed == options(place) - everywhere, name
        told = re.search(r"^Permissions?: (.*)$", written[name], flags=re.M)
        assert told
        permissions = {p.value for c in COMMANDS if c.name == name for p in c.permissions}
        assert set(re.findall(r"`(\w+:\w+)`", told[1])) == permissions, name
        assert all(a.help for a in place._actions), name
        assert f"python -m db {name}" in MANUAL.read_text(), f"{name} has no example"


def test_the_manual_names_every_exit_code() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", sections()["Exit codes"], flags=re.M)}
    errors = {e.code for e in (Usage, Refused, NotFound, Invalid, Conflict, Unavailable)}
    assert listed == {0, 1, 130, 141} | errors


def test_the_manual_names_every_key_of_every_document(run: Run, shop: Shop, rule: Path) -> None:
    made = run("customer", shop.ann, "--set", "city=Rome", "--json").document["change_set_ids"][0]
    kept = run("segment", "save", "Everyone", rule, "--json").document["id"]
    run("tasks", "add", shop.ann, "x")
    with connection.begin_owner() as conn:
        task = conn.scalar(select(schema.tasks.c.id))
    with connection.begin_owner() as conn:
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        window = {"starts_on": date(2026, 11, 1), "ends_on": date(2026, 11, 12)}
        one = insert(schema.campaigns).values(name="Spring", **window, **stamps).returning(schema.campaigns.c.id)
        campaign_id = conn.scalar(one)
    calls = {
        "search": ["search", "zhang"],
        "said": ["said", "x"],
        "customer": ["customer", shop.ann],
        "tasks list": ["tasks", "list"],
        "tasks add": ["tasks", "add", shop.ann, "Call back"],
        "tasks postpone": ["tasks", "postpone", shop.ann, task, "2026-12-01"],
        "tasks done": ["tasks", "done", shop.ann, task],
        "tasks reopen": ["tasks", "reopen", shop.ann, task],
        "tasks delete": ["tasks", "delete", shop.ann, task],
        "customers timeline": ["customers", "timeline", shop.ann],
        "customers log": ["customers", "log", shop.ann, "--outcome", "no_answer"],
        "customers bulk": ["customers", "bulk", "tag", "VIP", "--ids", shop.ann],
        "contacts add": ["contacts", "add", shop.ann, "--name", "Li", "--phone", "138 0013 8000"],
        "contacts list": ["contacts", "list", shop.ann],
        "contacts change": ["contacts", "change", shop.ann, 1, "--main"],
        "contacts remove": ["contacts", "remove", shop.ann, 1],
        "addresses add": ["addresses", "add", shop.ann, "--kind", "home", "--street", "Long Street 1"],
        "addresses list": ["addresses", "list", shop.ann],
        "addresses change": ["addresses", "change", shop.ann, 1, "--city", "Rome"],
        "addresses remove": ["addresses", "remove", shop.ann, 1],
        "consents record": ["consents", "record", shop.ann, "mail", "given", "--how", "a form"],
        "consents list": ["consents", "list", shop.ann],
        "tags add": ["tags", "add", shop.ann, "wine"],
        "tags list": ["tags", "list"],
        "tags remove": ["tags", "remove", shop.ann, "wine"],
        "overview": ["overview"],
        "segment count": ["segment", "count", rule],
        "segment list": ["segment", "list"],
        "segment show": ["segment", "show", kept],
        "segment save": ["segment", "save", "All", rule],
        "campaigns": ["campaigns"],
        "funnel": ["funnel", campaign_id],
        "changes": ["changes"],
        "undo": ["undo", made],
        "users list": ["users", "list"],
        "users add": ["users", "add", "new", "--role", "sales"],
        "users link": ["users", "link", "new"],
        "users role": ["users", "role", "new", "manager"],
        "users deactivate": ["users", "deactivate", "new"],
        "users activate": ["users", "activate", "new"],
        "users signout": ["users", "signout", "new"],
        "users unlock": ["users", "unlock", "new"],
        "migrate": ["migrate"],
        "demo": ["demo", "--if-empty"],
        "bench-data": ["bench-data", "--customers", "1000", "--dry-run"],
    }
    assert calls.keys() == {c.name for c in COMMANDS}
    written = sections()
    for name, argv in calls.items():
        document = run(*argv, "--json").document
        listed = re.search(r"^\| JSON key.*?(?=^$)", written[name] + "\n\n", flags=re.M | re.S)
        assert listed, name
        keys = [k for row in listed[0].splitlines()[2:] for k in re.findall(r"`(\w+)`", row.split("|")[1])]
        assert sorted(keys) == sorted(document), name
        for inner in nested(document):
            assert f"`{inner}`" in written[name] + written["Users"], f"{name}: {inner}"
    more = {"changes": [["changes", made], ["changes", "--customer", shop.ann]]}
    more["segment list"] = [["segment", "list", "--ready"]]
    for name, calls_of in more.items():
        for argv in calls_of:
            for inner in nested(run(*argv, "--json").document):
                assert f"`{inner}`" in written[name], f"{name}: {inner}"


def nested(value: Any) -> set[str]:
    """Every key of a document, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(nested, value.values()))
    return set().union(*map(nested, value)) if isinstance(value, list) else set()


@pytest.mark.slow
def test_the_examples_of_the_manual_are_real(run: Run, server: Server, demo_url: str) -> None:
    """Every example, from top to bottom, on a copy of the demo. KEHU_WRITE_EXAMPLES=1 writes them anew."""

    def example(line: str) -> str:
        done = run(*shlex.split(line)[4:])
        said = re.sub(r"link=[\w-]{43}", "link=…", done.out + done.err)
        return f"{line}\n" + re.sub(r"\d{4}_\d\d_\d\d_\w+", "…", said)

    def block(found: re.Match[str]) -> str:
        return "```console\n" + "".join(map(example, re.findall(r"^\$ .*$", found[0], flags=re.M))) + "```"

    with database(server, "manual", str(make_url(demo_url).database)):
        written = re.sub(r"```console\n.*?```", block, MANUAL.read_text(), flags=re.S)
    if os.environ.get("KEHU_WRITE_EXAMPLES"):
        MANUAL.write_text(written)
    assert written == MANUAL.read_text()


@contextmanager
def database(server: Server, name: str, template: str) -> Iterator[None]:
    """A database made from a template; DATABASE_URL names it inside the block."""
    own, admin = f"{name}_{os.getpid()}", make_url(server.url("kehu")).set(drivername="postgresql")
    with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as conn:
        made_from = (sql.Identifier(own), sql.Identifier(template))
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*made_from))
        try:
            with serving(server.url(own)):
                yield
        finally:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(own)))
