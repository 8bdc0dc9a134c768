"""The command line: what each command does and says, as a process and in this one."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import select

from db import clock, connection, customer, overview, schema
from db.connection import begin
from db.errors import Conflict, Invalid, NotFound
from db.metrics import METRICS, Stage
from db.permissions import NOBODY
from db.terminal.command import Usage
from tests import make
from tests.db.terminal.calling import PHONE, ROOT, Run, Shop, phone_of, process

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
                *("from", "to", "currency", *METRICS, "other_currency_orders", "stages", "stages_version"),
                *("campaigns", "waiting_since"),
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


def test_said_finds_what_was_written(run: Run, shop: Shop) -> None:
    run("customer", shop.ann, "--note", "合同已经寄出")
    found = run("said", "合同", "--json", "--as", "ann").document
    assert [(row["customer_id"], row["part"], row["hit"]) for row in found["rows"]] == [(shop.ann, "notes", "合同")]
    assert (found["total"], found["more"]) == (1, False)
    assert "合同已经寄出" in run("said", "寄出").out
    assert run("said", "合同", "--json", "--as", "bo").document == {"rows": [], "total": 0, "more": False}
    assert run("said", "合同", "--part", "tasks", "--json").document["total"] == 0
    assert run("said", " ").code == Invalid.code
