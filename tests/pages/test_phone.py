"""What a phone has in place of what only a desktop is wide enough for: it says the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import insert

from db import clock, connection, definitions, derived, schema
from db.connection import begin
from db.embedded import Server
from db.lifecycle import StageRules
from db.permissions import WORKER
from tests import make
from tests.pages.visits import database, said, signed_in, sound


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's two were repeat buyers on 31 August, one is at risk on 31 October."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            both = [make.customer(conn, made.ann.user_id, name=name) for name in ("Stays", "Falls")]
            make.order(conn, make.customer(conn, made.cho.user_id, name="Old"), date(2026, 1, 2), "10.00")
            for who, *days in (
                (both[0], date(2026, 3, 1), date(2026, 8, 20), date(2026, 10, 20)),
                (both[1], date(2026, 3, 1), date(2026, 8, 20)),
            ):
                for day in days:
                    make.order(conn, who, day, "10.00")
            conn.execute(
                insert(schema.touched_customers), [{"customer_id": i, "touched_at": clock.now()} for i in both]
            )
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield made


def test_each_class_has_a_line_with_what_became_of_it(people: make.People) -> None:
    app = sound(signed_in(people.ann, "flows", flows_days="2026-10-31,2026-08-31"))
    told = said(app)
    assert "kehu_narrow_flows_matrix" in told
    assert "- **Repeat buyer: 2** → Repeat buyer: 1 · 50.0%, At risk: 1 · 50.0%" in told.replace("\u00a0", " ")
    app = sound(signed_in(people.ann, "flows", language="zh_CN", flows_days="2026-10-31,2026-08-31"))
    assert "- **多次购买：2** → " in said(app)


def test_each_version_of_the_rules_is_told_in_lines(people: make.People) -> None:
    with begin(people.root, write=True) as conn:
        draft = {**StageRules().__dict__, "loyal_orders": 4}
        row = definitions.in_force(conn, viewer=people.root, kind="stages").row_version
        definitions.save(
            conn, actor=people.root, kind="stages", rules=draft, reason="Few <b>buy</b>\n# x", row_version=row
        )
    told = said(sound(signed_in(people.ann, "lifecycle")))
    lines = told[told.index("kehu_narrow_versions") :]
    assert "**Version 2 · In force**" in lines
    assert "Few <b>buy</b> # x" in lines
    assert "**Version 1 · Replaced**" in lines
    assert "Loyal: 4 orders or more" in lines


def test_the_count_stands_above_the_builder(people: make.People) -> None:
    rule = '{"all":[{"field":"orders","op":">","value":2}]}'
    told = said(sound(signed_in(people.ann, "segment", segment_rule=rule)))
    brief = told.index("kehu_narrow_count")
    assert told[brief:].splitlines()[1] == "**1** · 50.0% of your 2 customers"
    assert brief < told.index("segment_line_")
