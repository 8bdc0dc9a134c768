"""One number, asked in several places, on the demo: screen, terminal, query, parts, lists, and the source by pandas."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import select

from components import format, funnel_view, segment_source
from db import campaigns, clock, customers, demo_data, funnel, overview, schema, segments, settings, viewers
from db import words as words_
from db.__main__ import main
from db.connection import begin
from db.metrics import METRICS
from db.permissions import GATE, Role, Viewer
from tests.pages.visits import grid, metrics, signed_in, sound, speaking

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def english(demo_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LANG", "C")
    with speaking("en"):
        yield
    words_.use(None)


def viewer_of(role: Role) -> Viewer:
    with begin(GATE) as conn:
        u = schema.users.c
        username = conn.scalar(select(u.username).where(u.role == role.value, u.active).order_by(u.id).limit(1))
        assert username
        return viewers.viewer_of(conn, username=username)


def asked(viewer: Viewer, capsys: pytest.CaptureFixture[str], *argv: object) -> Any:
    """The document that the terminal prints for this user."""
    capsys.readouterr()
    assert main(["--json", "--as", viewer.username, *(str(a) for a in argv)]) == 0
    words_.use("en")
    return json.loads(capsys.readouterr().out, parse_float=Decimal)


def today() -> date:
    return clock.today(demo_data.ZONE)


# --- the overview ----------------------------------------------------------------------------------------------------


def test_the_overview_of_five_periods_is_what_pandas_counts() -> None:
    frames = demo_data.read()
    lines = frames["transactions"]
    stamps = lines["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    root = viewer_of(Role.ADMIN)
    with begin(root) as conn:
        shift = timedelta(days=settings.get(conn).more["demo_shift_days"])
        known = overview.known_from(date(2017, 1, 1) + shift)
    lines = lines.assign(day=stamps.dt.date + shift, cents=(lines["sales_value"] * 100).round().astype(int))
    first_orders = lines.groupby("household_id")["day"].min()
    last = date(2017, 12, 31) + shift
    for start, end in (
        (date(2017, 1, 1) + shift, last),
        (last - timedelta(83), last),
        (last - timedelta(27), last),
        (date(2017, 5, 3) + shift, date(2017, 5, 3) + shift),
        (date(2017, 3, 10) + shift, date(2017, 6, 20) + shift),
    ):
        length = end - start + timedelta(1)
        now = lines[(lines["day"] >= start) & (lines["day"] <= end)]
        then = lines[(lines["day"] >= start - length) & (lines["day"] < start)]
        active, before = set(now["household_id"]), set(then["household_id"])
        orders, revenue = now["basket_id"].nunique(), Decimal(int(now["cents"].sum())) / 100
        reaches = start - length >= date(2017, 1, 1) + shift
        wanted = {
            "customers": 2_469,
            "active": len(active),
            "new": int(((first_orders >= start) & (first_orders <= end)).sum()) if start >= (known or start) else None,
            "revenue": revenue,
            "orders": orders,
            "basket": pytest.approx(revenue / orders),
            "repeat_rate": float((now.groupby("household_id")["basket_id"].nunique() > 1).mean()),
            "retention": len(active & before) / len(before) if reaches else None,
        }
        with begin(root) as conn:
            found = overview.overview(conn, viewer=root, today=today(), currency="USD", start=start, end=end)
        assert {key: figure.value for key, figure in found.figures.items()} == pytest.approx(wanted), (start, end)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER, Role.SALES, Role.ANALYST])
def test_the_overview_says_the_same_everywhere_and_is_the_sum_of_its_parts(
    role: Role, capsys: pytest.CaptureFixture[str]
) -> None:
    viewer, rng = viewer_of(role), random.Random(str(role))
    with begin(viewer) as conn:
        regions = customers.regions(conn, viewer=viewer)
        first, last = overview.span(conn, viewer=viewer)
    assert first is not None
    assert last is not None
    for _n in range(4):
        start = first + timedelta(days=rng.randrange((last - first).days - 30))
        end = start + timedelta(days=rng.choice([0, 6, 27, 30]))
        region = rng.choice(["", *regions])
        cut = ["--region", region] if region else []
        told = asked(viewer, capsys, "overview", "--from", start, "--to", end, *cut)
        params = {"overview_period": "own", "overview_from": start.isoformat(), "overview_to": end.isoformat()}
        params |= {"overview_region": region} if region else {}
        shown = metrics(sound(signed_in(viewer, "overview", **params)))
        for key, metric in METRICS.items():
            value = told[key]
            value = float(value) if isinstance(value, Decimal) and metric.unit == "rate" else value
            assert shown[metric.name] == format.short(value, metric.unit, "USD"), (key, start, end, region)
        days = [start.isoformat(), end.isoformat()]
        ordered = segment_source.within(region, "ordered", "within", {"from": days[0], "to": days[1]})
        first_ordered = segment_source.within(region, "first_order_on", "between", days)
        with begin(viewer) as conn:
            behind = [
                segments.count(conn, viewer=viewer, rule=rule, today=today()) for rule in (ordered, first_ordered)
            ]
        assert behind == [told["active"], behind[1] if told["new"] is None else told["new"]]
    whole = asked(viewer, capsys, "overview")
    parts = [asked(viewer, capsys, "overview", "--region", region) for region in regions]
    with begin(viewer) as conn:
        c = schema.customers.c
        assert conn.scalar(select(c.id).where(c.region == "").limit(1)) is None, "the demo knows every region"
    for key, metric in METRICS.items():
        if metric.totals == "sum" and whole[key] is not None:
            assert sum(part[key] for part in parts) == whole[key], key
    assert sum(whole["stages"].values()) == whole["customers"]


# --- campaigns and the funnel ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER, Role.SALES])
def test_campaigns_say_the_same_everywhere(role: Role, capsys: pytest.CaptureFixture[str]) -> None:
    viewer = viewer_of(role)
    told = asked(viewer, capsys, "campaigns")["rows"]
    rows = grid(sound(signed_in(viewer, "campaigns")), "campaigns_list")
    for column in ("reached", "redeemers", "redemptions"):
        assert list(rows[column]) == [row[column] for row in told]
    for row in random.Random(3).sample(told, 3):
        cards = metrics(sound(signed_in(viewer, "campaign", id=str(row["id"]))))
        assert cards["Reached"] == format.number(row["reached"])
        assert cards["Redeemers"] == format.number(row["redeemers"])
        steps = asked(viewer, capsys, "funnel", row["id"])["rows"]
        assert steps[0]["received"] == row["reached"]
        assert steps[0]["redeemed"] + steps[0]["unmatched"] == row["redeemers"]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER])
def test_a_bar_is_its_slices_its_list_and_its_segment(role: Role) -> None:
    viewer, rng = viewer_of(role), random.Random(str(role))
    with begin(viewer) as conn:
        for campaign_id in campaigns.names(conn, viewer=viewer):
            whole = funnel.steps(conn, viewer=viewer, campaign_id=campaign_id).iloc[0]
            by = rng.choice(list(funnel.SLICES))
            cut = funnel.steps(conn, viewer=viewer, campaign_id=campaign_id, by=by)
            for step in funnel.Step:
                assert cut[step.value].sum() == whole[step.value]
            bars: list[tuple[dict[str, Any], int]] = [
                ({"step": step.value}, int(whole[step.value])) for step in funnel.Step
            ]
            if len(cut):
                row, step = cut.iloc[rng.randrange(len(cut))], rng.choice(list(funnel.Step)).value
                bars.append(({"step": step, "by": by, "value": row["slice"]}, int(row[step])))
            for bar, n in bars:
                found = funnel.people(conn, viewer=viewer, campaign_id=campaign_id, limit=200, **bar)
                assert found.total == n
                assert len(found.rows) == min(n, 200)
                rule = funnel_view.segment_rule(campaign_id, **bar)
                assert segments.count(conn, viewer=viewer, rule=rule, today=today()) == n


# --- segments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER, Role.SALES, Role.MARKETER])
def test_a_segment_is_its_parts_its_list_and_what_the_terminal_says(
    role: Role, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    viewer, rng = viewer_of(role), random.Random(str(role))
    for _n in range(4):
        rule = {
            rng.choice(["all", "any", "none"]): [
                {"field": "orders", "op": ">", "value": rng.randrange(150)},
                {"field": "revenue", "op": "between", "value": [rng.randrange(500), rng.randrange(500, 9_000)]},
                {"field": "stage", "op": "in", "value": [rng.choice(["loyal", "at_risk", "lost"])]},
            ]
        }
        file = tmp_path / "rule.json"
        file.write_text(json.dumps(rule))
        told = asked(viewer, capsys, "segment", "count", file)["count"]
        shown = metrics(sound(signed_in(viewer, "segment", segment_rule=json.dumps(rule))))
        assert shown["Customers who fit"] == format.number(told)
        with begin(viewer) as conn:
            found = segments.explore(conn, viewer=viewer, rule=json.dumps(rule), today=today())
            seen: set[int] = set()
            for offset in range(0, told, 500):
                page = segments.preview(
                    conn, viewer=viewer, rule=json.dumps(rule), today=today(), offset=offset, limit=500
                )
                seen |= set(page.rows["id"])
        assert len(seen) == told == found.customers
        for _dimension, part in found.spread.groupby("dimension"):
            assert (part["customers"].sum(), part["everyone"].sum()) == (found.customers, found.everyone)


def test_regulars_as_a_new_user_would_ask_for_them() -> None:
    """More than 100 orders and more than 2,000 spent, counted by pandas over the source."""
    lines = demo_data.read()["transactions"]
    cents = (lines["sales_value"] * 100).round().astype(int)
    by = pd.DataFrame({"household": lines["household_id"], "basket": lines["basket_id"], "cents": cents})
    totals = by.groupby("household").agg(orders=("basket", "nunique"), cents=("cents", "sum"))
    wanted = int(((totals["orders"] > 100) & (totals["cents"] > 200_000)).sum())
    rule = '{"all":[{"field":"orders","op":">","value":100},{"field":"revenue","op":">","value":2000}]}'
    app = sound(signed_in(viewer_of(Role.ADMIN), "segment", segment_rule=rule))
    assert metrics(app)["Customers who fit"] == format.number(wanted)
