"""The list's filters and its actions on many customers, and the tags of the customer page, as people meet them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert, select
from streamlit.testing.v1 import AppTest

from components import controls
from db import clock, connection, customers, derived, schema, tags
from db.customer_filters import Filters
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import (
    HOSTILE,
    body,
    click,
    control,
    count,
    database,
    drawn,
    grid,
    markup_of,
    said,
    signed_in,
    sound,
    within_run,
    words,
)

TODAY = date(2026, 11, 20)
NONE = "No customer matches. Remove a filter or try another spelling."
MARKUP = "![x](http://evil.example)"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's A, B, C and the archived Z; Cho's E."""
    with database(server, template) as made:
        ann, now = made.ann.user_id, {"created_at": clock.now(), "updated_at": clock.now()}
        with connection.begin_owner() as conn:
            a = make.customer(conn, ann, name="A", region="East", source="web")
            b = make.customer(conn, ann, name="B", region="East", source="store")
            make.customer(conn, ann, name="C", region="West", source="web")
            make.customer(conn, ann, name="Z", region="East", archived_at=clock.now())
            e = make.customer(conn, made.cho.user_id, name="E", region="East")
            for customer_id, word in ((a, "VIP"), (b, "vip"), (a, MARKUP), (e, "secret")):
                conn.execute(insert(schema.customer_tags).values(**tags.row(customer_id, word), **now))
            make.order(conn, a, date(2026, 11, 10), "20.00")
            make.order(conn, b, date(2026, 6, 1), "500.00")
            derived.rebuild(conn)
        yield made


def opened(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "customers", **params))


def unfolded(viewer: Viewer, **params: str) -> AppTest:
    """The list with its filters open: only then all tags are asked for."""
    app = opened(viewer, **params)
    app.session_state["customers_filters"] = True
    return sound(app.run())


def names(app: AppTest) -> str:
    return "".join(grid(app, "customers_list")["name"]) if app.dataframe else ""


def chips(app: AppTest) -> list[str]:
    found = [b for b in app.button if (b.key or "").startswith("customers_chip_")]
    return [b.label.replace("\\", "").replace("\u2060", "") for b in found]


def folded(app: AppTest) -> str:
    return next(label for label in popovers(app) if "Filters" in label)


def popovers(app: AppTest) -> list[str]:
    """The names of what folds open."""
    found = (getattr(node, "proto", None) for node in app._tree)
    return [str(proto.popover.label) for proto in found if proto is not None and _holds(proto, "popover")]


def _holds(proto: Any, name: str) -> bool:
    return name in [field.name for field in proto.DESCRIPTOR.fields] and bool(proto.HasField(name))


LINKS: list[tuple[dict[str, str], Filters, list[str]]] = [
    ({"customers_tags": "vip"}, Filters(tags=("vip",)), ["Tag: VIP"]),
    (
        {"customers_tags": f"vip,{MARKUP}"},
        Filters(tags=("vip", MARKUP)),
        ["Tag: VIP", f"Tag: {MARKUP}"],
    ),
    ({"customers_source": "web"}, Filters(source="web"), ["Source: Website"]),
    (
        {"customers_revenue_from": "20", "customers_revenue_to": "100"},
        Filters(revenue_from=20, revenue_to=100),
        ["Revenue from $20.00 to $100.00"],
    ),
    ({"customers_revenue_from": "21"}, Filters(revenue_from=21), ["Revenue from $21.00"]),
    ({"customers_revenue_to": "0"}, Filters(revenue_to=0), ["Revenue up to $0.00"]),
    (
        {"customers_ordered": "within", "customers_ordered_days": "30"},
        Filters(ordered="within", ordered_days=30),
        ["Ordered in the last 30 days"],
    ),
    ({"customers_ordered": "before"}, Filters(ordered="before"), ["No order in the last 90 days"]),
    ({"customers_ordered": "never"}, Filters(ordered="never"), ["Never ordered"]),
    ({"customers_contacted": "never"}, Filters(contacted="never"), ["Never contacted"]),
    (
        {"customers_contacted": "before", "customers_contacted_days": "1"},
        Filters(contacted="before", contacted_days=1),
        ["No contact in the last day"],
    ),
    ({"customers_archived": "yes"}, Filters(archived=True), ["Only the archived ones"]),
    (
        {"customers_region": "East", "customers_stage": "repeat", "customers_tags": "vip"},
        Filters(region="East", stage="repeat", tags=("vip",)),
        ["Stage: Repeat buyer", "Region: East", "Tag: VIP"],
    ),
]


