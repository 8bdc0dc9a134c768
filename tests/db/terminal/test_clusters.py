"""Clusters in the terminal, of everyone and of a segment, and why a customer is in a segment or is not."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from db import connection, derived, saved_segments
from db.connection import begin
from db.errors import Invalid, NotFound, Refused
from db.permissions import WORKER
from tests import make
from tests.db.terminal.calling import EMAIL, Run, Shop

OFTEN = {"all": [{"field": "orders", "op": ">", "value": 3}]}


@pytest.fixture
def habits(people: make.People) -> None:
    """Ann's customers: sixty with many small orders of late, sixty with one large one long ago."""
    with connection.begin_owner() as conn:
        for n in range(120):
            one = make.customer(conn, people.ann.user_id, name=f"No. {n}")
            if n % 2:
                make.order(conn, one, date(2026, 1, 5) + timedelta(days=n), str(900 + n))
                continue
            for k in range(5 + n % 3):
                make.order(conn, one, date(2026, 11, 15) - timedelta(days=9 * k + n % 7), str(10 + n % 5))
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)


@pytest.mark.usefixtures("habits")
def test_clusters_are_found_kept_counted_by_and_taken_back(run: Run, tmp_path: Path) -> None:
    found = run("cluster", "find", "--clusters", "2", "--keep", "By habit", "--as", "ann", "--json").document
    assert (found["of"], found["total"], len(found["clusters"])) == ("", 120, 2)
    assert sum(each["customers"] for each in found["clusters"]) == 120
    asked = tmp_path / "cluster.json"
    asked.write_text(json.dumps({"field": f"cluster.{found['id']}", "op": "in", "value": ["1"]}))
    n = run("segment", "count", asked, "--as", "ann", "--json").document["count"]
    assert n == found["clusters"][0]["customers"]
    [row] = run("cluster", "list", "--as", "mia", "--json").document["rows"]
    assert (row["name"], row["owner"], row["of"]) == ("By habit", "Ann", "")
    assert run("cluster", "archive", found["id"], "--as", "mia").code == Refused.code
    gone = run("cluster", "archive", found["id"], "--as", "ann", "--json").document
    assert run("cluster", "list", "--as", "ann", "--json").document["rows"] == []
    assert run("undo", gone["change_set_id"], "--as", "ann").code == 0
    assert len(run("cluster", "list", "--json").document["rows"]) == 1
    assert "By habit" in run("cluster", "list", "--lang", "zh").out


@pytest.mark.usefixtures("habits")
def test_clusters_of_a_segment_are_of_its_members(run: Run, tmp_path: Path) -> None:
    rule = tmp_path / "often.json"
    rule.write_text(json.dumps(OFTEN))
    kept = run("segment", "save", "Often", rule, "--as", "ann", "--json").document["id"]
    who = ("--as", "ann", "--json")
    found = run("cluster", "find", "--segment", kept, "--clusters", "2", "--by", "recency", "basket", *who).document
    assert (found["of"], found["total"]) == (f"s{kept}", 60)
    assert sum(each["customers"] for each in found["clusters"]) == 60
    assert run("cluster", "find", "--ready", "stage_prospect", *who).document["clusters"] == []
    assert run("cluster", "find", "--segment", kept, "--as", "cho").code == NotFound.code
    assert run("cluster", "find", "--ready", "no such one", "--as", "ann").code == NotFound.code
    nobody = run("cluster", "find", "--as", "cho", "--keep", "x")
    assert (nobody.code, nobody.out) == (Invalid.code, "")
    assert run("cluster", "find", "--segment", kept, "--ready", "champions").code == 2


def test_why_in_and_why_not(run: Run, shop: Shop, tmp_path: Path) -> None:
    rule = tmp_path / "rule.json"
    parts = [{"field": "orders", "op": ">", "value": 2}, {"field": "region", "op": "in", "value": ["South"]}]
    rule.write_text(json.dumps({"all": parts}))
    found = run("segment", "why", shop.ann, "--rule", rule, "--as", "ann", "--json").document
    assert found["fits"] is False
    assert found["decisive"] == [
        {"condition": parts[1], "sentence": "Region is South", "holds": False, "value": "North"}
    ]
    assert [each["condition"] for each in found["turn"]] == [parts[1]]
    told = run("segment", "why", shop.ann, "--rule", rule, "--as", "ann").out
    assert "张三 is not in." in told
    assert "Would be in as soon as “Region is South” holds." in told
    assert "所在地区" not in told
    assert run("segment", "why", shop.bo, "--rule", rule, "--as", "ann").code == NotFound.code
    assert run("segment", "why", shop.ann, "--as", "ann").code == 2, "one of the three is needed"


def test_why_tells_masked_roles_no_contacts(run: Run, shop: Shop, tmp_path: Path) -> None:
    told = run("segment", "why", shop.ann, "--ready", "stage_repeat", "--as", "ana").out
    assert f"#{shop.ann} is in." in told
    assert EMAIL not in told
    rule = tmp_path / "rule.json"
    rule.write_text('{"field": "email", "op": "in", "value": ["yes"]}')
    assert run("segment", "why", shop.ann, "--rule", rule, "--as", "ana").code == Refused.code


def test_segments_are_listed_by_words_folder_and_tag(run: Run, people: make.People, rule: Path) -> None:
    for name, folder, tag in (("重要客户", "Spring", "VIP"), ("Zebra", "Spring", "mail"), ("Other", "", "vip")):
        with begin(people.ann, write=True) as conn:
            saved_segments.save(conn, actor=people.ann, name=name, rule=rule.read_text(), folder=folder, tags=(tag,))

    def names(*options: str) -> list[str]:
        return [row["name"] for row in run("segment", "list", *options, "--as", "ann", "--json").document["rows"]]

    assert names("--search", "zhongyao") == ["重要客户"]
    assert names("--folder", "spring") == ["Zebra", "重要客户"]
    assert names("--tag", "vip") == ["Other", "重要客户"]
    assert names("--folder", "Spring", "--tag", "MAIL", "--search", "z") == ["Zebra"]
    assert "No segment fits" in run("segment", "list", "--folder", "none", "--as", "ann").out
    rows = run("segment", "list", "--ready", "--search", "champions", "--json").document["rows"]
    assert [row["code"] for row in rows] == ["champions"]
