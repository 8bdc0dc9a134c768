"""What is measured of each screen: the parameters that make it work hardest, and queries that no screen sends yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from db import segments


@dataclass(frozen=True)
class Case:
    """A screen with parameters of its address; the names of `largest` (most_orders, campaign) are filled in."""

    screen: str
    label: str
    params: Mapping[str, str]


CASES = (
    Case("overview", "12 weeks", {}),
    Case("overview", "52 weeks", {"overview_period": "364d"}),
    Case("overview", "all time", {"overview_period": "all"}),
    Case("overview", "one region", {"overview_period": "364d", "overview_region": "{region}"}),
    Case("customers", "by name", {}),
    Case("customers", "by revenue", {"customers_sort": "revenue", "customers_descending": "true"}),
    Case("customers", "filtered", {"customers_region": "{region}", "customers_stage": "at_risk"}),
    Case("customers", "filtered, newest", {"customers_stage": "lost", "customers_sort": "newest"}),
    Case("customers", "search 王", {"customers_search": "王"}),
    Case("customers", "search an", {"customers_search": "an"}),
    Case("customers", "search inside", {"customers_search": "hompso"}),
    Case("customers", "search nothing", {"customers_search": "qqqq"}),
    Case("customers", "search digits", {"customers_search": "0123"}),
    Case("customer", "most orders", {"id": "{most_orders}"}),
    Case("customer", "its purchases", {"id": "{most_orders}", "customer_tab": "purchases"}),
    Case("customer", "its campaigns", {"id": "{most_orders}", "customer_tab": "campaigns"}),
    Case("customer", "its history", {"id": "{most_orders}", "customer_tab": "history"}),
    Case("campaigns", "all", {}),
    Case("campaign", "largest", {"id": "{campaign}"}),
    Case("campaign", "its regions", {"id": "{campaign}", "campaign_by": "region"}),
    Case("campaign", "its products", {"id": "{campaign}", "campaign_products": "true"}),
    Case("funnel", "largest", {"funnel_campaign": "{campaign}"}),
    Case("funnel", "by region", {"funnel_campaign": "{campaign}", "funnel_by": "region", "funnel_step": "received"}),
    Case("changes", "newest", {}),
    Case("account", "own", {}),
)
"""Every screen has at least one; a screen without any is measured as it opens."""

_LARGEST = """
SELECT (SELECT customer_id FROM customer_metrics ORDER BY orders DESC LIMIT 1) AS most_orders,
    (SELECT campaign_id FROM campaign_members GROUP BY 1 ORDER BY count(*) DESC LIMIT 1) AS campaign,
    (SELECT region FROM customers WHERE region <> '' LIMIT 1) AS region
"""


def largest(conn: Connection) -> dict[str, str]:
    """What this viewer has most of: a customer by orders, a campaign by members; and a region."""
    return {name: str(value or "0") for name, value in conn.exec_driver_sql(_LARGEST).mappings().one().items()}


def _rule(*conditions: Mapping[str, Any], match: str = "all") -> str:
    return json.dumps({match: conditions})


_LAPSED = (
    {"field": "last_order_on", "op": "not in the last", "value": 90},
    {"field": "revenue", "op": ">=", "value": 500},
)
_SCORED = (
    {"field": "r_score", "op": "in", "value": ["4", "5"]},
    {"field": "m_score", "op": "in", "value": ["5"]},
    {"field": "age_band", "op": "not in", "value": ["65+"]},
)
_BOUGHT = (
    {"field": "bought_category", "op": "any of", "value": ["Tea"]},
    {"field": "orders", "op": ">", "value": 3},
)
RULES = {
    "everyone": _rule(),
    "lapsed": _rule(*_LAPSED),
    "scores": _rule(*_SCORED),
    "bought": _rule(*_BOUGHT),
    "any of": _rule({"field": "region", "op": "in", "value": ["North"]}, *_LAPSED, match="any"),
}


@dataclass(frozen=True)
class Query:
    """A query function of db/ with its values, measured by itself."""

    label: str
    function: Callable[..., Any]
    values: Mapping[str, Any]


QUERIES = tuple(
    Query(f"{name}, {label}", getattr(segments, name), {"rule": rule})
    for name in ("count", "explore", "preview")
    for label, rule in RULES.items()
)
"""What the screen of segments asks, whichever way it is drawn."""
