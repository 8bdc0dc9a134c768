"""One customer before a rule: each condition as the slow way has it, their own values, and what nobody else sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from analytics.reasons import reason
from db import connection, rules, saved_segments, schema, segment_reasons
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, NotFound, Refused
from db.permissions import Viewer
from tests.db.segment_data import EVERYONE, TODAY, Data, _one, filled, seen
from tests.db.segment_rules import RULES


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    with filled(server, template) as made:
        yield made


def weighed(viewer: Viewer, rule: Any, customer_id: int) -> segment_reasons.Weighed:
    written = rule if isinstance(rule, str) else json.dumps(rule)
    with begin(viewer) as conn:
        return segment_reasons.weigh(conn, viewer=viewer, rule=written, customer_id=customer_id, today=TODAY)


def test_every_condition_holds_as_the_slow_way_says_and_together_they_make_the_rule(data: Data) -> None:
    people = [(i, p) for i, p in zip(data.ids, data.world.people, strict=True) if not p.archived][::7]
    root = data.people.root
    with begin(root) as conn:

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(RULES)
        def holds(rule: Any) -> None:
            written = json.dumps(rule)
            for one, person in people[:3]:
                found = segment_reasons.weigh(conn, viewer=root, rule=written, customer_id=one, today=TODAY)
                assert found.fits == data.world.fits(rule, person)
                each = [data.world.fits(rules.data_of(c), person) for c in found.conditions]
                assert list(found.holds) == each
                why = reason(found.tree, found.holds)
                assert why.holds == found.fits
                turned = [h != (i in (why.turn or ())) for i, h in enumerate(found.holds)]
                assert why.turn is None or reason(found.tree, turned).holds != found.fits

        holds()


def test_the_values_are_the_customers_own(data: Data) -> None:
    rule = {
        "any": [
            {"field": "region", "op": "in", "value": ["North"]},
            {"field": "orders", "op": ">", "value": 2},
            {"field": "last_order_on", "op": "in the last", "value": 30},
            {"field": "ordered", "op": "within", "value": {"from": "2026-01-01"}},
            {"field": "received", "op": "none of", "value": [1]},
            {"field": "bought_category", "op": "any of", "value": {"of": ["BEEF"], "last_days": 60}},
            {"field": "bought_product", "op": "any of", "value": [1]},
            {"field": "funnel", "op": "reached", "value": {"campaign": 1, "step": "received"}},
        ]
    }
    for one, person in list(zip(data.ids, data.world.people, strict=True))[:20]:
        if person.archived:
            continue
        days = [order.day for order in person.orders]
        found = weighed(data.people.root, rule, one)
        assert found.name == f"P{data.ids.index(one):02}"
        assert found.values[:4] == (
            person.region or None,
            len(days),
            max(days, default=None),
            sum(day.year == 2026 for day in days),
        )
        assert found.values[4] == (1 in person.campaigns)
        assert found.holds[4] == (1 not in person.campaigns)
        assert found.values[6] == any(line[0] == 1 for order in person.orders for line in order.lines)
        assert found.values[7] == (1 in person.campaigns)


def test_a_condition_of_several_places_is_one_and_its_opposite_none_of_it() -> None:
    north = {"field": "region", "op": "in", "value": ["North"]}
    other = {"field": "region", "op": "not in", "value": ["North"]}
    often = {"field": "orders", "op": ">", "value": 2}
    different, tree = segment_reasons.numbered(rules.parse({"any": [{"all": [north, often]}, {"all": [other, often]}]}))
    assert [c.field.key for c in different] == ["region", "orders"]
    assert tree == ("any", (("all", (0, 1)), ("all", (("none", (0,)), 1))))
    assert reason(tree, (True, True)).decisive == (1,)


def test_nobody_is_told_of_customers_of_others_nor_of_what_is_hidden(data: Data) -> None:
    theirs = {viewer.user_id: seen(data, viewer) for viewer in data.people.everyone}
    for viewer in data.people.everyone:
        for one, person in list(zip(data.ids, data.world.people, strict=True))[:24]:
            if person in theirs[viewer.user_id]:
                assert weighed(viewer, EVERYONE, one).fits
            else:
                with pytest.raises(NotFound):
                    weighed(viewer, EVERYONE, one)
    one = next(i for i, p in zip(data.ids, data.world.people, strict=True) if not p.archived)
    for masked in (data.people.ana, data.people.mark):
        with pytest.raises(Refused, match="Has a phone"):
            weighed(masked, {"any": [{"none": [json.loads(_one("phone", "in", ["yes"]))]}]}, one)
        assert not weighed(masked, EVERYONE, one).name.startswith("P")
    for number in (0, -1, 10**18, 2**70):
        with pytest.raises(NotFound):
            weighed(data.people.root, EVERYONE, number)
    with pytest.raises(Invalid):
        weighed(data.people.root, "nonsense", one)


def test_the_kept_segments_of_a_customer(data: Data) -> None:
    ann, ana = data.people.ann, data.people.ana
    [(one, person), *_rest] = [
        (i, p)
        for i, p in zip(data.ids, data.world.people, strict=True)
        if p in seen(data, ann) and p.phone and p.region
    ]
    with connection.begin_owner() as conn:
        conn.execute(schema.segments.delete())
    rules_of = {"here": ("region", "in", [person.region]), "elsewhere": ("region", "in", ["Nowhere"])}
    with begin(ann, write=True) as conn:
        for name, leaf in {**rules_of, "phone": ("phone", "in", ["yes"])}.items():
            saved_segments.save(conn, actor=ann, name=name, rule=_one(*leaf), shared=True)

    def kept(viewer: Viewer, customer_id: int = one) -> dict[str, bool]:
        with begin(viewer) as conn:
            found = segment_reasons.kept(conn, viewer=viewer, customer_id=customer_id, today=TODAY)
            assert {k.code for k in found if not k.id} in (set(), set(saved_segments.ready()))
            stages = [k.inside for k in found if k.code.startswith("stage_")]
            assert sum(stages) == bool(stages), "everybody is at one stage"
            return {k.name: k.inside for k in found if k.id}

    assert kept(ann) == {"here": True, "elsewhere": False, "phone": True}
    assert kept(ana) == {"here": True, "elsewhere": False}
    assert kept(data.people.cho) == {}
    assert kept(ann, 10**18) == {}
