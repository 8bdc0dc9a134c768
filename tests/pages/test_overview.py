"""The overview shows what db.overview says, of the period and region that stand in the link."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert
from streamlit.testing.v1 import AppTest

from components import format, wording
from db import clock, connection, derived, overview, schema
from db.embedded import Server
from db.metrics import METRICS
from db.permissions import Viewer
from tests import make
from tests.pages.visits import (
    body,
    click,
    control,
    database,
    metrics,
    revoke,
    signed_in,
    sound,
    speaking,
    within_run,
    words,
)

TODAY = date(2026, 11, 20)
LAST = date(2026, 11, 10)
FOUR_WEEKS = {"start": date(2026, 10, 14), "end": LAST}


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Read only: Ann has two customers, Cho one; a campaign ran until the last day of the data."""
    with database(server, template) as made:
        now = clock.now()
        with connection.begin_owner() as conn:
            first = make.customer(conn, made.ann.user_id, name="First", region="North")
            second = make.customer(conn, made.ann.user_id, name="Second", region="East :red[x]")
            third = make.customer(conn, made.cho.user_id, name="Third", region="North")
            make.customer(conn, made.ann.user_id, name="Gone", archived_at=now)
            orders: list[tuple[int, date, str]] = [
                (first, date(2026, 6, 1), "10.00"),
                (first, date(2026, 10, 1), "20.00"),
                (third, date(2026, 10, 5), "60.00"),
                (first, date(2026, 10, 20), "30.00"),
                (second, date(2026, 10, 25), "50.00"),
                (first, LAST, "40.00"),
            ]
            for customer_id, day, amount in orders:
                make.order(conn, customer_id, day, amount)
            make.order(conn, third, date(2026, 11, 1), "5.00", currency="EUR")
            campaign = {"kind": "mail", "starts_on": date(2026, 10, 1), "ends_on": LAST}
            campaign_id = conn.scalar(
                insert(schema.campaigns)
                .values(name="Autumn *sale*", created_at=now, updated_at=now, **campaign)
                .returning(schema.campaigns.c.id)
            )
            member: dict[str, Any] = {"campaign_id": campaign_id, "received_on": date(2026, 10, 2)}
            redeemed = {"first_redeemed_on": date(2026, 10, 20), "redemptions": 1}
            conn.execute(insert(schema.campaign_members).values(customer_id=first, **member, **redeemed))
            conn.execute(insert(schema.campaign_members).values(customer_id=third, **member))
            derived.rebuild(conn)
        yield made


def shown(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "overview", **params))


def context(app: AppTest) -> str:
    """The line under the title."""
    return str(app.caption[0].value)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_figures_of_a_period_against_the_one_before(people: make.People) -> None:
    app = shown(people.root, overview_period="28d")
    assert metrics(app) == {
        "Customers": "3",
        "Active": "3",
        "New": "1",
        "Revenue": "$120.00",
        "Orders": "4",
        "Average basket": "$40.00",
        "Repeat rate": "33.3%",
        "Retention": "100.0%",
    }
    changes = {card.label: card.delta for card in app.main.metric}
    assert changes["Revenue"] == "+50.0%"  # 80.00 before
    assert changes["Orders"] == "+100.0%"
    assert "1 order in another currency is not in the revenue." in body(app)
    assert context(app) == "Oct 14 – Nov 10, 2026 · All regions · up to date"


