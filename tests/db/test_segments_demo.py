"""Fifty generated rules on the demo, against pandas on the frames that the demo's package ships."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, select

from db import clock, demo_data, schema, segments, settings, viewers
from db.connection import begin
from db.permissions import GATE, Viewer

RULES, SEED = 50, 50
DEMOGRAPHICS = {
    "age": "age_band",
    "income": "income_band",
    "home_ownership": "home_ownership",
    "marital_status": "marital_status",
    "household_size": "household_size",
    "household_comp": "household_kind",
    "kids_count": "children",
}
FIRST_DAY = date(2017, 1, 1)

Leaf = tuple[dict[str, Any], pd.Series]


@dataclass(frozen=True)
class World:
    """The package's frames with the demo's days, one row of `people` for each household, and what ids are called."""

    rng: random.Random
    today: date
    shift: timedelta
    people: pd.DataFrame
    lines: pd.DataFrame
    frames: demo_data.Frames
    campaigns: dict[int, int]
    products: dict[int, int]

    def of(self, households: Any) -> pd.Series:
        """True for these households, false for all others."""
        return pd.Series(self.people.index.isin(households), index=self.people.index)

    def day(self) -> date:
        """Some day of the demo's year."""
        return FIRST_DAY + self.shift + timedelta(days=self.rng.randrange(365))


