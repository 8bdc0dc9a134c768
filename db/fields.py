"""The fields that segments are made of, each once: name, kind, what null means, and where its values stand.

Screens, the terminal and the manual read this list; the expressions are used by db/segments.py. `of_custom` makes such
a field of one that an administrator added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Float,
    Integer,
    Numeric,
    Table,
    Text,
    case,
    cast,
    func,
    literal,
    null,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.sql.elements import Grouping

from db import cluster_values, custom_values, rfm, schema, score_rules
from db.around_words import NOT_ASKED, STATE_NAMES
from db.clock import DEFAULT_ZONE
from db.event_words import KIND_NAMES
from db.lifecycle import stage_column
from db.metrics import N_, STAGE_NAMES
from db.words import _

Bounds = Mapping[str, tuple[float, ...]]
"""The four bounds between the five scores of each measure; missing while nobody has an order. Beside them the rules of
the stages, as numbers."""


class Kind(StrEnum):
    """What a field's values are, which decides its operators."""

    CHOICE = "choice"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    BOUGHT = "bought"
    CAMPAIGN = "campaign"
    STEP = "step"
    PERIOD = "period"
    LISTED = "listed"
    TEXT = "text"
    SEVERAL = "several"
    FLAG = "flag"
    CONTACT = "contact"
    COUNT = "count"
    SEGMENT = "segment"


_COMPARED = {"=": "one", "!=": "one", "<": "one", "<=": "one", ">": "one", ">=": "one", "between": "two"}
_KNOWN = {"empty": "nothing", "not empty": "nothing"}
OPERATORS: Mapping[Kind, Mapping[str, str]] = {
    Kind.CHOICE: {"in": "some", "not in": "some", **_KNOWN},
    Kind.NUMBER: {**_COMPARED, **_KNOWN},
    Kind.MONEY: {**_COMPARED, **_KNOWN},
    Kind.DATE: {
        "on": "one",
        "before": "one",
        "after": "one",
        "between": "two",
        "in the last": "days",
        "not in the last": "days",
        "during": "calendar",
        "not during": "calendar",
        "in the next": "days",
        "anniversary in the next": "days",
        **_KNOWN,
    },
    Kind.BOUGHT: {"any of": "spanned", "none of": "spanned"},
    Kind.CAMPAIGN: {"any of": "spanned", "none of": "spanned"},
    Kind.LISTED: {"any of": "some", "none of": "some"},
    Kind.STEP: {"reached": "step", "not reached": "step"},
    Kind.PERIOD: {"within": "span", "not within": "span"},
    Kind.TEXT: {"contains": "words", "not contains": "words", "is": "words", "is not": "words", **_KNOWN},
    Kind.SEVERAL: {"any of": "some", "none of": "some", "all of": "some", **_KNOWN},
    Kind.FLAG: {"yes": "nothing", "no": "nothing", **_KNOWN},
    Kind.CONTACT: {"any of": "spanned", "none of": "spanned"},
    Kind.COUNT: {">=": "counted", "<=": "counted", "=": "counted"},
    Kind.SEGMENT: {"in": "some", "not in": "some"},
}
"""Operator → what it takes: some values, one, two, days, a period of the calendar, values with a period, a number with
one, a period alone, a step, words, nothing.

No two kinds of custom fields share an operator with a value: a rule that was made for another kind cannot be read.
"""