@pytest.mark.parametrize(("params", "filters", "told"), LINKS, ids=str)
def test_a_link_opens_its_filters_and_says_them(
    people: make.People, params: dict[str, str], filters: Filters, told: list[str]
) -> None:
    app = opened(people.ann, **params)
    found = within_run(people.ann, customers.page, today=TODAY, filters=filters)
    assert names(app) == "".join(found.rows["name"])
    assert names(app) or NONE in body(app)
    assert chips(app) == told
    assert dict(app.query_params) == params
    total = len(told)
    assert folded(app) == f"Filters ({total})"
    assert markup_of(app, MARKUP) == []
    # One after the other is taken away, until everybody is there.
    for left in range(total - 1, -1, -1):
        click(app, "customers_chip_0")
        assert chips(sound(app)) == told[total - left :]
    assert names(app) == "ABC"
    assert app.query_params.keys() <= {"customers_ordered_days", "customers_contacted_days"}


def test_all_filters_go_at_once(people: make.People) -> None:
    app = opened(people.ann, customers_region="East", customers_tags=f"vip,{MARKUP}", customers_revenue_from="5")
    assert names(app) == "A"
    sound(click(app, "customers_chips_all"))
    assert (names(app), chips(app), folded(app)) == ("ABC", [], "Filters")
    assert app.query_params == {}


@pytest.mark.parametrize(
    "params",
    [
        {"customers_tags": "secret,,<script>"},
        {"customers_tags": "," * 5_000},
        {"customers_team": "1", "customers_source": "nowhere", "customers_archived": "perhaps"},
        {"customers_revenue_from": "-1", "customers_revenue_to": "9" * 500},
        {"customers_ordered": "x", "customers_contacted": "\0", "customers_contacted_days": "1e9"},
    ],
    ids=lambda value: str(value)[:50],
)
def test_nonsense_in_the_link_is_no_filter(people: make.People, params: dict[str, str]) -> None:
    app = opened(people.ann, **params)
    assert (names(app), chips(app), folded(app)) == ("ABC", [], "Filters")
    sound(app.run())
    assert (names(app), chips(app), folded(app)) == ("ABC", [], "Filters")


def test_choosing_narrows_and_stands_in_the_address(people: make.People) -> None:
    app = unfolded(people.ann)
    app.multiselect(key="customers_tags_en").set_value(["vip"])
    assert names(sound(app.run())) == "AB"
    app.session_state["customers_filters"] = False
    assert names(sound(app.run())) == "AB"
    control(app, "customers_ordered").set_value("within")
    assert names(sound(app.run())) == "A"
    app.number_input(key="customers_ordered_days_en").set_value(365)
    assert names(sound(app.run())) == "AB"
    assert folded(app) == "Filters (2)"
    assert app.query_params == {
        "customers_tags": "vip",
        "customers_ordered": "within",
        "customers_ordered_days": "365",
    }
    assert app.multiselect(key="customers_tags_en").options == ["VIP"], "folded, what is chosen"
    app.session_state["customers_filters"] = True
    assert app.run().multiselect(key="customers_tags_en").options == [MARKUP, "VIP"], "of the own customers alone"


def test_a_manager_of_one_team_has_no_choice_of_teams(people: make.People) -> None:
    assert not drawn(opened(people.mia), f"customers_team_{'en'}")
    assert control(opened(people.root), "customers_team").options == ["All teams", "Team 1", "Team 2"]


# --- many at once ----------------------------------------------------------------------------------------------------


