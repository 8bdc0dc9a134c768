"""A segment against everyone by city and by the scores: parts that add up, within each viewer's rights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from db import connection, schema, segment_spread, segments
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, Refused
from tests.db.segment_data import BIG, TODAY, Data, _one, counted, filled, seen


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    with filled(server, template) as made:
        with connection.begin_owner() as conn:
            c = schema.customers
            conn.execute(update(c).values(city=c.c.region + "ville").where(c.c.region != ""))
        yield made


def test_parts_add_up_to_the_segment_and_to_everyone(data: Data) -> None:
    for viewer in data.people.everyone:
        with begin(viewer) as conn:
            whole = segments.explore(conn, viewer=viewer, rule=BIG, today=TODAY)
            for by in segment_spread.MORE:
                rows = segment_spread.spread(conn, viewer=viewer, rule=BIG, today=TODAY, by=by)
                assert (rows["customers"].sum(), rows["everyone"].sum()) == (whole.customers, whole.everyone), by
                assert rows["value"].is_unique
                assert "" not in list(rows["value"])[:-1], "what is not known stands last"
            cities = segment_spread.spread(conn, viewer=viewer, rule=BIG, today=TODAY, by="city")
        wanted = Counter(p.region and p.region + "ville" for p in seen(data, viewer))
        assert dict(zip(cities["value"], cities["everyone"], strict=True)) == dict(wanted)
        assert list(cities["everyone"][cities["value"] != ""]) == sorted(
            (n for value, n in wanted.items() if value), reverse=True
        )


def test_scores_stand_in_their_order_and_are_those_that_rules_count(data: Data) -> None:
    root = data.people.root
    with begin(root) as conn:
        rows = segment_spread.spread(conn, viewer=root, rule='{"all":[]}', today=TODAY, by="r_score")
    known = [value for value in rows["value"] if value]
    assert known == sorted(known)
    for value, n in zip(rows["value"], rows["everyone"], strict=True):
        if value:
            assert counted(root, _one("r_score", "in", [value])) == n


def test_other_fields_and_hidden_ones_are_refused(data: Data) -> None:
    root, ana = data.people.root, data.people.ana
    for by in ("phone", "stage", "", "city; DROP TABLE customers"):
        with begin(root) as conn, pytest.raises(Invalid):
            segment_spread.spread(conn, viewer=root, rule=BIG, today=TODAY, by=by)
    with begin(ana) as conn, pytest.raises(Refused):
        segment_spread.spread(conn, viewer=ana, rule=_one("phone", "in", ["yes"]), today=TODAY, by="city")