@dataclass(frozen=True, eq=False)
class Field:
    """One field. `ids` are values that are row numbers; `choices` the only values there are, where that is so.

    `column` gives its expression over customers and customer_metrics on a day, with the bounds of the scores; fields
    without one are looked up in other tables (db/lookups.py), and are `otherwise` where nothing stands there. `beside`
    is a table with a row for each customer that the column is of, too. `words` are what its choices are called. `own`
    is the custom field that it was made of, `clusters` the clusters.
    """

    key: str
    name: str
    group: str
    kind: Kind
    null: str
    column: Callable[[date, Bounds], ColumnElement[Any]] | None = None
    choices: tuple[str, ...] = ()
    ids: bool = False
    personal: bool = False
    own: custom_values.Field | None = None
    words: Mapping[str, str] | None = None
    beside: Table | None = None
    otherwise: int | None = None
    clusters: cluster_values.Model | None = None

    @property
    def label(self) -> str:
        """What it is called in the reader's language."""
        if self.clusters:
            return _("Cluster of “{name}”").format(name=self.clusters.name)
        return self.own.label if self.own else _(self.name)

    def __eq__(self, other: object) -> bool:
        """A custom field that was renamed is the same."""
        return isinstance(other, Field) and (self.key, self.kind) == (other.key, other.kind)

    def __hash__(self) -> int:
        return hash((self.key, self.kind))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied by its key, or by what it was made of: caches keep rules as bytes, and an expression is none."""
        if self.clusters:
            return of_cluster, (self.clusters,)
        return (of_custom, (self.own,)) if self.own else (_known, (self.key,))


def _known(key: str) -> Field:
    return FIELDS[key]


_c, _m, _d = schema.customers.c, schema.customer_metrics.c, schema.order_days.c


def _plain(column: ColumnElement[Any]) -> Callable[[date, Bounds], ColumnElement[Any]]:
    return lambda _today, _bounds: column


def _choice(key: str, name: str, null: str) -> Field:
    # An empty text is what is not known: the same as null in a condition.
    return Field(key, name, "profile", Kind.CHOICE, null, _plain(func.nullif(_c[key], "")))


def _has(key: str, name: str) -> Field:
    value = case((_c[key] != "", "yes"), else_="no")
    return replace(_worded(key, name, "profile", N_("never empty"), YES_NO, _plain(value)), personal=True)


def _worded(
    key: str,
    name: str,
    group: str,
    null: str,
    words: Mapping[str, str],
    column: Callable[[date, Bounds], ColumnElement[Any]] | None = None,
) -> Field:
    return Field(key, name, group, Kind.CHOICE, null, column, tuple(words), words=words)


def _days_since(column: ColumnElement[date]) -> Callable[[date, Bounds], ColumnElement[Any]]:
    return lambda today, _bounds: type_coerce(literal(today, Date) - column, Integer)


def score(measure: str, value: ColumnElement[Any]) -> Callable[[date, Bounds], ColumnElement[Any]]:
    """1 to 5 by the bounds: one more than the number of bounds below the value; null without orders."""

    def expression(today: date, bounds: Bounds) -> ColumnElement[Any]:
        return _stepped(value, between(measure, today, bounds), str)

    return expression


def between(measure: str, today: date, bounds: Bounds) -> tuple[float, ...] | None:
    """The bounds of a measure on a day: those of recency may be fixed as days before it."""
    back = bounds.get(score_rules.RECENCY_DAYS) if measure == "recency" else None
    return tuple((today - EPOCH).days - days - 1 for days in reversed(back)) if back else bounds.get(measure)


def _stepped(
    value: ColumnElement[Any], steps_at: tuple[float, ...] | None, step: Callable[[int], Any]
) -> ColumnElement[Any]:
    if not steps_at:
        return cast(null(), schema.customers.c.name.type)
    # Bounds are values that occur: whole numbers of whole numbers, cents of money. Compared with binary
    # floating-point numbers every row's money would be converted first.
    exact = int if isinstance(value.type, Integer) else lambda bound: Decimal(repr(bound))
    steps = [(value <= exact(bound), step(i)) for i, bound in enumerate(steps_at, 1)]
    return case((func.coalesce(_m.orders, 0) == 0, None), *steps, else_=step(len(steps_at) + 1))


def _class(by_scores: tuple[str, ...]) -> Callable[[date, Bounds], ColumnElement[Any]]:
    """The class of the three scores, each of which is told once; null without orders."""
    named = Grouping(cast(literal(list(by_scores), ARRAY(Text)), ARRAY(Text)))

    def expression(today: date, bounds: Bounds) -> ColumnElement[Any]:
        known = {measure: between(measure, today, bounds) for measure in MEASURES}
        if not all(known.values()):
            return cast(null(), schema.customers.c.name.type)
        r, f, m = (_stepped(value, known[measure], int) for measure, value in MEASURES.items())
        place: ColumnElement[Any] = r * 25 + f * 5 + m - 30
        return type_coerce(named[place], schema.customers.c.name.type)

    return expression


EPOCH = date(1970, 1, 1)
MEASURES: Mapping[str, ColumnElement[Any]] = {
    "recency": type_coerce(_m.last_order_on - literal(EPOCH, Date), Integer),
    "frequency": _m.orders,
    "monetary": _m.revenue,
}
"""What the scores are made of; a later last order is a higher recency."""
SCORES = ("1", "2", "3", "4", "5")
DECILES = tuple(str(n) for n in range(1, 11))
CONSENT = "consent_"
"""What the keys of consents begin with; the channel follows."""
NOTE = "note"
CONTACTS: Mapping[str, str] = {**KIND_NAMES, NOTE: N_("Note")}
"""What counts as a contact with a customer: as in the list of customers."""
STEPS = ("received", "bought", "promoted", "redeemed")

_NOT_ENTERED = N_("not entered")
_NO_ORDER = N_("no order yet")
_NO_RHYTHM = N_("fewer than 3 days with a purchase")
_NO_TASK = N_("never empty: without tasks it is 0")
YES_NO: Mapping[str, str] = {"yes": N_("yes"), "no": N_("no")}
STAGE_WORDS: Mapping[str, str] = {stage.value: name for stage, name in STAGE_NAMES.items()}
CONSENTS: Mapping[str, str] = {
    "phone": N_("Consent to calls"),
    "sms": N_("Consent to text messages"),
    "wechat": N_("Consent to WeChat messages"),
    "mail": N_("Consent to e-mails"),
    "post": N_("Consent to letters"),
}


def _fields() -> tuple[Field, ...]:
    own_orders = func.nullif(func.coalesce(_m.orders - _m.other_currency_orders, 0), 0)
    zero = N_("never empty: without orders it is 0")
    no_own = N_("no order yet in the company's currency")
    return (
        _choice("region", N_("Region"), _NOT_ENTERED),
        _choice("city", N_("City"), _NOT_ENTERED),
        _choice("source", N_("Source"), _NOT_ENTERED),
        Field("owner", N_("Owner"), "profile", Kind.CHOICE, N_("nobody has the customer"), _owner, ids=True),
        _worded("stage", N_("Stage"), "profile", N_("never empty"), STAGE_WORDS, _stage),
        Field("created_on", N_("Entered on"), "profile", Kind.DATE, N_("never empty"), _plain(_created())),
        _choice("age_band", N_("Age"), _NOT_ENTERED),
        _choice("income_band", N_("Income"), _NOT_ENTERED),
        _choice("home_ownership", N_("Home"), _NOT_ENTERED),
        _choice("marital_status", N_("Marital status"), _NOT_ENTERED),
        _choice("household_size", N_("Household size"), _NOT_ENTERED),
        _choice("household_kind", N_("Household"), _NOT_ENTERED),
        _choice("children", N_("Children"), _NOT_ENTERED),
        _has("email", N_("Has an e-mail")),
        _has("phone", N_("Has a phone")),
        Field("tags", N_("Tags"), "profile", Kind.SEVERAL, N_("no tag")),
        Field("orders", N_("Orders"), "purchases", Kind.NUMBER, zero, _plain(func.coalesce(_m.orders, 0))),
        Field("revenue", N_("Revenue"), "purchases", Kind.MONEY, zero, _plain(func.coalesce(_m.revenue, 0))),
        Field("basket", N_("Average basket"), "purchases", Kind.MONEY, no_own, _plain(_m.revenue / own_orders)),
        Field("ordered", N_("Ordered"), "purchases", Kind.PERIOD, N_("never empty")),
        Field("first_order_on", N_("First order"), "purchases", Kind.DATE, _NO_ORDER, _plain(_m.first_order_on)),
        Field("last_order_on", N_("Last order"), "purchases", Kind.DATE, _NO_ORDER, _plain(_m.last_order_on)),
        Field(
            "recency_days",
            N_("Days since the last order"),
            "purchases",
            Kind.NUMBER,
            _NO_ORDER,
            _days_since(_m.last_order_on),
        ),
        Field("bought_category", N_("Bought category"), "purchases", Kind.BOUGHT, N_("never empty")),
        Field("bought_product", N_("Bought product"), "purchases", Kind.BOUGHT, N_("never empty"), ids=True),
        _of_days("interval", N_("Usual interval in days"), Kind.NUMBER, _d.usual_days),
        _of_days("next_due_on", N_("Next purchase due"), Kind.DATE, _m.last_order_on + _d.usual_days),
        Field(
            "rhythm",
            N_("Intervals since the last order"),
            "purchases",
            Kind.NUMBER,
            _NO_RHYTHM,
            lambda today, _bounds: cast(literal(today, Date) - _m.last_order_on, Numeric) / _d.usual_days,
            beside=schema.order_days,
        ),
        Field("received", N_("Received campaign"), "campaigns", Kind.CAMPAIGN, N_("never empty"), ids=True),
        Field("redeemed", N_("Redeemed in campaign"), "campaigns", Kind.CAMPAIGN, N_("never empty"), ids=True),
        Field("converted", N_("Bought after campaign"), "campaigns", Kind.CAMPAIGN, N_("never empty"), ids=True),
        Field("held_out", N_("Held out of campaign"), "campaigns", Kind.CAMPAIGN, N_("never empty"), ids=True),
        Field("received_count", N_("Campaigns received"), "campaigns", Kind.COUNT, N_("never empty")),
        Field("funnel", N_("Step of the funnel"), "campaigns", Kind.STEP, N_("never empty"), choices=STEPS),
        *(
            Field(key, name, "scores", Kind.CHOICE, _NO_ORDER, score(measure, MEASURES[measure]), SCORES)
            for key, name, measure in (
                ("r_score", N_("Recency score"), "recency"),
                ("f_score", N_("Frequency score"), "frequency"),
                ("m_score", N_("Monetary score"), "monetary"),
            )
        ),
        _worded("rfm_class", N_("RFM class"), "scores", _NO_ORDER, rfm.CLASSES, _class(rfm.BY_SCORES)),
        _worded(
            "rfm_value", N_("RFM value class"), "scores", _NO_ORDER, rfm.VALUE_CLASSES, _class(rfm.VALUE_BY_SCORES)
        ),
        Field("value_decile", N_("Value decile"), "scores", Kind.CHOICE, _NO_ORDER, _decile, DECILES),
        Field("contact_days", N_("Days since the last contact"), "contacts", Kind.NUMBER, N_("never contacted")),
        Field("contacts", N_("Number of contacts"), "contacts", Kind.COUNT, N_("never empty")),
        Field(
            "contacted",
            N_("Contacted by"),
            "contacts",
            Kind.CONTACT,
            N_("never empty"),
            None,
            tuple(CONTACTS),
            words=CONTACTS,
        ),
        Field("open_tasks", N_("Open tasks"), "contacts", Kind.NUMBER, _NO_TASK, otherwise=0),
        Field("overdue_tasks", N_("Overdue tasks"), "contacts", Kind.NUMBER, _NO_TASK, otherwise=0),
        *(_worded(CONSENT + channel, name, "consents", NOT_ASKED, STATE_NAMES) for channel, name in CONSENTS.items()),
        Field("segment", N_("Segment"), "segments", Kind.SEGMENT, N_("never empty"), ids=True),
        Field("listed", N_("On the frozen list"), "profile", Kind.LISTED, N_("never empty"), ids=True),
    )


def _of_days(key: str, name: str, kind: Kind, value: ColumnElement[Any]) -> Field:
    return Field(key, name, "purchases", kind, _NO_RHYTHM, _plain(value), beside=schema.order_days)


def _decile(_today: date, bounds: Bounds) -> ColumnElement[Any]:
    return _stepped(_m.revenue, bounds.get("value"), str)


def _owner(_today: date, _bounds: Bounds) -> ColumnElement[Any]:
    return func.nullif(_c.owner_id, 0)


def _stage(today: date, _bounds: Bounds) -> ColumnElement[Any]:
    return stage_column(today)


def _created() -> ColumnElement[Any]:
    return company_day(_c.created_at)


def company_day(instant: ColumnElement[Any]) -> ColumnElement[Any]:
    """The day in the company's time zone, which a sub-select reads once, not for each row."""
    s = schema.settings.c
    zone = select(s.value[()].astext).where(s.key == "time_zone").scalar_subquery()
    return cast(func.timezone(func.coalesce(zone, DEFAULT_ZONE), instant), Date)


