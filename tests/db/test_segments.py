"""Segments: counts against the slow way, everyone in parts, and what is withheld from whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Connection, text, update

from db import clock, connection, derived, lifecycle, rule_words, rules, saved_segments, schema, scores, segments
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, Refused
from db.permissions import NOBODY, WORKER, Permission
from tests import make
from tests.db.segment_data import BIG, EVERYONE, TODAY, Data, _one, counted, filled, seen
from tests.db.segment_rules import CATEGORIES, RULES


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    with filled(server, template) as made:
        yield made


# --- counts ----------------------------------------------------------------------------------------------------------


def test_every_count_is_that_of_the_slow_way(data: Data) -> None:
    with begin(data.people.root) as conn, begin(data.people.mia) as of_mia:

        @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(RULES)
        def holds(rule: Any) -> None:
            written = json.dumps(rule)
            for viewer, asked in ((data.people.root, conn), (data.people.mia, of_mia)):
                slow = sum(data.world.fits(rule, person) for person in seen(data, viewer))
                assert segments.count(asked, viewer=viewer, rule=written, today=TODAY) == slow
                whole = len(seen(data, viewer))
                none = segments.count(asked, viewer=viewer, rule=json.dumps({"none": [rule]}), today=TODAY)
                assert slow + none == whole, "who fits and who does not are everyone"

        holds()


def test_everyone_in_parts(data: Data) -> None:
    for viewer in data.people.everyone:
        people = seen(data, viewer)
        fitting = [p for p in people if sum(o.amount for o in p.orders if not o.foreign) > 20]
        with begin(viewer) as conn:
            found = segments.explore(conn, viewer=viewer, rule=BIG, today=TODAY)
            effects = list(found.effects)
            assert segments.explore(conn, viewer=viewer, rule=EVERYONE, today=TODAY).effects == ()
            both = segments.counts(conn, viewer=viewer, rules=(BIG, EVERYONE), today=TODAY)
            assert both == (found.customers, found.everyone)
        assert (found.customers, found.everyone, effects) == (len(fitting), len(people), [len(fitting)])
        for dimension, rows in found.spread.groupby("dimension"):
            assert rows["customers"].sum() == found.customers, dimension
            assert rows["everyone"].sum() == found.everyone, dimension
        of_region = found.spread[found.spread["dimension"] == "region"].set_index("value")
        for region in {p.region for p in people}:
            wanted = (sum(p.region == region for p in fitting), sum(p.region == region for p in people))
            assert tuple(of_region.loc[region, ["customers", "everyone"]]) == wanted
        assert found.bounds_at == clock.now()


BIG_OR_NORTHERN = (
    '{"any":[{"field":"revenue","op":">","value":20},{"none":[{"field":"region","op":"not in","value":["North"]}]}]}'
)


def test_nobody_counts_lists_or_exports_the_customers_of_others(data: Data) -> None:
    """By every way to ask, as every role: what the slow way finds among those whom they may see, and no other."""
    by_id = dict(zip(data.ids, data.world.people, strict=True))
    for viewer in data.people.everyone:
        for written in (EVERYONE, BIG, BIG_OR_NORTHERN, _one("bought_category", "any of", {"of": ["BEEF"]})):
            rule = json.loads(written)
            wanted = {i for i, p in by_id.items() if p in seen(data, viewer) and data.world.fits(rule, p)}
            options: dict[str, Any] = {"viewer": viewer, "rule": written, "today": TODAY}
            with begin(viewer) as conn:
                found = segments.explore(conn, **options)
                page = segments.preview(conn, **options, limit=500)
                several = segments.counts(conn, viewer=viewer, rules=(written, EVERYONE), today=TODAY)
                assert segments.count(conn, **options) == found.customers == page.total == len(wanted)
                assert several == (len(wanted), len(seen(data, viewer)))
                assert {int(i) for i in page.rows["id"]} == wanted
                if viewer.can(Permission.CUSTOMERS_EXPORT):
                    assert {row["id"] for row in segments.export(conn, **options)} == wanted
    names = {f"P{n:02}" for n in range(60)}
    for masked in (data.people.ana, data.people.mark):
        with begin(masked) as conn:
            rows = segments.preview(conn, viewer=masked, rule=EVERYONE, today=TODAY, limit=500).rows
        assert names.isdisjoint(rows["name"])
        assert set(rows["phone"]) == {""}


def test_the_day_of_entry_is_the_companys(data: Data) -> None:
    """At three in the morning in London it is still the day before in New York."""
    late = [p for p in data.world.people if p.created_at.hour < 4 and not p.archived]
    assert late
    for person in late:
        here, there = person.created_at.date(), (person.created_at - timedelta(days=1)).date()
        of_day = [p for p in seen(data, data.people.root) if data.world.fits(_leaf_on(there), p)]
        assert person in of_day
        assert counted(data.people.root, json.dumps(_leaf_on(there))) == len(of_day)
        assert not data.world.fits(_leaf_on(here), person)
    for instant, day in (("04:59:59", "2026-01-14"), ("05:00:00", "2026-01-15")):
        with connection.begin_owner() as conn:
            one = make.customer(conn, data.people.ann.user_id, name="Night owl")
            c = schema.customers
            at = datetime.fromisoformat(f"2026-01-15T{instant}+00:00")
            conn.execute(update(c).where(c.c.id == one).values(created_at=at))
            conn.execute(text("SET LOCAL ROLE kehu_admin; SET LOCAL TimeZone = 'UTC'"))
            rule = json.dumps({"all": [_leaf_on(date.fromisoformat(day))]})
            ids = segments.preview(conn, viewer=data.people.root, rule=rule, today=TODAY, limit=500).rows["id"]
            assert one in set(ids)
            conn.rollback()


def _leaf_on(day: date) -> dict[str, Any]:
    return {"field": "created_on", "op": "on", "value": day.isoformat()}


def test_archiving_takes_a_customer_out_of_every_number_and_back(data: Data) -> None:
    root = data.people.root
    written = json.dumps({"all": [{"field": "region", "op": "in", "value": ["Archive"]}]})

    def numbers(conn: Connection) -> set[int]:
        options: dict[str, Any] = {"viewer": root, "rule": written, "today": TODAY}
        found = segments.explore(conn, **options)
        assert found.effects == (found.customers,)
        assert found.spread["customers"].sum() == found.customers * len(segments.DIMENSIONS)
        page = segments.preview(conn, **options)
        assert page.total == len(page.rows)
        [several] = segments.counts(conn, viewer=root, rules=(written,), today=TODAY)
        exported = len(list(segments.export(conn, **options)))
        return {segments.count(conn, **options), found.customers, page.total, several or 0, exported}

    with connection.begin_owner() as conn:
        ids = [make.customer(conn, NOBODY, name=f"A{n}", region="Archive") for n in range(3)]
        assert numbers(conn) == {3}
        c = schema.customers
        conn.execute(update(c).where(c.c.id == ids[0]).values(archived_at=clock.now()))
        assert numbers(conn) == {2}
        assert segments.choices(conn, viewer=root, fields=("region",))["region"].count("Archive") == 1
        conn.execute(update(c).where(c.c.id.in_(ids)).values(archived_at=clock.now()))
        assert numbers(conn) == {0}
        assert "Archive" not in segments.choices(conn, viewer=root, fields=("region",))["region"]
        conn.execute(update(c).where(c.c.id.in_(ids)).values(archived_at=None))
        assert numbers(conn) == {3}
        conn.rollback()


def test_hostile_options_of_the_preview(data: Data) -> None:
    root = data.people.root
    with begin(root) as conn:
        for sort in ("", "phone", "id; DROP TABLE customers", "name\0"):
            with pytest.raises(Invalid, match="cannot be sorted"):
                segments.preview(conn, viewer=root, rule=EVERYONE, today=TODAY, sort=sort)
        for sort in ("name", "revenue", "orders", "last_order", "newest"):
            page = segments.preview(conn, viewer=root, rule=EVERYONE, today=TODAY, sort=sort, offset=-5, limit=-1)
            assert len(page.rows) == 1
        assert segments.preview(conn, viewer=root, rule=EVERYONE, today=TODAY, offset=10**6).rows.empty
        assert len(segments.preview(conn, viewer=root, rule=EVERYONE, today=TODAY, limit=10**9).rows) == 55
        empty = segments.preview(conn, viewer=root, rule='{"any":[]}', today=TODAY)
        assert (empty.total, empty.rows.empty) == (0, True)


def test_values_that_look_like_sql_or_fit_nobody_count_exactly(data: Data) -> None:
    root = data.people.root
    odd = ["' OR 1=1 --", "%", "_", "\\", "$1", "%(x)s", ":a", "客户", "🙂", "\u0301", "'; DROP TABLE customers; --"]
    for field in ("region", "city"):
        for value in odd:
            rule = json.dumps({"all": [{"field": field, "op": "in", "value": [value]}]})
            slow = sum(p.region == value for p in seen(data, root)) if field == "region" else 0
            assert counted(root, rule) == slow, value
    for ids in ([1], [2**63 - 1], list(range(1, 201))):
        assert counted(root, _one("received", "any of", ids)) + counted(root, _one("received", "none of", ids)) == 55
    edge = {"of": ["BEEF"], "from": "1900-01-01", "to": "2199-12-31"}
    assert counted(root, _one("bought_category", "any of", edge)) == counted(
        root, _one("bought_category", "any of", ["BEEF"])
    )
    assert counted(root, _one("last_order_on", "in the last", 36_500)) == counted(
        root, _one("last_order_on", "not empty")
    )


def test_a_rule_at_every_limit_at_once_is_counted(data: Data) -> None:
    leaf = {"field": "bought_category", "op": "none of", "value": {"of": ["BEEF"], "last_days": 9}}
    many: Any = [dict(leaf) for _n in range(rules.MOST_CONDITIONS)]
    deep: Any = {"any": many}
    for match in ("all", "none", "none", "all"):
        deep = {match: [deep]}
    assert counted(data.people.root, json.dumps(deep)) == sum(
        data.world.fits(leaf, p) for p in seen(data, data.people.root)
    )


def test_the_preview_is_as_long_as_the_count(data: Data) -> None:
    root = data.people.root
    with begin(root) as conn:
        pages = [segments.preview(conn, viewer=root, rule=BIG, today=TODAY, offset=n, limit=7) for n in range(0, 60, 7)]
        exported = list(segments.export(conn, viewer=root, rule=BIG, today=TODAY))
    rows = pd.concat([p.rows for p in pages if not p.rows.empty])
    assert {p.total for p in pages} == {len(rows)} == {counted(root, BIG)} == {len(exported)}
    assert rows["id"].is_unique
    assert rows["revenue"].is_monotonic_decreasing
    assert (rows["revenue"] > 20).all()
    assert [row["name"] for row in exported] == sorted(row["name"] for row in exported)


def test_scores_of_equal_values_are_equal_and_none_without_orders(data: Data) -> None:
    with begin(WORKER) as conn:
        bounds, _made = scores.bounds(conn)
        lengths = {"recency": 4, "frequency": 4, "monetary": 4, "value": 9, "stages": 6}
        assert {name: len(b) for name, b in bounds.items()} == lengths
    by_score = [counted(data.people.root, _one("m_score", "in", [s])) for s in "12345"]
    assert sum(by_score) == sum(bool(p.orders) for p in seen(data, data.people.root))
    assert counted(data.people.root, _one("m_score", "empty")) == len(seen(data, data.people.root)) - sum(by_score)


def test_without_a_single_order_nobody_has_a_score(clone: str) -> None:
    people = make.people()
    with connection.begin_owner() as conn:
        make.customer(conn, people.ann.user_id)
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
        assert scores.bounds(conn) == ({"stages": lifecycle.DEFAULT.numbers()}, None)
    assert counted(people.root, _one("r_score", "in", ["5"])) == 0
    assert counted(people.root, _one("r_score", "empty")) == 1
    with begin(people.root) as conn:
        found = segments.explore(conn, viewer=people.root, rule=EVERYONE, today=TODAY)
        assert (found.customers, found.everyone, found.bounds_at) == (1, 1, None)


def test_ready_made_segments_are_rules_like_any_other(data: Data) -> None:
    for code, (name, rule) in saved_segments.ready().items():
        assert name, code
        slow = sum(data.world.fits(rules.data_of(rule), p) for p in seen(data, data.people.root))
        assert counted(data.people.root, rules.written(rule)) == slow, code


# --- what is withheld ------------------------------------------------------------------------------------------------


def test_a_masked_role_cannot_count_by_what_is_hidden_from_it(data: Data) -> None:
    rule = _one("phone", "in", ["yes"])
    assert counted(data.people.root, rule) == sum(
        bool(n % 3) for n, p in enumerate(data.world.people) if not p.archived
    )
    for viewer in (data.people.ana, data.people.mark):
        for query in (segments.count, segments.explore, segments.preview):
            with begin(viewer) as conn, pytest.raises(Refused, match="cannot count by: Has a phone"):
                query(conn, viewer=viewer, rule=rule, today=TODAY)
        with begin(viewer, write=True) as conn, pytest.raises(Refused, match="cannot count by"):
            saved_segments.save(conn, actor=viewer, name="x", rule=rule)
        deep = json.dumps({"any": [{"none": [json.loads(rule)]}]})
        with begin(viewer) as conn, pytest.raises(Refused):
            segments.count(conn, viewer=viewer, rule=deep, today=TODAY)
        with begin(viewer) as conn:
            assert segments.counts(conn, viewer=viewer, rules=(deep, EVERYONE, rule), today=TODAY) == (
                None,
                len(seen(data, viewer)),
                None,
            )
    with begin(data.people.ana) as conn, pytest.raises(Refused, match="cannot count by"):
        segments.export(conn, viewer=data.people.ana, rule=rule, today=TODAY)


def test_choices_and_names(data: Data) -> None:
    ann, root = data.people.ann, data.people.root
    with begin(ann) as conn:
        assert set(segments.choices(conn, viewer=ann, fields=("region",))["region"]) == {
            p.region for p in seen(data, ann)
        } - {""}
    with begin(root) as conn:
        assert segments.choices(conn, viewer=root, fields=("bought_category",))["bought_category"] == sorted(CATEGORIES)
        assert segments.choices(conn, viewer=root, fields=("stage", "region"))["stage"][0] == "prospect"
        assert list(segments.products(conn, viewer=root, words="P2")) == [2]
        assert segments.products(conn, viewer=root, words="  ") == {}
        assert segments.products(conn, viewer=root, words="% _ '; --") == {}
        for field in ("owner", "orders", "nonsense", "received"):
            with pytest.raises(Invalid, match="has no list of values"):
                segments.choices(conn, viewer=root, fields=(field,))
        rule = json.dumps(
            {
                "all": [
                    {"field": "owner", "op": "in", "value": [ann.user_id, 99]},
                    {"field": "redeemed", "op": "any of", "value": [2]},
                    {"field": "bought_product", "op": "any of", "value": [1]},
                    {"field": "funnel", "op": "reached", "value": {"campaign": 1, "step": "bought"}},
                    {"field": "stage", "op": "in", "value": ["at_risk"]},
                ]
            }
        )
        known = segments.names(conn, viewer=root, rule=rule)
    assert rule_words.sentence(rules.parse_text(rule), segments.called(known)) == (
        "Owner is (Ann or #99) and redeemed in campaign “C2” and bought product p1 "
        "and C1: “Bought in the window” reached and stage is At risk"
    )
