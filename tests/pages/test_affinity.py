"""The screen of what is bought together: pairs with their intervals, who sees whose, links, and the people below."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import Connection, insert
from streamlit.testing.v1 import AppTest

from db import connection, derived, saved_segments, schema
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER
from tests import make
from tests.pages.visits import body, database, grid, said, signed_in, sound

WEST = '{"all":[{"field":"region","op":"in","value":["West"]}]}'
HOSTILE = ":red[milk] <b>'; --"
PAIR = f"{HOSTILE}\x1ftea"


def bought(conn: Connection, customer_id: int, products: list[int]) -> None:
    key = {"customer_id": customer_id, "order_id": make.order(conn, customer_id, date(2026, 11, 2))}
    for each in products:
        conn.execute(insert(schema.order_items).values(**key, product_id=each, quantity=1, amount=1))


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's Wang (West) has tea and milk in twelve orders, Cho's in one, and three with rice alone, too."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            goods = {}
            for name in ("tea", HOSTILE, "rice"):
                values = {"sku": name, "name": name, "department": "", "category": name, "brand": "", "package": ""}
                query = insert(schema.products).values(**values).returning(schema.products.c.id)
                goods[name] = int(conn.execute(query).scalar_one())
            wang = make.customer(conn, made.ann.user_id, name="Wang :red[x]", region="West")
            other = make.customer(conn, made.cho.user_id, name="Other One")
            only = make.customer(conn, made.ann.user_id, name="Tea Only")
            for _n in range(12):
                bought(conn, wang, [goods["tea"], goods[HOSTILE]])
            bought(conn, other, [goods["tea"], goods[HOSTILE]])
            bought(conn, only, [goods["tea"]])
            for _n in range(6):
                bought(conn, other, [goods["rice"]])
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        with begin(made.ann, write=True) as conn:
            saved_segments.save(conn, actor=made.ann, name="My <West>", rule=WEST)
        yield made


def names(app: AppTest) -> set[str]:
    return set(grid(app, "affinity_people")["name"])


def test_a_pair_with_its_rates_intervals_and_the_orders_behind_them(people: make.People) -> None:
    app = sound(signed_in(people.root, "affinity"))
    row = grid(app, "affinity_table").iloc[0]
    # 13 of 20 orders hold both, 14 tea, 13 milk.
    assert (row["together"], row["support"], row["forward"]) == (13, 65.0, 100.0)
    assert row["backward"] == pytest.approx(100 * 13 / 14)
    assert row["lift"] == pytest.approx(13 * 20 / (14 * 13))
    told = said(app)
    assert "65.0% (43.3–81.9%) · 13 of 20" in told
    assert "92.9% (68.5–98.7%) · 13 of 14" in told
    assert "Pairs in at least 1% of 20 orders with a category, and in at least 10 of them." in told
    assert names(app) == {"Wang :red[x]", "Other One"}


def test_whom_to_offer_stands_below_and_only_the_viewers_own(people: make.People) -> None:
    offer = {"affinity_pair": PAIR, "affinity_who": "second"}
    app = sound(signed_in(people.ann, "affinity", **offer))
    assert names(app) == {"Tea Only"}
    assert "of 20" not in said(app)
    # Cho has one order with both: too few for a pair.
    cho = sound(signed_in(people.cho, "affinity", **offer))
    assert "No pair is in so many orders: choose a smaller share." in said(cho)
    assert "1 rarer pair is left out." in said(cho)
    assert "Wang" not in said(cho)
    for masked in (people.ana, people.mark):
        app = sound(signed_in(masked, "affinity"))
        assert len(grid(app, "affinity_people")) == 2
        assert "Wang" not in said(app) + str(names(app))


def test_a_segment_against_everyone_and_the_other_ones_table(people: make.People) -> None:
    link = {"affinity_segment": "s1", "affinity_against": "everyone"}
    app = sound(signed_in(people.ann, "affinity", **link))
    assert "My \\<West\\> against Everyone" in body(app)
    told = said(app)
    assert "12 of 12" in told
    assert "12 of 13" in told
    assert grid(app, "affinity_table").iloc[0]["support"] == 100.0
    turned = sound(signed_in(people.ann, "affinity", **link, affinity_side="against"))
    assert grid(turned, "affinity_table").iloc[0]["support"] == pytest.approx(100 * 12 / 13)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_what_a_link_may_say_wrongly_is_told_or_counts_as_not_said(people: make.People, language: str) -> None:
    app = sound(signed_in(people.cho, "affinity", language=language, affinity_segment="s1", affinity_span="<b>"))
    told = {"en": "the link's segment is not one of yours", "zh_CN": "链接中的分群不在您的列表里"}
    assert told[language] in body(app)
    hostile = {"affinity_pair": "'; --", "affinity_least": "x", "affinity_by": "%s", "affinity_who": "<b>"}
    hostile |= {"affinity_category": "none such", "affinity_page": "-9", "affinity_side": "x"}
    assert len(grid(sound(signed_in(people.root, "affinity", language=language, **hostile)), "affinity_table")) == 1
    rice = sound(signed_in(people.root, "affinity", language=language, affinity_category="rice"))
    assert {"en": "No pair is in so many orders", "zh_CN": "没有组合达到这个订单比例"}[language] in said(rice)
