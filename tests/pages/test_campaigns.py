"""The marketing screens: the league, one campaign, the funnel; links and what is said to those who see less."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from sqlalchemy import insert

from db import campaigns, clock, connection, derived, funnel, schema
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import body, database, grid, metrics, pick, said, signed_in, sound

TODAY = date(2026, 11, 20)
FIRST = date(2026, 10, 1)
NAMES = ("Autumn", "<b>Winter</b> :red[x]", "Nobody yet")


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ten customers of Ann and ten of Cho with an order each; Autumn reached all, Winter the half of Ann's."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            stamps = {"created_at": clock.now(), "updated_at": clock.now()}
            windows = [(FIRST, FIRST + timedelta(9)), (TODAY - timedelta(9), TODAY + timedelta(9)), (TODAY, TODAY)]
            ids = [
                conn.scalar(
                    insert(schema.campaigns)
                    .values(name=name, kind=kind, starts_on=starts, ends_on=ends, **stamps)
                    .returning(schema.campaigns.c.id)
                )
                for name, kind, (starts, ends) in zip(NAMES, "AAB", windows, strict=True)
            ]
            assert ids == [1, 2, 3]
            for n in range(20):
                owner = made.ann if n < 10 else made.cho
                one = make.customer(conn, owner.user_id, name=f"No. {n}", region="East" if n % 2 else "")
                make.order(conn, one, FIRST - timedelta(days=10), "10")
                make.order(conn, one, FIRST + timedelta(days=3 if n % 4 else 30), "20")
                member = {"customer_id": one, "received_on": FIRST}
                conn.execute(insert(schema.campaign_members).values(**member, campaign_id=1, redemptions=n % 3))
                if n < 5:
                    conn.execute(insert(schema.campaign_members).values(**member, campaign_id=2))
                if n % 3:
                    event = {"customer_id": one, "campaign_id": 1, "kind": "redeemed", "occurred_on": FIRST}
                    conn.execute(insert(schema.campaign_events).values(**event))
            derived.rebuild(conn)
        yield made


def league(viewer: Viewer) -> dict[str, campaigns.Campaign]:
    with connection.begin(viewer) as conn:
        return {c.name: c for c in campaigns.league(conn, viewer=viewer, today=TODAY)[0]}


# --- the league ------------------------------------------------------------------------------------------------------


def test_the_list_is_the_query(people: make.People) -> None:
    for viewer in (people.root, people.ann, people.mark):
        rows = grid(sound(signed_in(viewer, "campaigns")), "campaigns_list")
        found = league(viewer)
        assert list(rows["campaign"]) == list(found)
        assert list(rows["reached"]) == [c.reached for c in found.values()]
        assert list(rows["redeemers"]) == [c.redeemers for c in found.values()]
    assert grid(signed_in(people.ann, "campaigns"), "campaigns_list")["change"].tolist()[0] == "not known"


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({}, [NAMES[2], NAMES[1], NAMES[0]]),
        ({"campaigns_kind": "B"}, [NAMES[2]]),
        ({"campaigns_state": "ended"}, [NAMES[0]]),
        ({"campaigns_state": "running"}, [NAMES[2], NAMES[1]]),
        ({"campaigns_sort": "reached"}, [NAMES[0], NAMES[1], NAMES[2]]),
        ({"campaigns_kind": "\0", "campaigns_state": "<script>", "campaigns_sort": "x" * 5_000}, [*NAMES[::-1]]),
    ],
    ids=str,
)
def test_a_link_opens_its_list(people: make.People, params: dict[str, str], shown: list[str]) -> None:
    assert list(grid(sound(signed_in(people.root, "campaigns", **params)), "campaigns_list")["campaign"]) == shown


def test_filters_without_a_campaign_say_so(people: make.People) -> None:
    app = sound(signed_in(people.root, "campaigns", campaigns_kind="B", campaigns_state="ended"))
    assert "No campaign matches. Remove a filter." in body(app)


def test_a_row_opens_its_figures(people: make.People) -> None:
    app = signed_in(people.root, "campaigns")
    app = sound(pick(app, "campaigns_list", 2))
    autumn = league(people.root)["Autumn"]
    assert metrics(app)["Reached"] == "20"
    assert metrics(app)["Redeemers"] == str(autumn.redeemers) == "13"
    assert metrics(app)["Redemption rate"] == "65.0%"
    assert metrics(app)["Against before"] == f"{autumn.change * 100:+.1f}%" == "+50.0%"  # 15 of 20 bought for 20


# --- one campaign ----------------------------------------------------------------------------------------------------


def test_one_campaign_beside_another(people: make.People) -> None:
    app = sound(signed_in(people.root, "campaign", id="1", campaign_with="2", campaign_by="region"))
    assert "Autumn" in body(app)
    assert "<b>Winter</b> :red[x]" in said(app)
    assert "The intervals of the redemption rates overlap" in body(app)
    assert metrics(app)["Redemptions"] == "19"
    app = sound(signed_in(people.root, "campaign", id="1", campaign_products="true"))
    assert "No promoted product was bought." in body(app)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("", "Choose a campaign from the list."),
        ("abc", "Choose a campaign from the list."),
        ("１", "Choose a campaign from the list."),
        ("9" * 30, "Choose a campaign from the list."),
        ("4711", "There is no campaign 4711."),
    ],
)
def test_nonsense_for_a_campaign(people: make.People, asked: str, told: str) -> None:
    assert told in body(sound(signed_in(people.root, "campaign", id=asked)))


def test_a_campaign_that_reached_nobody_in_sight(people: make.People) -> None:
    for path, params in (("campaign", {"id": "2"}), ("funnel", {"funnel_campaign": "2"})):
        assert "This campaign has reached nobody you may see." in body(sound(signed_in(people.cho, path, **params)))
        assert "This campaign has reached nobody you may see." not in body(signed_in(people.ann, path, **params))


# --- the funnel ------------------------------------------------------------------------------------------------------


def test_the_list_is_as_long_as_the_bar(people: make.People) -> None:
    for viewer in (people.root, people.ann):
        with connection.begin(viewer) as conn:
            [row] = funnel.steps(conn, viewer=viewer, campaign_id=1).to_dict("records")
        for step in ("received", "bought"):
            app = sound(signed_in(viewer, "funnel", funnel_campaign="1", funnel_step=step))
            assert len(grid(app, "funnel_people")) == row[step]
            assert f"1–{row[step]} of {row[step]}" in body(app)
    app = sound(signed_in(people.root, "funnel", funnel_campaign="1"))
    assert "13 more redeemed without a recorded purchase of a promoted product" in body(app)
    assert "Nobody." in body(app), "nothing was promoted, so nobody is in the last step"


def test_a_cut_and_the_people_of_one_group(people: make.People) -> None:
    params = {"funnel_campaign": "1", "funnel_by": "region", "funnel_step": "bought", "funnel_value": "East"}
    rows = grid(sound(signed_in(people.root, "funnel", **params)), "funnel_people")
    assert set(rows["region"]) == {"East"}
    assert len(rows) == 10
    unknown = grid(sound(signed_in(people.root, "funnel", **params | {"funnel_value": "-"})), "funnel_people")
    assert (set(unknown["region"]), len(unknown)) == ({""}, 5)
    nonsense = {"funnel_campaign": "99", "funnel_by": "'; drop", "funnel_step": "\0", "funnel_value": "x" * 5_000}
    assert NAMES[2] in body(sound(signed_in(people.root, "funnel", **nonsense))), "the latest, as without a choice"


def test_masked_roles_see_numbers_for_names(people: make.People) -> None:
    app = sound(signed_in(people.mark, "funnel", funnel_campaign="1", funnel_step="received"))
    assert all(name.startswith("#") for name in grid(app, "funnel_people")["name"])
    assert "No. " not in body(app)


# --- links -----------------------------------------------------------------------------------------------------------

LESS = "whoever made this link sees more customers than you"
OTHER = "whoever made this link sees other customers than you"


@pytest.mark.parametrize(
    ("who", "shared", "told"),
    [
        ("ann", "all.8", LESS),
        ("ann", "team.4", LESS),
        ("mia", "all.8", LESS),
        ("mia", "own.1", OTHER),
        ("ann", "own.2", OTHER),
        ("ann", "own.1", ""),
        ("root", "own.1", ""),
        ("mark", "all.8", ""),
        ("ann", "<script>.1", ""),
        ("ann", "", ""),
    ],
)
@pytest.mark.parametrize("path", ["overview", "campaigns", "funnel"])
def test_a_shared_link_says_when_its_reader_sees_less(
    people: make.People, path: str, who: str, shared: str, told: str
) -> None:
    said = body(sound(signed_in(getattr(people, who), path, **({"shared": shared} if shared else {}))))
    assert (LESS in said, OTHER in said) == (told == LESS, told == OTHER)


def test_the_link_holds_what_is_shown_and_who_made_it(people: make.People) -> None:
    app = sound(signed_in(people.mia, "campaigns", campaigns_kind="A", shared="all.8"))
    [link] = [code.value for code in app.code]
    assert link.endswith(f"?campaigns_kind=A&shared=team.{people.mia.user_id}")


def test_every_figure_tells_what_it_means(people: make.People) -> None:
    from db.metrics import CAMPAIGN_METRICS, METRICS

    for path, every in (("overview", METRICS), ("campaigns", CAMPAIGN_METRICS)):
        told = body(signed_in(people.root, path))
        for metric in every.values():
            assert metric.formula in told
        assert "How fresh: up to date" in told


def test_a_link_means_the_same_in_both_languages(people: make.People) -> None:
    for language, state in (("en", "ended"), ("zh_CN", "已结束")):
        app = sound(signed_in(people.root, "campaigns", language=language, campaigns_state="ended"))
        assert list(grid(app, "campaigns_list")["state"]) == [state]
