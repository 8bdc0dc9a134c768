"""The explorer in the terminal: cohorts, repeat purchases, pairs, flows, of a segment and against another; the rules
of the stages."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import insert

from db import connection, definitions, derived, saved_segments, schema
from db.connection import begin
from db.errors import Invalid, NotFound
from db.permissions import WORKER
from tests import make
from tests.db.terminal.calling import Run

WEST = '{"all":[{"field":"region","op":"in","value":["West"]}]}'
MILK = "Milk; '\x1b[31m"


@pytest.fixture
def segment(people: make.People) -> int:
    """Data from January on. Ann's Wang (West) bought tea and milk on twelve days from 1 August; Cho's eleven bought
    rice once, on 2 August; one of them again ten days later. Gives the shared segment of the West."""
    with connection.begin_owner() as conn:
        goods = {}
        for name in ("tea", MILK, "rice"):
            values = {"sku": name, "name": name, "department": "", "category": name, "brand": "", "package": ""}
            query = insert(schema.products).values(**values).returning(schema.products.c.id)
            goods[name] = int(conn.execute(query).scalar_one())
        old = make.customer(conn, people.cho.user_id, name="Old")
        make.order(conn, old, date(2026, 1, 2))
        wang = make.customer(conn, people.ann.user_id, name="Wang", region="West")
        bought = [(wang, date(2026, 8, 1) + timedelta(days=n), ("tea", MILK)) for n in range(12)]
        others = [make.customer(conn, people.cho.user_id, name=f"No. {n}") for n in range(11)]
        bought += [(who, date(2026, 8, 2), ("rice",)) for who in others]
        bought.append((others[0], date(2026, 8, 12), ("rice",)))
        for who, day, names in bought:
            key = {"customer_id": who, "order_id": make.order(conn, who, day, "10.00")}
            for name in names:
                conn.execute(insert(schema.order_items).values(**key, product_id=goods[name], quantity=1, amount=1))
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
    with begin(people.ann, write=True) as conn:
        return saved_segments.save(conn, actor=people.ann, name="My <West>", rule=WEST, shared=True)[0]


def test_pairs_are_told_of_a_segment_against_another(run: Run, segment: int) -> None:
    found = run("affinity", "--json").document
    assert (found["of"], found["orders"], found["total"], found["against"]) == ("", 24, 1, None)
    [row] = found["rows"]
    assert (row["first"], row["second"], row["together"]) == (MILK, "tea", 12)
    # 12 of 24 orders have both, and each of them alone stands in the same: twice as often as by chance.
    assert (row["support"], row["forward"], row["lift"]) == (Decimal("0.5"), 1, 2)
    asked = ("affinity", "--segment", segment, "--against", "everyone")
    both = run(*asked, "--json").document
    assert (both["of"], both["orders"], both["rows"][0]["lift"]) == (f"s{segment}", 12, 1)
    assert [(row["lift"], row["together"]) for row in both["against"]["rows"]] == [(2, 12)]
    told = run(*asked).out
    assert "My <West> · Everyone" in told
    assert "\x1b" not in told
    assert "1 of 1 pairs in at least 1.0% of 12 orders with a category, and in at least 10." in told
    assert "组合" in run("affinity", "--lang", "zh").out


def test_pairs_are_chosen_by_category_share_and_place(run: Run, segment: int) -> None:
    assert run("affinity", "--category", "TEA", "--json").document["total"] == 1
    assert run("affinity", "--category", "rice", "--json").document["rows"] == []
    assert run("affinity", "--category", "<b>").code == NotFound.code
    assert run("affinity", "--least", "60", "--json").document["total"] == 0
    assert "No pair is in so many orders." in run("affinity", "--least", "60").out
    for wrong in ("-1", "nan", "101", "x"):
        assert run("affinity", "--least", wrong).code == 2, wrong
    assert run("affinity", "--months", "25").code == 2
    assert run("affinity", "--segment", segment, "--as", "cho", "--json").document["orders"] == 0


def test_repeats_are_told_of_a_segment_against_another(run: Run, segment: int, tmp_path: Path) -> None:
    found = run("repeats", "--json").document
    # Wang on the day after the first, one of the eleven after ten days; the first customer is left out.
    assert [(step["day"], step["at_risk"]) for step in found["curve"]] == [(1, 12), (10, 11)]
    assert [step["share"] for step in found["curve"]] == [Decimal("0.0833"), Decimal("0.1667")]
    assert (found["customers"], found["half_by_day"], found["half_of_intervals"]) == (12, None, 1)
    assert found["intervals"] == [{"days": 1, "intervals": 11}, {"days": 10, "intervals": 1}]
    told = run("repeats", "--ready", "stage_lost", "--against", f"s{segment}").out
    assert "My <West>: half of the 11 intervals are at most 1 days." in told
    rule = tmp_path / "rule.json"
    rule.write_text(WEST)
    filed = run("repeats", "--rule", rule, "--step", 2, "--as", "ann", "--json").document
    assert (filed["of"], filed["step"], filed["customers"], filed["curve"]) == ("", 2, 1, [])
    assert "–" in run("repeats", "--rule", rule).out
    assert run("repeats", "--step", "6").code == 2


def test_flows_are_told_between_days_of_a_segment_against_another(run: Run, segment: int) -> None:
    found = run("flows", "--days", "2026-08-31", "2026-11-20", "--json").document
    assert found["days"] == ["2026-08-31", "2026-11-20"]
    assert found["customers"] == 13
    moved = {(move["before"], move["after"]): move["customers"] for move in found["moves"]}
    assert moved == {("first", "lost"): 10, ("repeat", "lost"): 1, ("loyal", "lost"): 1}
    assert sum(row["customers"] for row in found["rows"]) == 13
    told = run("flows", "--segment", segment, "--against", "everyone", "--days", "2026-08-31", "2026-11-20").out
    assert "Loyal → Lost" in told
    assert "0 of 1 customers are in the same class" in told
    mine = run("flows", "--as", "ann", "--json").document
    assert mine["customers"] == 1
    assert mine["known_days"][-1] == "2026-11-20"
    assert run("flows", "--days", "2026-08-30", "2026-11-20").code == Invalid.code
    assert run("flows", "--days", "2026-08-31").code == Invalid.code
    assert run("flows", "--days", "tomorrow").code == 2
    assert run("flows", "--by", "city").code == 2


def test_without_data_each_says_so(run: Run, people: make.People) -> None:
    assert "No pair" in run("affinity").out
    assert "No cohort" in run("cohorts").out
    assert run("repeats", "--json").document["curve"] == []
    assert run("repeats").code == 0
    assert run("flows").code == Invalid.code


def test_cohorts_are_told_of_a_segment_against_another(run: Run, segment: int) -> None:
    both = run("cohorts", "--segment", segment, "--against", "everyone", "--json").document
    assert [row["customers"] for row in both["rows"]] == [1]
    assert [row["customers"] for row in both["against"]["rows"]] == [12]
    told = run("cohorts", "--segment", segment, "--against", "everyone").out
    assert told.index("My <West>") < told.index("Everyone")


@pytest.mark.parametrize("command", ["cohorts", "repeats", "affinity", "flows"])
def test_a_segment_that_is_not_ones_own_is_not_there(run: Run, segment: int, people: make.People, command: str) -> None:
    with begin(people.root, write=True) as conn:
        private, _set = saved_segments.save(conn, actor=people.root, name="Secret", rule=WEST)
    for asked in (("--segment", private), ("--against", f"s{private}"), ("--ready", "<b>"), ("--against", "s01x")):
        done = run(command, *asked, "--as", "ann")
        assert (done.code, done.out) == (NotFound.code, ""), asked
        assert "Secret" not in done.err
    assert run(command, "--segment", segment, "--ready", "champions").code == 2


def test_the_rules_of_stages_and_scores_are_told_with_their_versions(run: Run, people: make.People) -> None:
    with begin(people.root, write=True) as conn:
        rules = {"risk_days": 45}
        kind = {"kind": "stages", "rules": rules, "reason": "因为春节", "row_version": 1}
        number, _set = definitions.save(conn, actor=people.root, **kind)  # type: ignore[arg-type]
    found = run("lifecycle", "show", "--as", "ana", "--json").document
    assert (found["stages"]["number"], found["stages"]["rules"]["risk_days"]) == (number, 45)
    assert found["scores"]["rules"]["recency"] is None
    assert "last order more than 45 days ago, and not lost" in run("lifecycle", "show").out
    listed = run("lifecycle", "versions", "stages", "--as", "ann", "--json").document
    latest = listed["rows"][0]
    assert (latest["number"], latest["in_force"], latest["reason"]) == (number, True, "因为春节")
    assert listed["rows"][-1]["by"] == ""
    assert "因为春节" in run("lifecycle", "versions", "stages", "--lang", "zh").out
    assert json.loads(run("lifecycle", "versions", "scores", "--json").out)["kind"] == "scores"
    assert run("lifecycle", "versions", "x").code == 2
