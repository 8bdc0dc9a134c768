"""The bench: what it says about plans, and that what it allows is there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from benchmarks import browser, cases, crowd, plans, visitor
from benchmarks.plans import Scan, Statement, recorded, scans
from db import connection, customers, schema, sessions
from db.connection import begin
from db.permissions import GATE
from pages import SCREENS
from tests import make

ROOT = Path(__file__).parent.parent
TODAY = date(2026, 11, 20)


def test_whole_reads_are_found_with_the_function_that_sent_them(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connection.begin_owner() as conn:
        for name in ("One", "Two", "Three"):
            make.customer(conn, people.ann.user_id, name=name, phone="+86 138 0000 0000")
        conn.exec_driver_sql("ANALYZE")
    monkeypatch.setattr(plans, "LARGE", 2)
    found: dict[tuple[str, str], Statement] = {}
    with recorded(found):
        with begin(people.root) as conn:
            customers.page(conn, viewer=people.root, today=TODAY)
        with begin(GATE) as conn:
            sessions.check(conn, session_id=1)
    assert {s.function for s in found.values()} >= {"customers.page", "customers._known", "sessions.check"}
    seen = scans("customers", people.root, found)
    assert ("customers.page", "customers") in {(s.function, s.table) for s in seen}
    assert {s.user for s in seen} == {"root"}
    monkeypatch.setattr(plans, "LARGE", 100)
    assert scans("customers", people.root, found) == []


def test_a_whole_read_inside_a_function_is_found_too(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.begin_owner() as conn:
        for name in ("One", "Two", "Three"):
            make.customer(conn, people.ann.user_id, name=name)
        conn.exec_driver_sql("ANALYZE")
    monkeypatch.setattr(plans, "LARGE", 2)
    found: dict[tuple[str, str], Statement] = {}
    with recorded(found), begin(people.root) as conn:
        customers.search(conn, viewer=people.root, today=TODAY, words="hre")
    hidden = {s.table for s in scans("customers", people.root, found) if s.function == "search._inside"}
    assert hidden == {"customer_texts"}


def test_an_allowed_read_has_a_reason_and_any_other_has_none() -> None:
    allowed = plans.ALLOWED[0]
    assert Scan("s", "u", allowed.function, allowed.table, 1, 1.0).reason == allowed.reason != ""
    assert Scan("s", "u", "customers.page", "orders", 1, 1.0).reason == ""
    for entry in plans.ALLOWED:
        module, name = entry.function.split(".")
        assert hasattr(importlib.import_module(f"db.{module}"), name), entry
        assert entry.table in schema.metadata.tables, entry
    large = {"campaign_events", "campaign_members", "campaign_results", "order_items", "orders"}
    assert not large & {entry.table for entry in plans.ALLOWED}


def test_cases_are_of_screens_that_there_are() -> None:
    assert {case.screen for case in cases.CASES} <= {screen.path for screen in SCREENS}
    assert len({(case.screen, case.label) for case in cases.CASES}) == len(cases.CASES)


def test_the_crowd_is_mixed_and_does_only_what_its_roles_may(people: make.People) -> None:
    assert crowd.cast(12) == ["ann", "bo", "cho", "mia", "ann", "ana", "bo", "mark", "cho", "root", "ann", "bo"]
    for viewer in people.everyone:
        one = visitor.Visitor("http://127.0.0.1:1", "", viewer, ("a",), (1,))
        done = {what for what, _params in visitor.ROUND if one._may(what)}
        screens = done - {visitor.LOOKUP, visitor.SAVE}
        assert screens == {s.path for s in SCREENS if viewer.can(s.permission) and s.path in dict(visitor.ROUND)}
        assert (visitor.SAVE in done) is not viewer.masked


def test_a_search_in_the_browser_is_held_against_what_the_database_finds(people: make.People) -> None:
    with connection.begin_owner() as conn:
        make.customer(conn, people.ann.user_id, name="王小明")
        make.customer(conn, people.ann.user_id, name="Otto Normal")
    _token, session = crowd.token("root")
    assert browser.everybody(session) == "1–2 of 2"
    found = list(browser.expected(session, ["wangx", "qqqq", "o"]))
    assert [(q.typed, q.place, q.first) for q in found] == [
        ("wangx", "1–1 of 1", "王小明"),
        ("qqqq", "No customer matches. Remove a filter or try another spelling.", ""),
        ("o", "1–1 of 1", "Otto Normal"),
    ]


def test_a_visit_tells_errors_and_the_percentiles_are_those_of_the_worst() -> None:
    shown = [
        browser.Shown(browser.Query("a", "1–1 of 1", "Anna"), 240.0),
        browser.Shown(browser.Query("b", "1–2 of 2", "Bob"), None, "Something went wrong"),
    ]
    acts = [visitor.Act("today", float(ms), ()) for ms in range(1, 100)] + [visitor.Act("today", 500, ("broken",))]
    part = crowd.Part(20, shown, acts, seconds=10, processor=5, waited=1, runs=100)
    figures = crowd._figures(part, 200)
    assert figures["search"] == {"n": 1, "p50": 40.0, "p95": 40.0, "max": 40.0}
    assert figures["not_shown"] == 1
    assert figures["acts"] == {"n": 100, "p50": 50.5, "p95": 95.0, "max": 500}
    assert (figures["processor"], figures["processor_ms_per_run"], figures["waited"]) == (0.5, 50.0, 0.1)
    errors = crowd._errors([part], ["oops"], [{"level": "ERROR", "error": "ab12"}])
    assert [error.split(":")[0] for error in errors] == [
        "in the browser",
        "“b” did not show 1–2 of 2, Bob, but",
        "today",
        "in the log",
    ]


@pytest.mark.processes
def test_the_bench_explains_itself() -> None:
    command = [sys.executable, "-m", "benchmarks", "--help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for option in ("--rounds", "--user", "--screen", "--plans", "--crowd", "--queries", "--json", "bench-data"):
        assert option in said
