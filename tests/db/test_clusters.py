"""Clusters that are kept: scored in SQL as the arithmetic does, for everybody within their rights, recorded, undone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analytics.clusters import assigned, scaled
from db import cluster_figures, clusters, custom_fields, rules, saved_segments, segment_reasons, segments, undo
from db.cluster_values import FEATURES, data_of, read
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, NotFound, Refused
from db.permissions import Viewer
from tests.db.segment_data import TODAY, Data, counted, filled, seen

MODEL: dict[str, Any] = {
    "method": "mixture",
    "features": ["recency", "orders", "basket", "interval"],
    "centers": [3.5, 1.1, 2.4, 3.0],
    "scales": [0.8, 0.5, 0.4, 0.9],
    "constants": [0.1, -0.4, 0.0],
    "linear": [[0.5, -1.0, 0.0, 0.2], [-0.7, 1.3, 0.4, 0.0], [0.1, 0.2, -2.0, 0.3]],
    "squares": [[0.0, -0.2, 0.0, 0.0], [-0.1, 0.0, 0.0, 0.1], [0.0, 0.0, -0.3, 0.0]],
    "differences": [[0.9, -0.5, 0.0, 0.1], [-0.4, 1.2, 0.1, 0.0], [0.1, 0.1, -0.2, 0.2]],
}


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    with filled(server, template) as made:
        yield made


def saved(viewer: Viewer, name: str, model: Any = MODEL) -> int:
    with begin(viewer, write=True) as conn:
        return clusters.save(conn, actor=viewer, name=name, model=model)[0]


def rule(number: int, *values: str) -> str:
    return json.dumps({"all": [{"field": f"cluster.{number}", "op": "in", "value": list(values)}]})


def test_each_customer_is_in_the_cluster_that_the_arithmetic_says(data: Data) -> None:
    number = saved(data.people.root, "Arithmetic")
    rows = []
    people = [p for p in seen(data, data.people.root) if p.orders]
    for p in people:
        days = sorted(o.day for o in p.orders)
        own = [o.amount for o in p.orders if not o.foreign]
        gap = (days[-1] - days[0]).days / (len(days) - 1) if len(days) > 1 else math.nan
        basket = float(sum(own)) / len(own) if own else math.nan
        rows.append(((TODAY - days[-1]).days, len(days), basket, gap))
    x = scaled(pd.DataFrame(rows), np.array(MODEL["centers"]), np.array(MODEL["scales"]))
    label = assigned(x, *(np.array(MODEL[name]) for name in ("constants", "linear", "squares")))
    assert len(set(label)) == 3
    for k in range(3):
        assert counted(data.people.root, rule(number, str(k + 1))) == (label == k).sum()
    without = len(seen(data, data.people.root)) - len(people)
    empty = json.dumps({"all": [{"field": f"cluster.{number}", "op": "empty"}]})
    assert counted(data.people.root, empty) == without
    with begin(data.people.root) as conn:
        found = cluster_figures.profile(conn, viewer=data.people.root, model=MODEL, today=TODAY)
    assert list(found["customers"]) == [(label == k).sum() for k in range(3)]
    assert found["orders"][1] == pytest.approx(np.mean([r[1] for r, k in zip(rows, label, strict=True) if k == 1]))


def test_everybody_counts_by_them_among_their_own_customers(data: Data) -> None:
    number = saved(data.people.ana, "Of Ana")
    for viewer in data.people.everyone:
        buyers = [p for p in seen(data, viewer) if p.orders]
        assert counted(viewer, rule(number, "1", "2", "3")) == len(buyers)
        with begin(viewer) as conn:
            found, total = cluster_figures.sample(conn, viewer=viewer, features=("orders", "tenure"), today=TODAY)
            assert (len(found), total) == (len(buyers), len(buyers))
            assert sorted(found["orders"]) == sorted(len(p.orders) for p in buyers)
            assert [m.mine for m in clusters.kept(conn, viewer=viewer) if m.id == number] == [
                viewer in (data.people.ana, data.people.root)
            ]
    with begin(data.people.root) as conn:
        one = next(i for i, p in zip(data.ids, data.world.people, strict=True) if p.orders and not p.archived)
        why = segment_reasons.weigh(conn, viewer=data.people.root, rule=rule(number, "1"), customer_id=one, today=TODAY)
        assert why.values[0] in ("1", "2", "3")
        assert why.holds == (why.values[0] == "1",)
        found = segments.explore(conn, viewer=data.people.root, rule=rule(number, "1"), today=TODAY)
        assert found.customers == counted(data.people.root, rule(number, "1"))


def test_they_are_changed_by_their_owner_and_taken_back(data: Data) -> None:
    number = saved(data.people.ann, "Of Ann")
    for other in (data.people.bo, data.people.mark, data.people.mia):
        with begin(other, write=True) as conn, pytest.raises(Refused):
            clusters.archive(conn, actor=other, clusters_id=number)
    with begin(data.people.ann, write=True) as conn, pytest.raises(Invalid, match="of this name already"):
        clusters.save(conn, actor=data.people.ann, name="of ann", model=MODEL)
    with begin(data.people.ann, write=True) as conn:
        done = clusters.archive(conn, actor=data.people.ann, clusters_id=number)
    with pytest.raises(Invalid, match="the clusters “Of Ann” are archived"):
        counted(data.people.ann, rule(number, "1"))
    with begin(data.people.ann, write=True) as conn:
        undo.undo(conn, actor=data.people.ann, change_set_id=done, source="screen")
    assert counted(data.people.ann, rule(number, "1")) >= 0
    with begin(data.people.mark, write=True) as conn:
        number, done = clusters.save(conn, actor=data.people.mark, name="Of Mark", model=MODEL)
    with begin(data.people.mark, write=True) as conn:
        undo.undo(conn, actor=data.people.mark, change_set_id=done, source="screen")
    with pytest.raises(Invalid, match="there is no field"):
        counted(data.people.mark, rule(number, "1"))
    for absent in (0, -1, 10**18, 2**70):
        with begin(data.people.ann, write=True) as conn, pytest.raises(NotFound):
            clusters.archive(conn, actor=data.people.ann, clusters_id=absent)


def test_a_segment_of_a_cluster_is_kept_and_read_by_masked_roles(data: Data) -> None:
    number = saved(data.people.ann, "Shared")
    with begin(data.people.ann, write=True) as conn:
        kept, _done = saved_segments.save(
            conn, actor=data.people.ann, name="Clustered", rule=rule(number, "2"), shared=True
        )
    with begin(data.people.ana) as conn:
        one = saved_segments.get(conn, viewer=data.people.ana, segment_id=kept)
        assert not one.problem
        known = custom_fields.countable(conn, viewer=data.people.ana, rules=(rule(number, "2"),))
    assert known[f"cluster.{number}"].label == "Cluster of “Shared”"
    with pytest.raises(Invalid, match="is none of: 1, 2, 3"):
        rules.parse_text(rule(number, "4"), known)


def broken(**changed: Any) -> dict[str, Any]:
    return MODEL | changed


@pytest.mark.parametrize(
    "model",
    [
        {},
        broken(method="x"),
        broken(features=["orders"]),
        broken(features=["orders", "orders", "basket", "interval"]),
        broken(features=["name", "orders", "basket", "interval"]),
        broken(scales=[0.0, 1, 1, 1]),
        broken(centers=[math.nan, 1, 1, 1]),
        broken(constants=[math.inf, 1, 1]),
        broken(constants=[0.0]),
        broken(constants=["1); DROP TABLE customers; --", 1, 1]),
        broken(linear=[[1, 2], [3, 4], [5, 6]]),
        broken(squares=None),
        broken(differences=[[True] * 4] * 3),
        broken(constants=[1e300, 1, 1]),
    ],
)
def test_a_broken_model_is_not_kept(data: Data, model: Any) -> None:
    with begin(data.people.root, write=True) as conn, pytest.raises(Invalid, match="cannot be read"):
        clusters.save(conn, actor=data.people.root, name="Broken", model=model)


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, "\0"])
def test_a_name_is_needed(data: Data, name: str) -> None:
    with begin(data.people.root, write=True) as conn, pytest.raises(Invalid, match="A name has 1 to 120"):
        clusters.save(conn, actor=data.people.root, name=name, model=MODEL)


def test_what_clusters_are_called() -> None:
    model = read(MODEL)
    assert [model.called(n) for n in model.numbers] == [
        "1 · quiet for long, few orders",
        "2 · many orders, bought lately",
        "3 · like everybody",
    ]
    assert model.called("9") == "#9"
    assert read(data_of(model)) == model
    assert set(model.features) <= set(FEATURES)


# --- of a segment ----------------------------------------------------------------------------------------------------

NORTH = {"all": [{"field": "region", "op": "in", "value": ["North"]}]}


def test_clusters_of_a_segment_are_made_of_its_members_alone(data: Data) -> None:
    asked = json.dumps(NORTH)
    for viewer in data.people.everyone:
        members = [p for p in seen(data, viewer) if p.orders and data.world.fits(NORTH, p)]
        with begin(viewer) as conn:
            given: dict[str, Any] = {"viewer": viewer, "today": TODAY, "rule": asked}
            found, total = cluster_figures.sample(conn, features=("orders",), **given)
            profiles = cluster_figures.profile(conn, model=MODEL, **given)
        assert total == len(members)
        assert sorted(found["orders"]) == sorted(float(len(p.orders)) for p in members)
        assert profiles["customers"].sum() == len(members)


def test_who_counts_by_no_contacts_makes_no_clusters_of_them(data: Data) -> None:
    asked = json.dumps({"all": [{"field": "email", "op": "in", "value": ["yes"]}]})
    for query, values in (
        (cluster_figures.sample, {"features": ("orders",)}),
        (cluster_figures.profile, {"model": MODEL}),
    ):
        with begin(data.people.ana) as conn, pytest.raises(Refused):
            query(conn, viewer=data.people.ana, today=TODAY, rule=asked, **values)


def test_what_they_were_made_of_is_kept_with_them(data: Data) -> None:
    number = saved(data.people.ana, "Of a segment", MODEL | {"of": "s12"})
    with begin(data.people.ann) as conn:
        [model] = [one for one in clusters.kept(conn, viewer=data.people.ann) if one.id == number]
    assert model.of == "s12"
    assert data_of(model)["of"] == "s12"
    assert "of" not in data_of(read(MODEL))


@pytest.mark.parametrize("of", [12, None, ["s1"], "S1", "s 1", "x" * 61, "s1'--", "客"])
def test_a_segment_that_is_none_is_not_kept(data: Data, of: Any) -> None:
    with pytest.raises(Invalid):
        saved(data.people.ana, "Broken", MODEL | {"of": of})