@pytest.mark.parametrize(
    ("params", "asked"),
    [
        ({"overview_period": "28d"}, FOUR_WEEKS),
        ({}, {"start": date(2026, 8, 19), "end": LAST}),
        ({"overview_period": "364d"}, {"start": date(2025, 11, 12), "end": LAST}),
        ({"overview_period": "all"}, {}),
        ({"overview_period": "28d", "overview_region": "North"}, FOUR_WEEKS | {"region": "North"}),
        (
            {"overview_period": "own", "overview_from": "2026-10-05", "overview_to": "2026-10-25"},
            {"start": date(2026, 10, 5), "end": date(2026, 10, 25)},
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("who", ["root", "ann", "ana"])
def test_a_link_opens_its_period_and_region(
    people: make.People, who: str, params: dict[str, str], asked: dict[str, Any]
) -> None:
    viewer: Viewer = getattr(people, who)
    app = shown(viewer, **params)
    told = within_run(viewer, overview.overview, today=TODAY, currency="USD", **asked)
    assert metrics(app) == {
        metric.name: format.short(told.figures[key].value, metric.unit, "USD") for key, metric in METRICS.items()
    }
    region = params.get("overview_region", "All regions")
    assert context(app) == f"{format.days(told.period.start, told.period.end)} · {region} · up to date"
    assert dict(app.query_params) == params  # nothing is lost from it, nothing comes in


def test_choices_go_into_the_link_by_code(people: make.People) -> None:
    app = shown(people.root, language="zh_CN")
    with speaking("zh_CN"):
        control(app, "overview_period").set_value("28d")
        control(app, "overview_region").set_value("North")
        sound(app.run())
        assert app.query_params == {"overview_period": "28d", "overview_region": "North"}
        assert "地区" in body(app)
        english = click(app, "kehu_other_language")
    assert "Region" in body(sound(english))
    assert app.query_params == {"overview_period": "28d", "overview_region": "North"}
    assert metrics(english)["Revenue"] == "$70.00"
    control(app, "overview_period").set_value("84d")
    control(app, "overview_region").set_value("")
    app.run()
    assert app.query_params == {}


def test_campaign_with_rate_and_interval(people: make.People) -> None:
    said = body(shown(people.root, overview_period="28d"))
    assert "**Running campaigns · on Nov 10, 2026**" in said
    assert wording.plain("Autumn *sale*") in said
    assert r"| 2 | 1 | 50\.0% \(9\.5–90\.5%\) |" in said
    assert "No campaign ran on that day." in body(
        shown(people.root, overview_period="own", overview_from="2026-08-01", overview_to="2026-08-31")
    )


def test_charts_tell_the_period_and_the_stages(people: make.People) -> None:
    app = shown(people.root, overview_period="28d")
    said = words(app)
    assert "**Revenue · USD · with the period before**" in said
    assert '"name":"Period before"' in said
    assert '"text":["0 · 0.0%","1 · 33.3%"' in said  # no prospects, Second is new


def test_unknown_is_a_word_and_not_zero(people: make.People) -> None:
    """The data begins in June: nobody knows who was new then, nor what was before."""
    app = shown(people.root, overview_period="own", overview_from="2026-06-01", overview_to="2026-06-20")
    assert metrics(app)["New"] == "not known"
    assert metrics(app)["Retention"] == "not known"
    assert all(not card.delta for card in app.main.metric)
    assert metrics(app)["Revenue"] == "$10.00"


def test_a_region_is_no_markup(people: make.People) -> None:
    app = shown(people.root, overview_region="East :red[x]")
    assert wording.plain("East :red[x]") in context(app)


def test_nothing_of_others(people: make.People) -> None:
    assert metrics(shown(people.cho, overview_period="all"))["Revenue"] == "$60.00"
    assert "North" in app_regions(shown(people.cho))
    assert app_regions(shown(people.bo)) == ["All regions"]


def app_regions(app: AppTest) -> list[str]:
    return list(control(app, "overview_region").options)


# --- nonsense in the link --------------------------------------------------------------------------------------------

DEFAULT = "Aug 19 – Nov 10, 2026 · All regions"
OWN = "Oct 14 – Nov 10, 2026 · All regions"


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"overview_period": "nonsense", "overview_region": "Nowhere"}, DEFAULT),
        ({"overview_period": "x" * 5_000, "overview_region": "<script>alert(1)</script>"}, DEFAULT),
        ({"overview_period": "\0", "overview_region": "\0"}, DEFAULT),
        ({"overview_region": "'; drop table customers; --"}, DEFAULT),
        ({"overview_from": "garbage", "overview_to": "\0"}, DEFAULT),
        ({"overview_period": "own", "overview_from": "garbage", "overview_to": "x" * 5_000}, OWN),
        ({"overview_period": "own", "overview_from": "2026-02-30"}, OWN),
        ({"overview_period": "own", "overview_from": "0001-01-01", "overview_to": "9999-12-31"}, OWN),
        (
            {"overview_period": "own", "overview_from": "2026-12-31", "overview_to": "2026-01-01"},
            "ends before it starts",
        ),
        ({"overview_period": "own", "overview_to": "2036-11-09"}, "A period has at most 3,660 days."),
    ],
    ids=lambda value: str(value)[:40],
)
def test_nonsense_gives_a_sentence_or_the_default(people: make.People, params: dict[str, str], told: str) -> None:
    app = shown(people.root, **params)
    assert told in body(app)
    assert app.title[0].value == "Overview"


def test_gone_session_shows_the_sign_in(people: make.People) -> None:
    app = shown(people.ann)
    revoke(app)
    control(app, "overview_period").set_value("28d")
    app.run()
    assert "Sign in" in body(app)
    assert not metrics(app)
    assert len(app.sidebar) == 0
