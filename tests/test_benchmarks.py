"""The bench: what it says about plans, and that what it allows is there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from benchmarks import cases, plans
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
    assert {s.function for s in found.values()} >= {"customers.page", "customers.frame", "sessions.check"}
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
    assert hidden == {"customers"}


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


@pytest.mark.processes
def test_the_bench_explains_itself() -> None:
    command = [sys.executable, "-m", "benchmarks", "--help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for option in ("--rounds", "--user", "--screen", "--plans", "--json", "bench-data"):
        assert option in said