FIELDS: Mapping[str, Field] = {field.key: field for field in _fields()}
GROUPS = {
    "profile": N_("Profile"),
    "purchases": N_("Purchases"),
    "campaigns": N_("Campaigns"),
    "scores": N_("Scores"),
    "contacts": N_("Contacts and tasks"),
    "consents": N_("Consents"),
    "segments": N_("Segments"),
    "clusters": N_("Clusters"),
    "own": N_("Your own fields"),
}


# --- custom fields ---------------------------------------------------------------------------------------------------

_KINDS = {
    "text": Kind.TEXT,
    "number": Kind.NUMBER,
    "date": Kind.DATE,
    "choice": Kind.CHOICE,
    "choices": Kind.SEVERAL,
    "flag": Kind.FLAG,
}
# What a cast must not fail at; what looks otherwise was written past the form, and is not known.
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?$"
_DAY = "____-__-__"


@lru_cache(maxsize=1_000)
def of_custom(own: custom_values.Field) -> Field:
    """The field by which segments and filters ask for the values of a custom field."""
    column = _custom(own)
    return Field(
        custom_values.PREFIX + own.key,
        own.name,
        "own",
        _KINDS[own.type],
        _NOT_ENTERED,
        lambda _today, _bounds: column,
        personal=own.personal,
        own=own,
    )


