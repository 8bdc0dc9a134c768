"""Each metric, once: its name, unit, formula and source, how it totals, and which direction is better.

Screens, terminal and manual read this list; the sentences are what the user is shown when asking what a figure means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


def N_(message: str) -> str:
    """Mark a string for translation where it cannot be translated yet."""
    return message


@dataclass(frozen=True)
class Metric:
    """`unit` is count, money or rate; `totals` is sum (parts add up), distinct (they do not) or ratio."""

    key: str
    name: str
    unit: str
    formula: str
    source: str
    totals: str
    better: str = "up"


METRICS: Mapping[str, Metric] = {
    m.key: m
    for m in (
        Metric(
            "customers",
            N_("Customers"),
            "count",
            N_("Customers that are not archived, with or without orders."),
            "customers",
            "sum",
        ),
        Metric(
            "active",
            N_("Active"),
            "count",
            N_("Customers with at least one order in the period."),
            "orders",
            "distinct",
        ),
        Metric(
            "new",
            N_("New"),
            "count",
            N_("Customers whose first order ever lies in the period. Not known for the first four weeks of the data."),
            "daily_sales",
            "sum",
        ),
        Metric(
            "revenue",
            N_("Revenue"),
            "money",
            N_("Sum of the order amounts in the company's currency; orders in other currencies are counted beside it."),
            "daily_sales",
            "sum",
        ),
        Metric("orders", N_("Orders"), "count", N_("Orders placed in the period."), "daily_sales", "sum"),
        Metric(
            "basket",
            N_("Average basket"),
            "money",
            N_("Revenue divided by orders in the company's currency."),
            "daily_sales",
            "ratio",
        ),
        Metric(
            "repeat_rate",
            N_("Repeat rate"),
            "rate",
            N_("Of the customers active in the period, the share with two or more orders in it."),
            "orders",
            "ratio",
        ),
        Metric(
            "retention",
            N_("Retention"),
            "rate",
            N_("Of the customers active in the equally long period before, the share active again in this one."),
            "orders",
            "ratio",
        ),
    )
}

CAMPAIGN_METRICS: Mapping[str, Metric] = {
    m.key: m
    for m in (
        Metric(
            "reached", N_("Reached"), "count", N_("Customers who received the campaign."), "campaign_members", "sum"
        ),
        Metric(
            "buyers",
            N_("Bought"),
            "count",
            N_("Of the customers reached, those with an order from the campaign's first to its last day."),
            "campaign_results",
            "sum",
        ),
        Metric(
            "promoted_buyers",
            N_("Bought promoted"),
            "count",
            N_("Of those who bought, the customers with a product in an order that the campaign's coupons are for."),
            "campaign_results",
            "sum",
        ),
        Metric(
            "redeemers",
            N_("Redeemers"),
            "count",
            N_("Of the customers reached, those who redeemed at least one coupon of the campaign."),
            "campaign_members",
            "sum",
        ),
        Metric(
            "redemptions",
            N_("Redemptions"),
            "count",
            N_("Coupons of the campaign that were redeemed; one customer may redeem several."),
            "campaign_members",
            "sum",
        ),
        Metric(
            "redemption_rate",
            N_("Redemption rate"),
            "rate",
            N_(
                "Redeemers divided by reached. The interval is Wilson's at 95%: intervals made this way hold the true "
                "rate 19 times out of 20."
            ),
            "campaign_members",
            "ratio",
        ),
        Metric(
            "campaign_revenue",
            N_("Revenue in the window"),
            "money",
            N_("Everything the customers reached bought from the campaign's first to its last day, promoted or not."),
            "campaign_results",
            "sum",
        ),
        Metric(
            "per_head",
            N_("Revenue per head"),
            "money",
            N_("Revenue in the window divided by reached."),
            "campaign_results",
            "ratio",
        ),
        Metric(
            "against_before",
            N_("Against before"),
            "rate",
            N_(
                "Revenue of the same customers in the window against the equally long time before it. No proof of "
                "an effect: seasons and other campaigns are in it. Not known where the data does not hold both."
            ),
            "campaign_results",
            "ratio",
        ),
    )
}

CUSTOMER_METRICS: Mapping[str, Metric] = {
    m.key: m
    for m in (
        Metric(
            "orders",
            N_("Orders"),
            "count",
            N_("All orders of the customer, those in other currencies too."),
            "customer_metrics",
            "sum",
        ),
        Metric(
            "revenue",
            N_("Revenue"),
            "money",
            N_("Sum of the customer's order amounts in the company's currency; it counts for the present owner."),
            "customer_metrics",
            "sum",
        ),
        Metric(
            "basket",
            N_("Average basket"),
            "money",
            N_("Revenue divided by orders in the company's currency."),
            "customer_metrics",
            "ratio",
        ),
        Metric(
            "last_order",
            N_("Last order"),
            "count",
            N_("The day of the latest order, in the company's time zone."),
            "customer_metrics",
            "distinct",
        ),
        Metric(
            "interval",
            N_("Buys every"),
            "count",
            N_(
                "The median number of days between two days with a purchase, halves rounded up; several orders of a "
                "day count once. Not known with fewer than 3 such days."
            ),
            "order_days",
            "distinct",
        ),
        Metric(
            "next_due",
            N_("Next purchase due"),
            "count",
            N_("The day of the last order plus the usual interval. A habit carried on, no forecast."),
            "order_days",
            "distinct",
        ),
        Metric(
            "r_score",
            N_("Recency score"),
            "count",
            N_(
                "1 to 5: in which fifth of all the company's customers with orders the last order lies, or by fixed "
                "bounds; 5 is latest."
            ),
            "score_bounds",
            "distinct",
        ),
        Metric(
            "f_score",
            N_("Frequency score"),
            "count",
            N_(
                "1 to 5: in which fifth of all the company's customers with orders their number lies, or by fixed "
                "bounds; 5 is most."
            ),
            "score_bounds",
            "distinct",
        ),
        Metric(
            "m_score",
            N_("Monetary score"),
            "count",
            N_(
                "1 to 5: in which fifth of all the company's customers with orders the revenue lies, or by fixed "
                "bounds; 5 is most."
            ),
            "score_bounds",
            "distinct",
        ),
        Metric(
            "interests",
            N_("Interests"),
            "rate",
            N_(
                "The three product categories most was spent on, each with its share of what all lines with a "
                "category cost, in the company's currency."
            ),
            "order_items",
            "ratio",
        ),
    )
}

SEGMENT_METRICS: Mapping[str, Metric] = {
    m.key: m
    for m in (
        Metric(
            "fitting",
            N_("Customers who fit"),
            "count",
            N_(
                "Customers who are not archived and whom you may see, of whom the rule is true. Counted, not estimated."
            ),
            "customers",
            "distinct",
        ),
        Metric(
            "share", N_("Share of all"), "rate", N_("Those who fit, of all whom you may see."), "customers", "ratio"
        ),
        Metric(
            "alone",
            N_("Alone"),
            "count",
            N_("How many fit one condition or group by itself, whatever the others say."),
            "customers",
            "distinct",
        ),
        Metric(
            "scores",
            N_("Scores of recency, frequency and monetary value"),
            "count",
            N_(
                "1 to 5 by the fifths of all the company's customers with orders: a later last order, more orders and "
                "more revenue score higher. Equal values score equally; the bounds are taken anew every hour, unless "
                "an administrator fixed them."
            ),
            "customer_metrics",
            "distinct",
        ),
    )
}

COHORT_METRICS: Mapping[str, Metric] = {
    m.key: m
    for m in (
        Metric(
            "cohort",
            N_("Cohort"),
            "count",
            N_(
                "Customers who are not archived, by the calendar month of their first purchase. Not known for months "
                "that begin less than four weeks after the first day of the data: who bought then may have bought "
                "before."
            ),
            "cohort_sums",
            "sum",
        ),
        Metric(
            "cohort_retention",
            N_("Retention of a cohort"),
            "rate",
            N_(
                "Of a cohort's customers the share with an order in the calendar month +1, +2, … after the first one; "
                "of revenue and orders, those of that month in parts of the first month's. Revenue is in the company's "
                "currency."
            ),
            "cohort_sums",
            "ratio",
        ),
        Metric(
            "cohort_average",
            N_("Average of the cohorts"),
            "rate",
            N_(
                "The customers of all cohorts who bought in their month +1, +2, …, divided by all of these cohorts: "
                "large cohorts weigh more. Only months that are over count, so later months rest on fewer cohorts. The "
                "interval is Wilson's at 95%."
            ),
            "cohort_sums",
            "ratio",
        ),
    )
}

REPEAT_METRICS: Mapping[str, Metric] = {
    m.key: m
    for m in (
        Metric(
            "bought_again",
            N_("Bought again"),
            "rate",
            N_(
                "The share with another purchase by a day after one, estimated by Kaplan and Meier (1958) with "
                "Greenwood's interval at 95%. A purchase is a day with at least one order. Customers whose first "
                "purchase lies less than four weeks after the first day of the data are left out."
            ),
            "order_days",
            "ratio",
        ),
        Metric(
            "intervals",
            N_("Intervals between purchases"),
            "count",
            N_(
                "The days from each day with a purchase to the customer's next one. Customers who buy often have many "
                "intervals, so short ones are many."
            ),
            "order_days",
            "sum",
        ),
    )
}

FLOW_METRICS: Mapping[str, Metric] = {
    m.key: m
    for m in (
        Metric(
            "class_then",
            N_("Class on a past day"),
            "count",
            N_(
                "By the customer's orders up to that day: the stage as on that day, by the rules in force now; scores "
                "by the bounds over everybody's orders up to that day. On the present day by the figures and bounds of "
                "now. Of customers who are not archived now, whoever had them then."
            ),
            "customer_classes",
            "sum",
        ),
        Metric(
            "flow",
            N_("Share of a flow"),
            "rate",
            N_(
                "Of the customers in a class on the first day, the share in another one on the second, whatever lay "
                "between. Where two groups are compared, the interval is Wilson's at 95%."
            ),
            "customer_classes",
            "ratio",
        ),
    )
}
AFFINITY_METRICS: Mapping[str, Metric] = {
    m.key: m
    for m in (
        Metric(
            "pair_support",
            N_("Support"),
            "rate",
            N_(
                "Of the orders with a product category, the share that hold both categories of a pair (Agrawal and "
                "others 1993). The interval is Wilson's at 95%."
            ),
            "basket_sums",
            "ratio",
        ),
        Metric(
            "pair_confidence",
            N_("Confidence"),
            "rate",
            N_(
                "Of the orders with one category, the share that hold the other too; each direction has its own. The "
                "interval is Wilson's at 95%."
            ),
            "basket_sums",
            "ratio",
        ),
        Metric(
            "pair_lift",
            N_("Lift"),
            "count",
            N_(
                "How many times as many orders hold both as if each were bought regardless of the other (Brin and "
                "others 1997): above 1 they attract each other, below 1 they avoid each other. The interval at 95% is "
                "taken on the logarithm by the delta method (Agresti 2013), for orders independent of each other."
            ),
            "basket_sums",
            "ratio",
        ),
    )
}

NOT_KNOWN_DAYS = 28
"""Days after the first day of data in which a first order does not tell that a customer is new."""


class Stage(StrEnum):
    """Where a customer stands; db/lifecycle.py has the rules."""

    PROSPECT = "prospect"
    FIRST = "first"
    REPEAT = "repeat"
    LOYAL = "loyal"
    AT_RISK = "at_risk"
    LOST = "lost"


STAGE_NAMES = {
    Stage.PROSPECT: N_("Prospect"),
    Stage.FIRST: N_("First purchase"),
    Stage.REPEAT: N_("Repeat buyer"),
    Stage.LOYAL: N_("Loyal"),
    Stage.AT_RISK: N_("At risk"),
    Stage.LOST: N_("Lost"),
}
