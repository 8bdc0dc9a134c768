"""The screen of clusters: found, explained, kept, opened as a segment, taken off the list and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from urllib.parse import parse_qs

import pytest

from db import clusters, connection, derived, saved_segments, scores
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER
from tests import make
from tests.db.entry_points import MODEL
from tests.pages.visits import body, click, control, database, drawn, metrics, said, signed_in, sound


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's customers: forty with many small orders of late, thirty with one large order long ago."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            for n in range(70):
                one = make.customer(conn, made.ann.user_id, name=f"No. {n}")
                if n < 40:
                    for k in range(8 + n % 3):
                        make.order(conn, one, date(2026, 11, 15) - timedelta(days=9 * k + n % 7), str(10 + n % 5))
                else:
                    make.order(conn, one, date(2026, 1, 5) + timedelta(days=n), str(900 + 10 * n))
            derived.rebuild(conn)
        with begin(WORKER, write=True) as conn:
            scores.refresh(conn)
        yield made


def test_clusters_are_found_explained_kept_and_counted_by(people: make.People) -> None:
    app = sound(signed_in(people.ann, "clusters"))
    assert "found, not defined" in said(app)
    app = sound(click(app, "clusters_find"))
    assert "Made of 70 of 70 customers with orders" in said(app)
    assert "How many clusters there are" in said(app)
    app.text_input(key="clusters_name").set_value("")
    app = sound(click(app, "clusters_send"))
    assert "A name has 1 to 120 characters." in said(app)
    app.text_input(key="clusters_name").set_value("By habit **x**")
    app = sound(click(app, "clusters_send"))
    assert "Clusters kept" in body(app)
    with begin(people.ann) as conn:
        [model] = clusters.kept(conn, viewer=people.ann)
    links = {link.label.replace("\\", ""): link.proto.query_string for link in app.main.page_link}
    assert any(label.startswith("1 · ") for label in links)
    rule = json.dumps({"all": [{"field": f"cluster.{model.id}", "op": "in", "value": ["1"]}]})
    segment = sound(signed_in(people.ann, "segment", segment_rule=rule))
    assert metrics(segment)["Customers who fit"] == "40"
    assert "Cluster of “By habit **x**” is “1 · " in said(segment).replace("\\", "")
    nobody = sound(signed_in(people.cho, "segment", segment_rule=rule))
    assert metrics(nobody)["Customers who fit"] == "0"
    assert not drawn(sound(signed_in(people.bo, "clusters")), f"clusters_archive_{model.id}")
    app = sound(click(sound(signed_in(people.ann, "clusters")), f"clusters_archive_{model.id}"))
    assert "Taken off the list." in body(app)
    gone = sound(signed_in(people.ann, "segment", segment_rule=rule))
    assert "are archived: leave them out, or choose others" in said(gone).replace("\\", "")
    app = sound(click(app, "kehu_undo_button"))
    assert drawn(app, f"clusters_archive_{model.id}")


def test_too_few_customers_and_another_method(people: make.People) -> None:
    app = sound(click(sound(signed_in(people.cho, "clusters")), "clusters_find"))
    assert "There are too few customers with orders" in said(app)
    app = signed_in(
        people.root, "clusters", clusters_method="mixture", clusters_number="2", clusters_by="orders,basket"
    )
    app = sound(click(sound(app), "clusters_find"))
    assert "BIC" in body(app)


def test_masked_roles_find_and_keep_clusters(people: make.People) -> None:
    app = sound(click(sound(signed_in(people.ana, "clusters")), "clusters_find"))
    app.text_input(key="clusters_name").set_value("Of Ana")
    app = sound(click(app, "clusters_send"))
    assert "Clusters kept" in body(app)
    assert "No. 1" not in body(app)


def test_clusters_of_a_segment_say_so_and_lead_to_both(people: make.People) -> None:
    once = json.dumps({"all": [{"field": "orders", "op": ">", "value": 0}]})
    with begin(people.ann, write=True) as conn:
        segment_id, _set = saved_segments.save(conn, actor=people.ann, name="Once **x**", rule=once)
    app = sound(signed_in(people.ann, "clusters", clusters_of=f"s{segment_id}", clusters_number="2"))
    app = sound(click(app, "clusters_find"))
    assert "Made of 70 of 70 customers with orders in “Once **x**”" in said(app)
    assert "averages of customers with orders in “Once **x**”" in said(app)
    app.text_input(key="clusters_name").set_value("Within")
    app = sound(click(app, "clusters_send"))
    assert "among “Once **x**”" in said(app)
    with begin(people.ann) as conn:
        model = next(one for one in clusters.kept(conn, viewer=people.ann) if one.name == "Within")
    rules = [parse_qs(link.proto.query_string).get("segment_rule", [""])[0] for link in app.main.page_link]
    leaf = {"field": f"cluster.{model.id}", "op": "in", "value": ["1"]}
    both = {"all": [{"field": "segment", "op": "in", "value": [segment_id]}, leaf]}
    assert both in [json.loads(rule) for rule in rules if rule]
    told = said(sound(signed_in(people.bo, "clusters")))
    assert "made of a segment that you do not have" in told
    assert "Once" not in told


def test_another_segment_asks_to_find_them_anew(people: make.People) -> None:
    app = sound(click(sound(signed_in(people.ann, "clusters", clusters_number="2")), "clusters_find"))
    assert "Made of 70 of 70" in said(app)
    control(app, "clusters_of").set_value("champions")
    assert "found, not defined" in said(sound(app.run()))


def test_kept_clusters_open_by_their_number(people: make.People) -> None:
    with begin(people.ann, write=True) as conn:
        number, _set = clusters.save(conn, actor=people.ann, name="Opened **x**", model=MODEL)
    app = sound(signed_in(people.ann, "clusters", clusters_kept=str(number)))
    assert drawn(app, "clusters_opened")
    assert "Opened **x** · averages of all customers with orders" in said(app)
    [again] = [
        link for link in app.main.page_link if link.label == "Averages" and f"={number}" in link.proto.query_string
    ]
    assert "clusters_kept" in again.proto.query_string
    assert not drawn(sound(signed_in(people.ann, "clusters")), "clusters_opened")
    for wrong in ("999999", "x", "'; --", "0", ""):
        app = sound(signed_in(people.ann, "clusters", clusters_kept=wrong))
        assert not drawn(app, "clusters_opened")
        assert not wrong or "The clusters of this chart are not there any more." in said(app)