def _custom(own: custom_values.Field) -> ColumnElement[Any]:
    """The value of its kind; null where it is not filled in. Days are texts, which are in order as days are."""
    held = _c[own.column][own.key]
    if own.type == "choices":
        listed = type_coerce(case((func.jsonb_typeof(held) == "array", held)), JSONB)
        return type_coerce(func.nullif(listed, literal([], JSONB)), JSONB)
    written = held.astext
    if own.type == "flag":
        return case((written == "true", literal(True)), (written == "false", literal(False)))
    if own.type == "number":
        return case((written.op("~")(_NUMBER), cast(written, Numeric)))
    if own.type == "date":
        return type_coerce(case((written.like(_DAY), written.collate("C"))), Text())
    return func.nullif(written, "")


# --- clusters --------------------------------------------------------------------------------------------------------

STEPS_OF_ONE = 1e6
"""Scores are compared to so many parts of one; equal ones count as the earlier cluster."""
FARTHEST = 50.0
"""As in analytics/clusters.py."""


def figures(today: date) -> dict[str, ColumnElement[Any]]:
    """Key of cluster_values.FEATURES → its value; null where it is not known."""
    own_orders = func.nullif(_m.orders - _m.other_currency_orders, 0)
    day = literal(today, Date)
    found = {
        "recency": day - _m.last_order_on,
        "orders": _m.orders,
        "revenue": _m.revenue,
        "basket": _m.revenue / own_orders,
        "interval": cast(_m.last_order_on - _m.first_order_on, Float) / func.nullif(_m.orders - 1, 0),
        "tenure": day - _m.first_order_on,
    }
    return {key: cast(value, Float) for key, value in found.items()}


