"""Segments: counts against the slow way, everyone in parts, kept rules, and who may see and change them."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from db import clock, connection, customer, derived, rule_words, rules, saved_segments, schema, scores, segments
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from db.permissions import NOBODY, WORKER, Permission, Role, Viewer
from db.saved_segments import Segment
from db.undo import undo
from tests import conftest, make
from tests.db.segment_rules import CATEGORIES, REGIONS, RULES, Order, Person, World

TODAY = date(2026, 3, 31)
ZONE = "America/New_York"
EVERYONE = '{"all":[]}'
BIG = '{"all":[{"field":"revenue","op":">","value":20}]}'
WINDOWS = {1: (date(2026, 1, 10), date(2026, 1, 31)), 2: (date(2026, 3, 1), date(2026, 3, 20))}
PROMOTED = {1: {1}, 2: {2, 3}}


@dataclass(frozen=True)
class Data:
    people: make.People
    world: World
    ids: list[int]


def made_up(people: make.People) -> list[Person]:
    """Sixty customers of three owners and nobody, a few without orders, a few archived; the same every time."""
    rng = random.Random(5)
    owners = [people.ann.user_id, people.bo.user_id, people.cho.user_id, NOBODY]
    found = []
    for n in range(60):
        person = Person(rng.choice(owners), rng.choice(["", *REGIONS]), rng.choice(["", "19-24", "25-34"]), n % 12 == 7)
        person.phone = "138 0013 8000" if n % 3 else ""
        # At any hour: between midnight in London and midnight in New York the days differ.
        person.created_at = datetime(2025, 12, 1, tzinfo=UTC) + timedelta(hours=rng.randrange(120 * 24))
        for _order in range(rng.choice([0, 0, 1, 2, 3, 6])):
            day = date(2025, 12, 1) + timedelta(days=rng.randrange(120))
            lines = [(n, CATEGORIES[n - 1]) for n in rng.sample([1, 2, 3], rng.choice([1, 2]))]
            amount = Decimal(rng.choice(["5", "10", "10.01", "20"]))
            person.orders.append(Order(day, amount, lines, foreign=rng.random() < 0.15))
        for campaign, (starts, _ends) in WINDOWS.items():
            if rng.random() < 0.5:
                redemptions = rng.choice([0, 0, 1, 2])
                person.campaigns[campaign] = (starts, redemptions, starts + timedelta(days=3) if redemptions else None)
        found.append(person)
    return found


def _fill(conn: Connection, persons: list[Person]) -> list[int]:
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    conn.execute(insert(schema.settings).values(key="time_zone", value=ZONE, **stamps))
    for n, (starts, ends) in WINDOWS.items():
        values = {"id": n, "name": f"C{n}", "starts_on": starts, "ends_on": ends}
        conn.execute(insert(schema.campaigns).values(**values, **stamps))
    for n, category in enumerate(CATEGORIES, 1):
        conn.execute(insert(schema.products).values(id=n, sku=f"s{n}", name=f"p{n}", category=category))
    pairs = [{"campaign_id": c, "product_id": p} for c, listed in PROMOTED.items() for p in listed]
    conn.execute(insert(schema.campaign_products), pairs)
    ids = []
    for n, person in enumerate(persons):
        archived = clock.now() if person.archived else None
        values = {"region": person.region, "age_band": person.age, "archived_at": archived}
        one = make.customer(conn, person.owner, name=f"P{n:02}", phone=person.phone, **values)
        c = schema.customers
        conn.execute(update(c).where(c.c.id == one).values(created_at=person.created_at))
        ids.append(one)
        for order in person.orders:
            currency = "EUR" if order.foreign else "USD"
            order_id = make.order(conn, one, order.day, str(order.amount), currency=currency)
            for product, _category in order.lines:
                line = {"customer_id": one, "order_id": order_id, "product_id": product, "quantity": 1, "amount": 1}
                conn.execute(insert(schema.order_items).values(**line))
        for campaign, (received, redemptions, first) in person.campaigns.items():
            member = {"customer_id": one, "campaign_id": campaign, "received_on": received}
            conn.execute(
                insert(schema.campaign_members).values(**member, redemptions=redemptions, first_redeemed_on=first)
            )
    return ids


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    name = f"segments_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        persons = made_up(people)
        with connection.begin_owner() as conn:
            ids = _fill(conn, persons)
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield Data(people, World(persons, WINDOWS, PROMOTED, TODAY, ZONE), ids)


@pytest.fixture
def kept(data: Data) -> Iterator[make.People]:
    """The people; what they keep is gone afterwards."""
    yield data.people
    with connection.begin_owner() as conn:
        conn.execute(text("TRUNCATE segments, changes, change_sets CASCADE"))


def counted(viewer: Viewer, rule: str) -> int:
    with begin(viewer) as conn:
        return segments.count(conn, viewer=viewer, rule=rule, today=TODAY)


def seen(data: Data, viewer: Viewer) -> list[Person]:
    return [p for p in data.world.people if not p.archived and (not viewer.scoped or p.owner in viewer.owner_ids)]


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
        assert {len(b) for b in bounds.values()} == {4}
    by_score = [counted(data.people.root, _one("m_score", "in", [s])) for s in "12345"]
    assert sum(by_score) == sum(bool(p.orders) for p in seen(data, data.people.root))
    assert counted(data.people.root, _one("m_score", "empty")) == len(seen(data, data.people.root)) - sum(by_score)


def _one(field: str, op: str, value: Any = None) -> str:
    leaf = {"field": field, "op": op} | ({} if value is None else {"value": value})
    return json.dumps({"all": [leaf]})


def test_without_a_single_order_nobody_has_a_score(clone: str) -> None:
    people = make.people()
    with connection.begin_owner() as conn:
        make.customer(conn, people.ann.user_id)
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
        assert scores.bounds(conn) == ({}, None)
    assert counted(people.root, _one("r_score", "in", ["5"])) == 0
    assert counted(people.root, _one("r_score", "empty")) == 1
    with begin(people.root) as conn:
        found = segments.explore(conn, viewer=people.root, rule=EVERYONE, today=TODAY)
        assert (found.customers, found.everyone, found.bounds_at) == (1, 1, None)


def test_ready_made_segments_are_rules_like_any_other(data: Data) -> None:
    for code, (name, rule) in saved_segments.ready().items():
        assert name, code
        slow = sum(data.world.fits(rules.data_of(rule), p) for p in seen(data, data.people.root) if _known(rule))
        if _known(rule):
            assert counted(data.people.root, rules.written(rule)) == slow, code
        assert counted(data.people.root, rules.written(rule)) >= 0


def _known(rule: rules.Group) -> bool:
    """The slow way knows no frequency."""
    return all(c.field.key != "f_score" for c in rules.conditions(rule))


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


def test_nor_by_the_segment_of_somebody_who_may(kept: make.People) -> None:
    """They see that it exists and what it says, and cannot count, list, copy or take it over."""
    both = json.dumps({"all": [{"field": f, "op": "in", "value": ["yes"]} for f in ("phone", "email")]})
    segment_id, _set = keep(kept.ann, "Reachable", both, shared=True)
    mine, _set = keep(kept.mark, "Mine")
    for viewer in (kept.ana, kept.mark):
        borrowed = rules.written(get(viewer, segment_id).rule)
        for query in (segments.count, segments.explore, segments.preview):
            with begin(viewer) as conn, pytest.raises(Refused, match="cannot count by: Has a phone, Has an e-mail"):
                query(conn, viewer=viewer, rule=borrowed, today=TODAY)
        with begin(viewer) as conn:
            assert segments.counts(conn, viewer=viewer, rules=(borrowed,), today=TODAY) == (None,)
        with pytest.raises(Refused):
            keep(viewer, "Copy", borrowed)
    with pytest.raises(Refused):
        keep(kept.mark, "Mine", borrowed, segment_id=mine, version=1)
    # An administrator changes Mark's own: it is still refused to him, and the undo of it is not his.
    _same, changed = keep(kept.root, "Mine", both, segment_id=mine, version=1)
    with pytest.raises(Refused):
        counted(kept.mark, rules.written(get(kept.mark, mine).rule))
    with pytest.raises((NotFound, Refused)):
        take_back(kept.mark, changed)


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
        "Owner one of (Ann, #99) and Redeemed in campaign any of (C2) and Bought product any of (p1) "
        "and C1: “Bought in the window” reached and Stage = At risk"
    )


# --- kept under a name -----------------------------------------------------------------------------------------------


def keep(viewer: Viewer, name: str = "Big", rule: str = BIG, **options: Any) -> tuple[int, int]:
    with begin(viewer, write=True) as conn:
        return saved_segments.save(conn, actor=viewer, name=name, rule=rule, **options)


def get(viewer: Viewer, segment_id: int) -> Segment:
    with begin(viewer) as conn:
        return saved_segments.get(conn, viewer=viewer, segment_id=segment_id)


def names_of(viewer: Viewer, **options: Any) -> list[str]:
    with begin(viewer) as conn:
        return [s.name for s in saved_segments.saved(conn, viewer=viewer, **options)]


def take_back(viewer: Viewer, set_id: int) -> int:
    with begin(viewer, write=True) as conn:
        return undo(conn, actor=viewer, change_set_id=set_id, source="screen").change_set_id


def stories(viewer: Viewer, segment_id: int) -> list[str]:
    with begin(viewer) as conn:
        return [row["command"] for row in saved_segments.history(conn, viewer=viewer, segment_id=segment_id)]


def test_each_role_keeps_changes_archives_and_takes_back_its_own(kept: make.People) -> None:
    for viewer in (kept.ann, kept.mia, kept.ana, kept.mark, kept.root):
        segment_id, added = keep(viewer, description="  for\u202e Monday ")
        one = get(viewer, segment_id)
        assert (one.name, one.description, one.shared, one.mine, one.version) == ("Big", "for Monday", False, True, 1)
        assert rules.written(one.rule) == BIG
        _same, edited = keep(viewer, "Everyone", EVERYONE, segment_id=segment_id, version=1, shared=True)
        assert (get(viewer, segment_id).name, get(viewer, segment_id).shared) == ("Everyone", True)
        with begin(viewer, write=True) as conn:
            archived = saved_segments.archive(conn, actor=viewer, segment_id=segment_id)
        assert "Everyone" not in names_of(viewer)
        assert "Everyone" in names_of(viewer, archived=True)
        assert stories(viewer, segment_id) == ["segment.archive", "segment.save", "segment.add"]
        take_back(viewer, archived)
        take_back(viewer, edited)
        one = get(viewer, segment_id)
        assert (one.name, one.shared, rules.written(one.rule)) == ("Big", False, BIG)
        gone = take_back(viewer, added)
        with pytest.raises(NotFound):
            get(viewer, segment_id)
        take_back(viewer, gone)
        assert get(viewer, segment_id).name == "Big"
        assert counted(viewer, rules.written(get(viewer, segment_id).rule)) >= 0


def test_a_private_segment_is_its_owners_alone(kept: make.People) -> None:
    for owner, others in ((kept.ann, (kept.bo, kept.mia, kept.ana)), (kept.ana, (kept.mark, kept.ann, kept.mia))):
        segment_id, set_id = keep(owner, f"Private of {owner.username}")
        for other in others:
            with pytest.raises(NotFound):
                get(other, segment_id)
            assert f"Private of {owner.username}" not in names_of(other)
            assert stories(other, segment_id) == []
            with pytest.raises(NotFound):
                keep(other, segment_id=segment_id)
            with begin(other, write=True) as conn, pytest.raises(NotFound):
                saved_segments.archive(conn, actor=other, segment_id=segment_id)
            with pytest.raises((NotFound, Refused)):
                take_back(other, set_id)
        assert get(kept.root, segment_id).mine, "an administrator sees and changes all"


def test_a_shared_segment_is_seen_by_all_and_changed_by_its_owner(kept: make.People) -> None:
    segment_id, set_id = keep(kept.ana, "Ours", shared=True)
    for other in (kept.ann, kept.mia, kept.mark):
        assert (get(other, segment_id).owner, get(other, segment_id).mine) == ("Ana", False)
        assert stories(other, segment_id) == ["segment.add"]
        with pytest.raises(Refused, match="Only its owner changes a segment"):
            keep(other, segment_id=segment_id)
        with begin(other, write=True) as conn, pytest.raises(Refused):
            saved_segments.archive(conn, actor=other, segment_id=segment_id)
        with pytest.raises((NotFound, Refused)):
            take_back(other, set_id)
    keep(kept.root, "Ours, mended", segment_id=segment_id, version=1, shared=True)
    assert get(kept.ana, segment_id).name == "Ours, mended"
    assert stories(kept.ana, segment_id) == ["segment.save", "segment.add"]


def test_the_database_refuses_what_the_commands_would(kept: make.People) -> None:
    mine, _set = keep(kept.ana, "Mine", shared=True)
    for other in (kept.ann, kept.mark):
        for statement in (
            "UPDATE segments SET name = 'x'",
            "DELETE FROM segments",
            "UPDATE segments SET owner_id = nullif(current_setting('kehu.user_id'), '')::bigint",
        ):
            with begin(other, write=True) as conn:
                assert conn.exec_driver_sql(statement).rowcount == 0, statement
        with begin(other, write=True) as conn, pytest.raises(DBAPIError, match="row-level security"):
            forged = {"name": "forged", "rule": {}, "created_at": clock.now(), "updated_at": clock.now()}
            conn.execute(insert(schema.segments).values(owner_id=kept.ana.user_id, **forged))
    with begin(kept.mark, write=True) as conn:  # the writing role of masked people sees no customer at all
        for name in ("customers", "orders", "notes", "campaign_members", "customer_metrics", "users", "exports"):
            with pytest.raises(DBAPIError, match="permission denied"), conn.begin_nested():
                conn.execute(text(f"SELECT * FROM public.{name}"))  # noqa: S608  (names from this test)
        assert conn.scalar(text("SELECT count(*) FROM changes")) == 0
        assert conn.scalar(text("SELECT count(*) FROM change_sets")) == 0
    with connection.begin_owner() as conn:
        assert conn.scalar(select(schema.segments.c.name).where(schema.segments.c.id == mine)) == "Mine"


def test_two_editors_at_once(kept: make.People) -> None:
    segment_id, _set = keep(kept.ann)
    keep(kept.ann, "First", segment_id=segment_id, version=1)
    with pytest.raises(Conflict, match="changed meanwhile"):
        keep(kept.ann, "Second", segment_id=segment_id, version=1)
    assert get(kept.ann, segment_id).name == "First"


@pytest.mark.parametrize(
    ("name", "problem"), [("", "needs a name"), ("\u202e \0", "needs a name"), ("x" * 121, "at most 120 characters")]
)
def test_names_that_will_not_do(kept: make.People, name: str, problem: str) -> None:
    with pytest.raises(Invalid) as caught:
        keep(kept.ann, name)
    assert problem in caught.value.fields["name"]


def test_a_name_is_taken_once_by_each_and_free_again_after_archiving(kept: make.People) -> None:
    segment_id, _set = keep(kept.ann, "Mine")
    keep(kept.bo, "Mine")
    with pytest.raises(Invalid, match="of this name already"):
        keep(kept.ann, "MINE")
    with begin(kept.ann, write=True) as conn:
        saved_segments.archive(conn, actor=kept.ann, segment_id=segment_id)
    keep(kept.ann, "Mine")
    with begin(kept.ann, write=True) as conn, pytest.raises(Invalid, match="of this name already"):
        saved_segments.archive(conn, actor=kept.ann, segment_id=segment_id, archived=False)
    with pytest.raises(Invalid) as caught:
        keep(kept.ann, "Long", description="x" * 1_001)
    assert "at most 1,000 characters" in caught.value.fields["description"]


def test_the_job_takes_the_bounds_anew(data: Data) -> None:
    with connection.begin_owner() as conn:
        conn.execute(update(schema.score_bounds).values(bounds=[0, 0, 0, 0]))
    with begin(WORKER, write=True) as conn:
        assert scores.refresh(conn) == 3
        bounds, made = scores.bounds(conn)
    assert made == clock.now()
    assert bounds["monetary"][3] > 0


# --- past the commands -----------------------------------------------------------------------------------------------


def author(viewer: Viewer, statement: str, **values: Any) -> Any:
    """What the database answers the writing role of masked people, as if the commands had let it through."""
    with begin(viewer, write=True) as conn:
        result = conn.execute(text(statement), values)
        return result.scalars().all() if result.returns_rows else result.rowcount


SET = (
    "INSERT INTO change_sets (actor_id, made_at, command, permission, source, undoes_id, batch_id) "
    "VALUES (:actor, '2026-01-01', 'segment.save', :permission, 'screen', :undoes, :batch)"
)
LINE = (
    "INSERT INTO changes (change_set_id, customer_id, table_name, row_id, action, before, after, before_personal, "
    "after_personal) VALUES (:set, :customer, :table, :row, 'update', '{}', '{}', '{}', '{}')"
)


def test_whoever_sees_masked_rows_forges_no_history(kept: make.People) -> None:
    theirs, their_set = keep(kept.ana, "Ana's", shared=True)
    mine, my_set = keep(kept.mark, "Mark's")
    me = kept.mark.user_id
    own = {"actor": me, "permission": "segments:edit", "undoes": None, "batch": None}
    for forged in ({"actor": kept.ana.user_id}, {"permission": "customers:edit"}, {"undoes": their_set}):
        with pytest.raises(Refused):
            author(kept.mark, SET, **own | forged)
    line = {"set": my_set, "customer": None, "table": "segments", "row": mine}
    for forged in ({"set": their_set}, {"row": theirs}, {"table": "users"}, {"table": "customers", "customer": 1}):
        with pytest.raises(Refused):
            author(kept.mark, LINE, **line | forged)
    for statement in (
        "UPDATE generations SET n = 1",
        "UPDATE generations SET n = n + 1",
        "SELECT n FROM generations",
        "UPDATE change_sets SET reason = 'x'",
        "DELETE FROM changes",
        "INSERT INTO generations VALUES ('x', 1)",
    ):
        with pytest.raises(Refused):
            author(kept.mark, statement)
    assert take_back(kept.ana, their_set), "nobody has marked it as undone"


def test_counters_only_rise_and_nobody_sets_them(kept: make.People) -> None:
    numbered = text("SELECT area, n FROM generations ORDER BY area")
    with connection.begin_owner() as conn:
        before = {area: n for area, n in conn.execute(numbered)}
    for viewer in (kept.ann, kept.mia, kept.mark, kept.root, WORKER):
        with pytest.raises(Refused), begin(viewer, write=True) as conn:
            conn.execute(text("UPDATE generations SET n = 1"))
        with begin(viewer, write=True) as conn:
            conn.execute(text("SELECT public.move_generations(ARRAY['segments', 'none', 'segments'])"))
    with connection.begin_owner() as conn:
        after = {area: n for area, n in conn.execute(numbered)}
    assert after == before | {"segments": before["segments"] + 5}


def test_a_salesperson_who_became_a_marketer_finds_no_name_in_what_they_took_back(kept: make.People) -> None:
    with begin(kept.ann, write=True) as conn:
        _gone, made = customer.add(conn, actor=kept.ann, values={"name": "Zekret", "phone": "+86 138 0000 0000"})
        removed = undo(conn, actor=kept.ann, change_set_id=made, source="screen").change_set_id
    with begin(kept.ann, write=True) as conn:
        assert len(conn.execute(text("SELECT * FROM change_set_gone(:id)"), {"id": removed}).all()) == 1
    now = Viewer(kept.ann.user_id, "ann", Role.MARKETER)
    assert author(now, "SELECT before_personal::text FROM change_set_gone(:id)", id=removed) == []
    with pytest.raises(Refused):
        take_back(now, removed)
    # Nor how many rows there are in what others changed.
    assert author(kept.mark, "SELECT change_set_rows(:id)", id=removed) == [0]


def test_what_a_segment_was_before_it_was_shared_is_its_owners(kept: make.People) -> None:
    segment_id, _set = keep(kept.ann, "Zekret: to lay off", BIG, description="zekret")
    keep(kept.ann, "Zekret 2", EVERYONE, segment_id=segment_id, version=1)
    keep(kept.ann, "Big buyers", BIG, segment_id=segment_id, version=2, shared=True)
    keep(kept.ann, "Best buyers", BIG, segment_id=segment_id, version=3, shared=True)

    def told(viewer: Viewer) -> list[Any]:
        with begin(viewer) as conn:
            rows = saved_segments.history(conn, viewer=viewer, segment_id=segment_id)
        return [(row["command"], row["before"].get("name"), row["after"].get("name")) for row in rows]

    whole = [
        ("segment.save", "Big buyers", "Best buyers"),
        ("segment.save", "Zekret 2", "Big buyers"),
        ("segment.save", "Zekret: to lay off", "Zekret 2"),
        ("segment.add", None, None),
    ]
    assert told(kept.ann) == told(kept.root) == whole
    for other in (kept.bo, kept.mia, kept.ana, kept.mark):
        assert told(other) == [whole[0], *((command, None, None) for command, _was, _is in whole[1:])]
    _same, private = keep(kept.ann, "Zekret 3", BIG, segment_id=segment_id, version=4)
    assert told(kept.bo) == []
    take_back(kept.ann, private)
    assert "Zekret" not in str(told(kept.bo))
    assert [command for command, *_names in told(kept.bo)] == ["segment.save"] * 5 + ["segment.add"]


def test_what_came_since_may_stand_in_the_way_of_an_undo(kept: make.People) -> None:
    """The name was taken meanwhile: a sentence, nothing done, and the undo works once the name is free."""
    for viewer in (kept.ann, kept.mark, kept.root):
        segment_id, _set = keep(viewer, "Taken")
        with begin(viewer, write=True) as conn:
            archived = saved_segments.archive(conn, actor=viewer, segment_id=segment_id)
        other, _set = keep(viewer, "TAKEN")
        _same, renamed = keep(viewer, "Free", segment_id=other, version=1)
        newest, removal = keep(viewer, "Taken")
        for stuck in (archived, renamed):
            with pytest.raises(Conflict, match="same key stands there again; rename or remove it first"):
                take_back(viewer, stuck)
        assert (get(viewer, segment_id).archived_at is None, get(viewer, other).name) == (False, "Free")
        take_back(viewer, removal)
        with pytest.raises(NotFound):
            get(viewer, newest)
        take_back(viewer, archived)
        assert get(viewer, segment_id).archived_at is None


UNREADABLE = (
    {"all": [{"field": "retired", "op": "in", "value": ["x"]}]},
    {"all": [{"field": "orders", "op": "~", "value": 1}]},
    {"every": []},
    {},
    [],
    5,
    "x",
    {"all": [{"all": [{"all": [{"all": [{"all": [{"all": []}]}]}]}]}]},
    {"all": [{"field": "[x](http://evil.example)", "op": "=", "value": 1}]},
)


@pytest.mark.parametrize("rule", UNREADABLE, ids=str)
def test_a_rule_that_cannot_be_read_is_a_sentence_on_that_segment_alone(kept: make.People, rule: Any) -> None:
    segment_id, _added = keep(kept.ann, "Broken", shared=True)
    keep(kept.ann, "Whole", shared=True)
    with connection.begin_owner() as conn:
        conn.execute(update(schema.segments).where(schema.segments.c.id == segment_id).values(rule=rule))
    for viewer in kept.everyone:
        assert names_of(viewer) == ["Broken", "Whole"]
        one = get(viewer, segment_id)
        assert one.problem.startswith("The rule of this segment cannot be read. "), one.problem
        assert counted(viewer, rules.written(one.rule)) == 0
        assert len(stories(viewer, segment_id)) == 1
    # Its owner archives it, writes it anew, or takes the writing back, all the same.
    _same, mended = keep(kept.ann, "Broken", BIG, segment_id=segment_id, version=1, shared=True)
    assert (get(kept.bo, segment_id).problem, get(kept.bo, segment_id).rule) == ("", rules.parse_text(BIG))
    take_back(kept.ann, mended)
    assert get(kept.ann, segment_id).problem
    with begin(kept.ann, write=True) as conn:
        saved_segments.archive(conn, actor=kept.ann, segment_id=segment_id)
    assert names_of(kept.bo) == ["Whole"]


def test_a_slow_rule_keeps_no_other_number_back(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """The orders are locked by somebody else: what needs them is not counted, all the rest is."""
    monkeypatch.setattr(segments, "TOGETHER_MS", 200)
    monkeypatch.setattr(segments, "ALONE_MS", 200)
    slow, quick = _one("bought_category", "any of", {"of": ["BEEF"], "last_days": 30}), _one("region", "in", ["North"])
    ann = data.people.ann
    with connection.begin_owner() as other:
        other.exec_driver_sql("LOCK TABLE orders")
        with begin(ann) as conn:
            found = segments.counts(conn, viewer=ann, rules=(EVERYONE, slow, quick), today=TODAY)
            limit = conn.exec_driver_sql("SHOW statement_timeout").scalar_one()
        with begin(ann, timeout_ms=200) as conn, pytest.raises(DBAPIError, match="statement timeout"):
            segments.explore(conn, viewer=ann, rule=slow, today=TODAY)
    assert found == (len(seen(data, ann)), None, counted(ann, quick))
    assert limit == "15s", "the transaction's own limit is back"


def test_a_page_full_of_the_largest_rules_is_counted(data: Data) -> None:
    """Twenty shared segments at every limit of a rule: together more values than one statement may have."""
    several = [{"field": "bought_product", "op": "any of", "value": {"of": list(range(1, 201))}}] * 26
    rule = json.dumps({"any": several}, separators=(",", ":"))
    assert 18_000 < len(rule) < 20_000
    ann = data.people.ann
    bought = sum(bool(p.orders) for p in seen(data, ann))
    with begin(ann) as conn:
        assert segments.counts(conn, viewer=ann, rules=(rule,) * 20, today=TODAY) == (bought,) * 20


def test_two_workers_take_the_bounds_at_once(data: Data) -> None:
    done: list[Any] = []

    def second() -> None:
        with begin(WORKER, write=True) as conn:
            done.append(scores.refresh(conn))

    other = threading.Thread(target=second)
    with begin(WORKER, write=True) as conn:
        assert scores.refresh(conn) == 3
        other.start()
        other.join(0.5)
        assert other.is_alive(), "the second waits for the first"
    other.join(10)
    assert done == [3]


def test_a_worker_that_dies_while_it_takes_the_bounds_leaves_the_old_ones(data: Data) -> None:
    with begin(WORKER) as conn:
        before = scores.bounds(conn)
    with pytest.raises(Unavailable), begin(WORKER, write=True) as conn:
        conn.execute(schema.score_bounds.update().values(bounds=[0, 0, 0, 0]))
        scores.refresh(conn)
        mine = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with connection.engine().connect() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": mine})
    with begin(WORKER) as conn:
        assert scores.bounds(conn) == before


def test_many_slow_rules_are_given_up_together(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, ms in (("TOGETHER_MS", 100), ("ALONE_MS", 150), ("LATER_MS", 400)):
        monkeypatch.setattr(segments, limit, ms)
    bought = {"field": "bought_category", "op": "any of", "value": {"of": ["BEEF"], "last_days": 30}}
    slow = json.dumps({"all": [bought] * 3})
    ann = data.people.ann
    with connection.begin_owner() as other:
        other.exec_driver_sql("LOCK TABLE orders")
        began = time.monotonic()
        with begin(ann) as conn:
            found = segments.counts(conn, viewer=ann, rules=(slow,) * 20 + (EVERYONE,), today=TODAY)
        assert time.monotonic() - began < 2
    assert found == (*(None,) * 20, len(seen(data, ann))), "the shortest comes first"