def world(conn: Connection, frames: demo_data.Frames) -> World:
    kept = settings.get(conn)
    shift = timedelta(days=kept.more["demo_shift_days"])
    lines = frames["transactions"].copy()
    stamps = lines["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/New_York")
    lines["day"] = stamps.dt.date + shift
    lines["category"] = lines["product_id"].map(frames["products"].set_index("product_id")["product_category"])
    today = clock.today(kept.time_zone)
    by = lines.groupby("household_id")
    people = pd.DataFrame({"orders": by["basket_id"].nunique(), "first": by["day"].min(), "last": by["day"].max()})
    people["cents"] = by["sales_value"].apply(lambda v: int((v * 100).round().sum()))
    people["recency"] = people["last"].map(lambda day: (today - day).days)
    told = frames["demographics"].set_index("household_id").reindex(people.index)
    for column in DEMOGRAPHICS:
        people[column] = told[column].astype(object).where(told[column].notna(), "")
    for score, values in {"r": people["last"], "f": people["orders"], "m": people["cents"]}.items():
        ordered = sorted(values)
        # The value at a share: the first that at least so many are not above.
        bounds = [ordered[-(-len(ordered) * tenths // 10) - 1] for tenths in (2, 4, 6, 8)]
        people[score] = [str(1 + sum(bound < value for bound in bounds)) for value in values]
    c, p = schema.campaigns.c, schema.products.c
    campaigns = {int(name.removeprefix("Campaign ")): i for name, i in conn.execute(select(c.name, c.id))}
    products = {int(sku): i for sku, i in conn.execute(select(p.sku, p.id))}
    return World(random.Random(SEED), today, shift, people, lines, frames, campaigns, products)


# --- conditions ------------------------------------------------------------------------------------------------------


def orders(w: World) -> Leaf:
    n = w.rng.randrange(1, 200)
    op, fits = w.rng.choice(
        [(">", w.people["orders"] > n), ("<=", w.people["orders"] <= n), ("!=", w.people["orders"] != n)]
    )
    return {"field": "orders", "op": op, "value": n}, fits


def revenue(w: World) -> Leaf:
    low = w.rng.randrange(100, 300_000)
    inside = (w.people["cents"] >= low) & (w.people["cents"] <= low * 3)
    return {
        "field": "revenue",
        "op": "between",
        "value": [str(Decimal(low) / 100), str(Decimal(low * 3) / 100)],
    }, inside


def basket(w: World) -> Leaf:
    cents = w.rng.randrange(500, 8_000)
    fits = w.people["cents"] < cents * w.people["orders"]
    return {"field": "basket", "op": "<", "value": cents / 100}, fits


def first_or_last(w: World) -> Leaf:
    column, day = w.rng.choice(["first", "last"]), w.day()
    op, fits = w.rng.choice([("before", w.people[column] < day), ("after", w.people[column] > day)])
    return {"field": f"{column}_order_on", "op": op, "value": day.isoformat()}, fits


def lately(w: World) -> Leaf:
    n = w.rng.randrange(5, 200)
    op, fits = w.rng.choice([("in the last", w.people["recency"] < n), ("not in the last", w.people["recency"] >= n)])
    return {"field": "last_order_on", "op": op, "value": n}, fits


def recency(w: World) -> Leaf:
    n = w.rng.randrange(5, 200)
    return {"field": "recency_days", "op": ">=", "value": n}, w.people["recency"] >= n


def demographic(w: World) -> Leaf:
    column = w.rng.choice(list(DEMOGRAPHICS))
    known = sorted(set(w.people[column]) - {""})
    some = w.rng.sample(known, min(2, len(known)))
    op, fits = w.rng.choice(
        [
            ("in", w.people[column].isin(some)),
            ("not in", ~w.people[column].isin(some)),
            ("empty", w.people[column] == ""),
        ]
    )
    leaf: dict[str, Any] = {"field": DEMOGRAPHICS[column], "op": op}
    return leaf | ({} if op == "empty" else {"value": some}), fits


def score(w: World) -> Leaf:
    which, some = w.rng.choice("rfm"), w.rng.sample("12345", w.rng.choice([1, 2]))
    return {"field": f"{which}_score", "op": "in", "value": some}, w.people[which].isin(some)


def bought(w: World) -> Leaf:
    kind = w.rng.choice(["category", "product"])
    column = "category" if kind == "category" else "product_id"
    common = w.lines[column].value_counts().index[:200]
    some = [common[w.rng.randrange(200)] for _n in range(w.rng.choice([1, 2]))]
    days = sorted([w.day(), w.day()])
    period: dict[str, Any]
    period, inside = w.rng.choice(
        [
            ({}, w.lines["day"] >= FIRST_DAY),
            ({"from": days[0].isoformat(), "to": days[1].isoformat()}, w.lines["day"].between(*days)),
            ({"last_days": 60}, w.lines["day"] > w.today - timedelta(days=60)),
        ]
    )
    buyers = w.of(w.lines[w.lines[column].isin(some) & inside]["household_id"])
    of = [str(one) if kind == "category" else w.products[int(one)] for one in some]
    op, fits = w.rng.choice([("any of", buyers), ("none of", ~buyers)])
    return {"field": f"bought_{kind}", "op": op, "value": {"of": of, **period}}, fits


def campaign(w: World) -> Leaf:
    field = w.rng.choice(["received", "redeemed"])
    some = w.rng.sample(sorted(w.campaigns), 2)
    frame = w.frames["campaigns" if field == "received" else "coupon_redemptions"]
    members = w.of(frame[frame["campaign_id"].isin(some)]["household_id"])
    op, fits = w.rng.choice([("any of", members), ("none of", ~members)])
    return {"field": field, "op": op, "value": [w.campaigns[n] for n in some]}, fits


def step(w: World) -> Leaf:
    """Members of a campaign who bought while it ran, or bought what it promoted."""
    number = w.rng.choice(sorted(w.campaigns))
    told = w.frames["campaign_descriptions"].set_index("campaign_id").loc[number]
    start, end = (pd.Timestamp(told[name]).date() + w.shift for name in ("start_date", "end_date"))
    bought = w.lines[w.lines["day"].between(start, end)]
    reached = w.rng.choice(["bought", "promoted"])
    if reached == "promoted":
        coupons = w.frames["coupons"]
        bought = bought[bought["product_id"].isin(coupons[coupons["campaign_id"] == number]["product_id"])]
    frame = w.frames["campaigns"]
    members = w.of(frame[frame["campaign_id"] == number]["household_id"]) & w.of(bought["household_id"])
    return {"field": "funnel", "op": "reached", "value": {"campaign": w.campaigns[number], "step": reached}}, members


LEAVES: tuple[Callable[[World], Leaf], ...] = (
    *(orders, revenue, basket, first_or_last, lately, recency),
    *(demographic, score, bought, campaign, step),
)


def group(w: World, make: list[Callable[[World], Leaf]], *, nested: bool) -> Leaf:
    """All, any or none of these conditions, with some of them in a group within."""
    match = w.rng.choice(["all", "any", "none"])
    found = [one(w) for one in make]
    if nested:
        found.append(group(w, [w.rng.choice(LEAVES), w.rng.choice(LEAVES)], nested=False))
    table = np.column_stack([fits.to_numpy(dtype=bool) for _rule, fits in found])
    together = table.all(axis=1) if match == "all" else table.any(axis=1)
    fits = pd.Series(~together if match == "none" else together, index=w.people.index)
    return {match: [rule for rule, _fits in found]}, fits


@pytest.mark.slow
def test_fifty_rules_count_what_pandas_counts(demo_database: str) -> None:
    with begin(GATE) as conn:
        admin = viewers.first_admin(conn)
    assert admin
    with begin(admin) as conn:
        w = world(conn, demo_data.read())
        found = []
        for n in range(RULES):
            # Every kind of condition in its turn, some beside it.
            kinds = [LEAVES[n % len(LEAVES)], *w.rng.sample(LEAVES, w.rng.choice([0, 1, 2]))]
            rule, fits = group(w, kinds, nested=n % 3 == 0)
            counted = _count(conn, admin, rule, w.today)
            assert counted == int(fits.sum()), json.dumps(rule)
            assert _count(conn, admin, {"none": [rule]}, w.today) == len(w.people) - counted
            found.append(counted)
    assert len(set(found)) > RULES / 2, "the rules differ"
    assert sum(0 < n < len(w.people) for n in found) > RULES / 2, "and tell people apart"


def _count(conn: Connection, viewer: Viewer, rule: dict[str, Any], today: date) -> int:
    return segments.count(conn, viewer=viewer, rule=json.dumps(rule), today=today)