@lru_cache(maxsize=1_000)
def of_cluster(model: cluster_values.Model) -> Field:
    """The field that asks in which of these clusters a customer is; null without orders."""
    return Field(
        f"{cluster_values.PREFIX}{model.id}",
        model.name,
        "clusters",
        Kind.CHOICE,
        _NO_ORDER,
        lambda today, _bounds: _cluster(model, today),
        model.numbers,
        clusters=model,
    )


def _cluster(model: cluster_values.Model, today: date) -> ColumnElement[Any]:
    """The number of the cluster with the greatest score, as a text.

    Score and number are one whole number, so each score is computed once, and each scaled figure once for all scores.
    """
    values = figures(today)
    scaled = []
    for i, key in enumerate(model.features):
        logarithm = func.ln(1.0 + func.greatest(values[key], 0.0))
        apart = (logarithm - literal(model.centers[i], Float)) / literal(model.scales[i], Float)
        within = func.greatest(func.least(apart, FARTHEST), -FARTHEST)
        # Not by coalesce: least and greatest leave out what is null.
        scaled.append(case((values[key].is_(None), 0.0), else_=within).label(f"x{i}"))
    x = select(*scaled).correlate(_m.orders.table).offset(0).subquery("figures").c
    scores = []
    for k, constant in enumerate(model.constants):
        score: ColumnElement[Any] = literal(constant, Float)
        for i in range(len(model.features)):
            if model.linear[k][i]:
                score += x[f"x{i}"] * literal(model.linear[k][i], Float)
            if model.squares[k][i]:
                score += x[f"x{i}"] * x[f"x{i}"] * literal(model.squares[k][i], Float)
        scores.append(cast(func.floor(score * literal(STEPS_OF_ONE, Float)), BigInteger) * 16 + (15 - k))
    best = select(cast(16 - func.greatest(*scores).op("&")(15), Text)).correlate(_m.orders.table).scalar_subquery()
    return case((func.coalesce(_m.orders, 0) > 0, best))


def since(today: date, days: int) -> date:
    """The first day of the last `days` days, today included."""
    return today - timedelta(days=days - 1)
