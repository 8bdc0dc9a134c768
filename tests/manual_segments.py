"""The printed parts of docs/segments.md: fields, operators and limits of segment rules, in English and Chinese."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from db import nested, rules
from db.custom_values import Field as CustomField
from db.fields import FIELDS, GROUPS, OPERATORS, Field, Kind, of_custom
from db.schema_around import CHANNELS
from db.words import catalogue

# Where a field's values stand, for those that are not one of a fixed list.
SOURCES = {
    "region": "the customer's form",
    "city": "the customer's form",
    "source": "the load or import that brought the customer",
    "owner": "the number of a user: `id` in `users list --json`",
    "created_on": "the day the customer was entered, in the company's time zone",
    "age_band": "the loaded demographics",
    "income_band": "the loaded demographics",
    "home_ownership": "the loaded demographics",
    "marital_status": "the loaded demographics",
    "household_size": "the loaded demographics",
    "household_kind": "the loaded demographics",
    "children": "the loaded demographics",
    "email": "whether the customer's form has one",
    "phone": "whether the customer's form has one",
    "stage": "by the rules in force, on the day one asks",
    "orders": "all orders, those in other currencies too",
    "revenue": "orders in the company's currency",
    "basket": "revenue by orders in the company's currency",
    "first_order_on": "orders",
    "last_order_on": "orders",
    "recency_days": "the last order, counted on the day one asks",
    "ordered": "the days of all orders, those in other currencies too",
    "bought_category": "the category of the products in the lines of orders",
    "bought_product": "the number of a product in the lines of orders",
    "received": "the number of a campaign: `id` in `campaigns --json`; the period is the day received",
    "redeemed": "the number of a campaign; the period is the day of the first redemption",
    "converted": "the number of a campaign: an order from the day it was received to its last day, and in the period",
    "held_out": "the number of a campaign that was started here; the period is the day on which the others received it",
    "funnel": "the steps of a campaign's funnel",
    "r_score": "the last order, by the fifths of the company's customers with orders",
    "f_score": "orders, by the fifths of the company's customers with orders",
    "interval": "the median number of days between days with a purchase, halves up",
    "next_due_on": "the day of the last order and the usual interval",
    "rhythm": "days since the last order, divided by the customer's own usual interval; 2 is twice as long as usual",
    "received_count": "campaigns received; the period is the day received",
    "tags": "the tags on the customer, in capitals or not",
    "contact_days": "calls, mails, meetings, messages and notes, counted on the day one asks",
    "contacts": "calls, mails, meetings, messages and notes",
    "contacted": "how the customer was talked to",
    "open_tasks": "tasks that are not done",
    "overdue_tasks": "tasks that are not done and were due before today",
    **{f"consent_{channel}": "what the customer said last" for channel in CHANNELS},
    "segment": "the number of a kept segment that you may see: `id` in `segment list --json`",
    "rfm_class": "the three scores, by the table below",
    "rfm_value": "the three scores, each high at 4 or 5",
    "value_decile": "revenue, by the tenths of the company's customers with orders; 10 is most, equal revenue is equal",
    "listed": "the number of a frozen segment: `id` in `segment list --json`; of one that you may not see nobody",
    "m_score": "revenue, by the fifths of the company's customers with orders",
}
KINDS = {
    Kind.CHOICE: "choice",
    Kind.NUMBER: "number",
    Kind.MONEY: "amount in the company's currency",
    Kind.DATE: "day",
    Kind.BOUGHT: "purchase",
    Kind.CAMPAIGN: "campaign",
    Kind.STEP: "step",
    Kind.PERIOD: "period",
    Kind.LISTED: "frozen list",
    Kind.TEXT: "text",
    Kind.SEVERAL: "several of a list",
    Kind.FLAG: "yes or no",
    Kind.CONTACT: "contact",
    Kind.COUNT: "number in a period",
    Kind.SEGMENT: "segment",
}
# When a condition is true of a customer.
MEANS = {
    "in": "the value is one of these",
    "not in": "it is none of these, or not known",
    "empty": "it is not known",
    "not empty": "it is known",
    "=": "it is equal",
    "!=": "it is not equal, or not known",
    "<": "it is less",
    "<=": "it is less or equal",
    ">": "it is greater",
    ">=": "it is greater or equal",
    "between": "it lies between the two, both included",
    "on": "it is this day",
    "before": "it is an earlier day",
    "after": "it is a later day",
    "in the last": "it lies in the last so many days, today included",
    "not in the last": "it is earlier, later than today, or not known",
    "during": "it lies in this period of the calendar; weeks begin on Monday, and days to come belong to it",
    "not during": "it lies outside of it, or is not known",
    "in the next": "it lies in the next so many days, today included",
    "anniversary in the next": "the same day of a later year does; 29 February counts on the 28th in other years",
    "any of": "at least one of these was bought, received, redeemed or had, in the period",
    "none of": "none of these was, in the period",
    "within": "at least one order was placed in the period",
    "not within": "none was",
    "reached": "the customer took this step of the campaign, and all before it",
    "not reached": "the customer did not",
    "contains": "the words stand in it, in capitals or not",
    "not contains": "they do not, or it is not known",
    "is": "it is exactly these words, in capitals or not",
    "is not": "it is not, or not known",
    "all of": "all of these are among the values",
    "yes": "it is yes",
    "no": "it is no; not known is neither",
}
MEANS_OF_LISTED = {
    "any of": "the customer stands on one of these lists",
    "none of": "the customer stands on none of them",
}
MEANS_OF_SEVERAL = {
    "any of": "at least one of these is among the values",
    "none of": "none of these is, or none is known",
}
MEANS_OF_SEGMENTS = {
    "in": "the customer fits at least one of these",
    "not in": "the customer fits none of these",
}
TAKES = {
    "some": "one value or a list",
    "words": "a text",
    "one": "one value",
    "calendar": "“this” or “last”, and “week”, “month” or “year”",
    "two": "a list of two: from, to",
    "days": "a number of days",
    "spanned": "one value or a list, or these with a period",
    "step": "a campaign and a step",
    "span": "a period",
    "counted": "a whole number, or one with a period",
    "nothing": "nothing",
}
EXAMPLE_FIELDS = {
    Kind.CHOICE: "region",
    Kind.NUMBER: "orders",
    Kind.MONEY: "revenue",
    Kind.DATE: "last_order_on",
    Kind.BOUGHT: "bought_category",
    Kind.CAMPAIGN: "received",
    Kind.STEP: "funnel",
    Kind.PERIOD: "ordered",
    Kind.LISTED: "listed",
    Kind.TEXT: "custom.notes",
    Kind.SEVERAL: "custom.interests",
    Kind.FLAG: "custom.newsletter",
    Kind.CONTACT: "contacted",
    Kind.COUNT: "received_count",
    Kind.SEGMENT: "segment",
}


def known() -> dict[str, Field]:
    """The fields of Kehu, and the custom ones that the examples ask for."""
    made = {"notes": "text", "interests": "choices", "newsletter": "flag", "tier": "choice", "floors": "number"}
    own = (
        of_custom(CustomField(n, key, key, "", kind, (), False, False, "", n, False, 1))
        for n, (key, kind) in enumerate(made.items(), 1)
    )
    return {**FIELDS, **{field.key: field for field in own}}


def _chinese(message: str) -> str:
    forms = catalogue("zh_CN").get(message)
    assert forms, message
    return forms[0]


def fields() -> str:
    """Every field, group by group."""
    head = ["`field`", "English", "中文", "kind", "not known means", "values"]
    parts = []
    for group, name in GROUPS.items():
        rows = [
            [
                *(f"`{f.key}`", f.name + (" †" if f.personal else ""), _chinese(f.name), KINDS[f.kind]),
                *(f.null if "empty" in OPERATORS[f.kind] else "–", _values(f)),
            ]
            for f in FIELDS.values()
            if f.group == group
        ]
        if rows:
            parts.append(f"### {name} · {_chinese(name)}\n\n{_table(head, rows)}")
    return "\n\n".join(parts)


def _values(field: Field) -> str:
    listed = ", ".join(f"`{value}`" for value in field.choices)
    return "; ".join(filter(None, (listed, SOURCES[field.key])))


def operators() -> str:
    """Every operator of every kind, with an example."""
    rows = [
        [KINDS[kind], f"`{op}`", TAKES[takes], _means(kind, op), f"`{json.dumps(example(kind, op))}`"]
        for kind, ops in OPERATORS.items()
        for op, takes in ops.items()
    ]
    return _table(["kind", "`op`", "`value`", "true when", "example"], rows)


def _means(kind: Kind, op: str) -> str:
    of_kind = {Kind.SEVERAL: MEANS_OF_SEVERAL, Kind.SEGMENT: MEANS_OF_SEGMENTS, Kind.LISTED: MEANS_OF_LISTED}.get(
        kind, {}
    )
    return of_kind.get(op, MEANS[op])


def example(kind: Kind, op: str) -> dict[str, Any]:
    """A condition with this operator."""
    values = {
        "days": 30,
        "calendar": "this month",
        "step": {"campaign": 18, "step": "promoted"},
        "span": {"from": "2026-10-01", "to": "2026-10-31"},
        "some": {Kind.SEVERAL: ["golf", "chess"], Kind.SEGMENT: [12, 15], Kind.LISTED: [12]}.get(
            kind, ["North", "East"]
        ),
        "words": "e-mail",
        "spanned": {"of": {Kind.BOUGHT: ["BEEF"], Kind.CONTACT: ["call"]}.get(kind, [18]), "last_days": 90},
        "counted": {"count": 0, "last_days": 90},
        "one": "2026-11-01" if kind is Kind.DATE else 100,
        "two": ["2026-10-01", "2026-10-31"] if kind is Kind.DATE else [10, 99.5],
    }
    takes = OPERATORS[kind][op]
    return {"field": EXAMPLE_FIELDS[kind], "op": op} | ({} if takes == "nothing" else {"value": values[takes]})


def limits() -> str:
    """What a rule may hold at most."""
    found = {
        "characters of a rule": rules.MOST_CHARACTERS,
        "groups within one another": rules.MOST_DEPTH,
        "conditions of a rule, and entries of a group": rules.MOST_CONDITIONS,
        "values of a condition": rules.MOST_VALUES,
        "characters of a value": rules.MOST_TEXT,
        "a number, either side of zero": rules.MOST_NUMBER,
        "decimals of a number": rules.MOST_DECIMALS,
        "days of “in the last” and “in the next”": rules.MOST_DAYS,
        "days of “anniversary in the next”": rules.MOST_ANNIVERSARY,
        "a number in a period": rules.MOST_COUNT,
        "segments within one another": nested.MOST_NESTED,
        "conditions of a rule together with those of the segments that it names": nested.MOST_EXPANDED,
        "their values": nested.MOST_VALUES_EXPANDED,
    }
    return _table(["what", "at most"], [[what, f"{most:,}"] for what, most in found.items()])


def blocks_of_json(page: str) -> Iterator[str]:
    """Every piece of JSON on a page: the fenced ones, and those in code within a line."""
    for part in page.split("```json\n")[1:]:
        yield part.partition("```")[0]
    for part in page.split("`")[1::2]:
        if part.startswith('{"'):
            yield part


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))