def tick(app: AppTest, *rows: int) -> AppTest:
    [found] = [frame for frame in app.dataframe if frame.key and frame.key.startswith("customers_list_")]
    app.session_state[found.key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return app.run()


def bulk(app: AppTest, kind: str) -> AppTest:
    """Open the dialog of an action and press its button. AppTest forgets an open dialog: press both."""
    app.button(key=f"customers_bulk_{kind}").click()
    app.run()
    return app


def go(app: AppTest, kind: str) -> AppTest:
    app.button(key=f"customers_bulk_{kind}").click()
    app.button(key="customers_bulk_go").click()
    return sound(app.run())


def bar(app: AppTest) -> str:
    return next(label for label in popovers(app) if "found" in label or "chosen" in label)


def test_ticked_rows_are_archived_and_taken_back(people: make.People) -> None:
    app = opened(people.ann)
    assert bar(app) == "Change all 3 found"
    tick(app, 0, 2)
    assert bar(app) == "Change 2 chosen"
    assert "2 customers will change." in words(bulk(app, "archive"))
    assert "A, C" in words(app)
    assert "at most 200,000 customers at once" in words(app)
    before = count("change_sets")
    go(app, "archive")
    assert count("change_sets") == (before[0] + 1,)
    assert "2 customers archived." in body(app)
    assert names(app) == "B"
    sound(click(app, "kehu_undo_button"))
    assert names(app) == "ABC"


def test_the_whole_result_is_tagged_under_the_filters(people: make.People) -> None:
    app = opened(people.ann, customers_source="web")
    assert bar(app) == "Change all 2 found"
    bulk(app, "tag")
    app.selectbox(key="customers_bulk_tag_tag").set_value("VIP")
    app.button(key="customers_bulk_tag").click()
    app.run()
    told = words(app)
    assert "1 customer will change." in told
    assert "1 has this tag already." in told
    assert "All that the filters find: Source: Website" in told.replace("\\", "")
    go(app, "tag")
    assert "1 customer tagged “VIP”." in said(app)
    assert names(opened(people.ann, customers_tags="vip")) == "ABC"
    sound(click(app, "kehu_undo_button"))
    assert names(opened(people.ann, customers_tags="vip")) == "AB"


def test_who_was_archived_is_put_back(people: make.People) -> None:
    app = opened(people.ann, customers_archived="yes")
    assert names(app) == "Z"
    assert not drawn(app, "customers_bulk_archive")
    bulk(app, "restore")
    go(app, "restore")
    assert "1 customer put back on the lists." in body(app)
    sound(click(app, "kehu_undo_button"))
    assert names(app) == "Z"


@pytest.mark.parametrize(
    ("who", "may"), [("ann", True), ("mia", True), ("root", True), ("ana", False), ("mark", False)]
)
def test_actions_are_those_of_the_role(people: make.People, who: str, may: bool) -> None:
    app = opened(getattr(people, who))
    for kind in ("assign", "tag", "untag", "archive"):
        assert drawn(app, f"customers_bulk_{kind}") == may


# --- tags of one customer --------------------------------------------------------------------------------------------


def of(name: str) -> int:
    with connection.begin_owner() as conn:
        found = conn.scalar(select(schema.customers.c.id).where(schema.customers.c.name == name))
    assert found is not None
    return int(found)


def badges(app: AppTest) -> list[str]:
    found: list[Any] = [m.value for m in app.main.markdown if ":material/sell:" in str(m.value)]
    return found


def add(app: AppTest, word: str) -> AppTest:
    [held] = app.query_params["id"] if isinstance(app.query_params["id"], list) else [app.query_params["id"]]
    turn = app.session_state.get("customer_tags_turn", 0)
    app.session_state[f"customer_tags_{held}_{turn}"] = True  # opened
    sound(app.run())
    [found] = [s for s in app.selectbox if (s.key or "").startswith("customer_tags_add_")]
    found.options.append(word)  # AppTest types nothing that is not among the options
    found.set_value(word)
    return sound(app.run())


def test_a_tag_is_added_in_one_step_and_removed_in_one(people: make.People) -> None:
    app = sound(signed_in(people.ann, "customer", id=str(of("C"))))
    assert badges(app) == []
    add(app, "  new   one ")
    assert "Tag added." in body(app)
    assert len(badges(app)) == 1
    [gone] = [b.key for b in app.button if (b.key or "").startswith("customer_tags_remove_")]
    sound(click(app, str(gone)))
    assert "Tag removed." in body(app)
    assert badges(app) == []
    sound(click(app, "kehu_undo_button"))
    assert len(badges(app)) == 1
    add(app, "NEW ONE")
    assert "This customer has the tag “new one” already." in said(app)
    assert "already" not in said(sound(app.run())), "asked for once"
    [gone] = [b.key for b in app.button if (b.key or "").startswith("customer_tags_remove_")]
    sound(click(app, str(gone)))


@pytest.mark.parametrize("typed", [*HOSTILE, "שלום", "x" * 10_000], ids=lambda value: repr(value)[:40])
def test_whatever_is_typed_as_a_tag(people: make.People, typed: str) -> None:
    with connection.begin_owner() as conn:
        fresh = make.customer(conn, people.bo.user_id, name=f"Fresh {zlib.crc32(typed.encode())}")
    app = add(sound(signed_in(people.bo, "customer", id=str(fresh))), typed)
    kept = HOSTILE.get(typed, typed)
    if len(kept) > tags.MOST_TAG or "," in kept:
        assert badges(app) == []
        assert "are too many; at most 40." in said(app) or "no comma" in said(app)
        return
    assert len(badges(app)) == 1
    assert markup_of(app, kept) == []
    assert kept in said(app)
    listed = opened(people.bo, customers_tags=tags.key(kept))
    assert len(grid(listed, "customers_list")) == 1
    assert len(chips(listed)) == 1
    assert markup_of(listed, kept) == []
    sound(click(app, "kehu_undo_button"))
    assert badges(app) == []


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_masked_roles_see_tags_and_change_none(people: make.People, who: str) -> None:
    app = sound(signed_in(getattr(people, who), "customer", id=str(of("A"))))
    assert len(badges(app)) == 2
    assert not [s for s in app.selectbox if (s.key or "").startswith("customer_tags_add_")]


def test_the_key_of_a_control_says_its_language() -> None:
    assert controls.key_of("x") == "x_en"
