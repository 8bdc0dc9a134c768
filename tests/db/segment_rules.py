"""Random rules for tests, and the slow way to tell who fits one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from db import rfm

DAY = date(2026, 3, 1)
REGIONS, CATEGORIES = ("North", "East", "Süd", "' OR 1=1 --"), ("BEEF", "MILK", "SOAP")

_days = st.dates(date(2025, 12, 1), date(2026, 4, 1)).map(date.isoformat)
_numbers = st.integers(-2, 6) | st.sampled_from([0.5, 10, 10.01, 20, "10.01", "20.02"])


def _pair(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=2, max_size=2).map(lambda two: sorted(two, key=_place))


def _place(value: Any) -> Any:
    """A day as it is written, a number as it counts."""
    return value if isinstance(value, str) and value.count("-") == 2 else Decimal(str(value))


PERIODS = st.sampled_from(["this week", "last week", "this month", "last month", "this year", "last year"])


def _leaf(key: str, op: st.SearchStrategy[str], value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"field": st.just(key), "op": op, "value": value})


def _numeric(key: str) -> st.SearchStrategy[dict[str, Any]]:
    return (
        _leaf(key, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), _numbers)
        | _leaf(key, st.just("between"), _pair(_numbers))
        | _unary(key)
    )


def _dated(key: str) -> st.SearchStrategy[dict[str, Any]]:
    return (
        _leaf(key, st.sampled_from(["on", "before", "after"]), _days)
        | _leaf(key, st.just("between"), _pair(_days))
        | _leaf(key, st.sampled_from(["in the last", "not in the last", "in the next"]), st.integers(1, 90))
        | _leaf(key, st.sampled_from(["during", "not during"]), PERIODS)
        | _leaf(key, st.just("anniversary in the next"), st.integers(1, 365))
        | _unary(key)
    )


def _chosen(key: str, values: tuple[Any, ...]) -> st.SearchStrategy[dict[str, Any]]:
    some = st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)
    return _leaf(key, st.sampled_from(["in", "not in"]), some) | _unary(key)


def _counted(key: str) -> st.SearchStrategy[dict[str, Any]]:
    value = st.tuples(st.integers(0, 4), SPANS).map(lambda two: {"count": two[0], **two[1]})
    return _leaf(key, st.sampled_from([">=", "<=", "="]), value)


def _unary(key: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"field": st.just(key), "op": st.sampled_from(["empty", "not empty"])})


def _spanned(key: str, values: tuple[Any, ...]) -> st.SearchStrategy[dict[str, Any]]:
    of = st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)
    both = st.tuples(of, SPANS).map(lambda two: {"of": two[0], **two[1]})
    return _leaf(key, st.sampled_from(["any of", "none of"]), both)


SPANS: st.SearchStrategy[dict[str, Any]] = (
    st.just({})
    | st.integers(1, 90).map(lambda n: {"last_days": n})
    | PERIODS.map(lambda period: {"during": period})
    | _pair(_days).map(lambda two: {"from": two[0], "to": two[1]})
    | _days.map(lambda day: {"from": day})
    | _days.map(lambda day: {"to": day})
)
KEPT = (901, 902, 903)
TAGS = ("VIP", "Fair 2026", "客户", "' OR 1=1 --")

LEAVES = st.one_of(
    _chosen("region", REGIONS),
    _chosen("age_band", ("19-24", "25-34")),
    _chosen("stage", ("prospect", "first", "repeat", "loyal", "at_risk", "lost")),
    _chosen("owner", (1, 2, 3)),
    _chosen("r_score", ("1", "2", "3", "4", "5")),
    _chosen("f_score", ("1", "2", "3", "4", "5")),
    _chosen("rfm_class", tuple(rfm.CLASSES)),
    _chosen("rfm_value", tuple(rfm.VALUE_CLASSES)),
    _chosen("value_decile", tuple(str(n) for n in range(1, 11))),
    _chosen("consent_mail", ("given", "refused", "withdrawn")),
    _chosen("consent_phone", ("given", "withdrawn")),
    _leaf(
        "tags",
        st.sampled_from(["any of", "none of", "all of"]),
        # A tag is the same in capitals or not.
        st.lists(st.sampled_from([*TAGS, "vip"]), min_size=1, max_size=3, unique=True),
    )
    | _unary("tags"),
    _numeric("interval"),
    _numeric("rhythm"),
    _dated("next_due_on"),
    _numeric("contact_days"),
    _numeric("open_tasks"),
    _numeric("overdue_tasks"),
    _counted("contacts"),
    _counted("received_count"),
    _spanned("contacted", ("call", "mail", "meeting", "note")),
    _leaf(
        "segment",
        st.sampled_from(["in", "not in"]),
        st.lists(st.sampled_from([901, 902, 903]), min_size=1, unique=True),
    ),
    _chosen("m_score", ("1", "5")),
    _chosen("phone", ("yes", "no")),
    _numeric("orders"),
    _numeric("revenue"),
    _numeric("basket"),
    _numeric("recency_days"),
    _dated("first_order_on"),
    _dated("last_order_on"),
    _dated("created_on"),
    _leaf(
        "ordered",
        st.sampled_from(["within", "not within"]),
        st.integers(1, 90).map(lambda n: {"last_days": n})
        | PERIODS.map(lambda period: {"during": period})
        | _pair(_days).map(lambda two: {"from": two[0], "to": two[1]})
        | _days.map(lambda day: {"from": day})
        | _days.map(lambda day: {"to": day}),
    ),
    _spanned("bought_category", CATEGORIES),
    _spanned("bought_product", (1, 2, 3)),
    _spanned("received", (1, 2)),
    _spanned("redeemed", (1, 2)),
    _spanned("converted", (1, 2)),
    _spanned("held_out", (1, 2)),
    _leaf(
        "funnel",
        st.sampled_from(["reached", "not reached"]),
        st.fixed_dictionaries(
            {
                "campaign": st.sampled_from([1, 2]),
                "step": st.sampled_from(["received", "bought", "promoted", "redeemed"]),
            }
        ),
    ),
)
RULES = st.recursive(
    LEAVES,
    lambda each: st.tuples(st.sampled_from(["all", "any", "none"]), st.lists(each, max_size=3)).map(
        lambda two: {two[0]: two[1]}
    ),
    max_leaves=6,
).map(lambda rule: rule if "field" not in rule else {"all": [rule]})


@dataclass
class Order:
    """One order: its day, amount, the (product, category) of its lines, and whether in the company's currency."""

    day: date
    amount: Decimal
    lines: list[tuple[int, str]]
    foreign: bool = False


@dataclass
class Person:
    """A customer as the slow way sees them."""

    owner: int
    region: str = ""
    age: str = ""
    archived: bool = False
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    phone: str = ""
    orders: list[Order] = field(default_factory=list)
    # Campaign → day received, redemptions, day of the first.
    campaigns: dict[int, tuple[date, int, date | None]] = field(default_factory=dict)
    # Campaign and the day on which others received it.
    held_out: dict[int, date] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    # Kind and day of each talk; the instant of each note.
    talks: list[tuple[str, date]] = field(default_factory=list)
    notes: list[datetime] = field(default_factory=list)
    # When due, if at all, and whether done.
    tasks: list[tuple[date | None, bool]] = field(default_factory=list)
    # Channel and state, in the order in which they were said.
    consents: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class World:
    """Everybody, and each campaign's window and promoted products."""

    people: list[Person]
    windows: Mapping[int, tuple[date, date]]
    promoted: Mapping[int, set[int]]
    today: date
    zone: str
    segments: Mapping[int, dict[str, Any]] = field(default_factory=dict)

    def fits(self, rule: dict[str, Any], person: Person) -> bool:
        """Whether the person fits, worked out one condition after the other."""
        if "field" in rule:
            return self._holds(rule["field"], rule["op"], rule.get("value"), person)
        [(match, rules)] = rule.items()
        each = [self.fits(r, person) for r in rules]
        return {"all": all(each), "any": any(each), "none": not any(each)}[match]

    def _holds(self, key: str, op: str, value: Any, person: Person) -> bool:
        opposite = {
            "!=": "=",
            "not in": "in",
            "not in the last": "in the last",
            "none of": "any of",
            "not during": "during",
        }
        opposite |= {"not reached": "reached", "not empty": "empty", "not within": "within"}
        if op in opposite:
            return not self._holds(key, opposite[op], value, person)
        ways: dict[str, Callable[[], bool]] = {
            "segment": lambda: any(self.fits(self.segments[n], person) for n in value),
            "tags": lambda: self._tagged(op, value or (), person),
            "contacts": lambda: self._counted(op, value, [day for _kind, day in self._contacts(person)]),
            "received_count": lambda: self._counted(op, value, [each[0] for each in person.campaigns.values()]),
            "contacted": lambda: any(
                kind in value["of"] and self._within(day, value) for kind, day in self._contacts(person)
            ),
            "ordered": lambda: any(self._within(o.day, value) for o in person.orders),
            "bought_category": lambda: self._bought(1, value, person),
            "bought_product": lambda: self._bought(0, value, person),
            "received": lambda: any(self._of_campaign(key, n, value, person) for n in value["of"]),
            "redeemed": lambda: any(self._of_campaign(key, n, value, person) for n in value["of"]),
            "converted": lambda: any(self._converted(n, value, person) for n in value["of"]),
            "held_out": lambda: any(
                n in person.held_out and self._within(person.held_out[n], value) for n in value["of"]
            ),
            "funnel": lambda: self._reached(value["campaign"], value["step"], person),
        }
        return ways[key]() if key in ways else self._compared(op, value, self._value(key, person))

    def _tagged(self, op: str, asked: Iterable[str], person: Person) -> bool:
        has, wanted = ({tag.casefold() for tag in tags} for tags in (person.tags, asked))
        return {"empty": not has, "any of": bool(has & wanted), "all of": wanted <= has}[op]

    def _counted(self, op: str, value: dict[str, Any], days: list[date]) -> bool:
        n = sum(self._within(day, value) for day in days)
        return {"=": n == value["count"], "<=": n <= value["count"], ">=": n >= value["count"]}[op]

    def _bought(self, at: int, value: dict[str, Any], person: Person) -> bool:
        return any(line[at] in value["of"] and self._within(o.day, value) for o in person.orders for line in o.lines)

    def _within(self, day: date | None, span: dict[str, Any]) -> bool:
        if "last_days" in span:
            return day is not None and self.today - timedelta(days=span["last_days"]) < day <= self.today
        if "during" in span:
            return day is not None and lies_in(day, span["during"], self.today)
        low, high = span.get("from"), span.get("to")
        if day is None:
            return not (low or high)
        return (low is None or day.isoformat() >= low) and (high is None or day.isoformat() <= high)

    def _of_campaign(self, key: str, campaign: int, value: dict[str, Any], person: Person) -> bool:
        if campaign not in person.campaigns:
            return False
        received, redemptions, first = person.campaigns[campaign]
        if key == "received":
            return self._within(received, value)
        return redemptions > 0 and self._within(first, value)

    def _converted(self, campaign: int, value: dict[str, Any], person: Person) -> bool:
        if campaign not in person.campaigns:
            return False
        received, ends = person.campaigns[campaign][0], self.windows[campaign][1]
        return any(received <= o.day <= ends and self._within(o.day, value) for o in person.orders)

    def _reached(self, campaign: int, step: str, person: Person) -> bool:
        if campaign not in person.campaigns:
            return False
        low, high = self.windows[campaign]
        bought = [o for o in person.orders if low <= o.day <= high]
        promoted = any(p in self.promoted[campaign] for o in bought for p, _category in o.lines)
        redeemed = promoted and person.campaigns[campaign][1] > 0
        return {"received": True, "bought": bool(bought), "promoted": promoted, "redeemed": redeemed}[step]

    def _contacts(self, person: Person) -> list[tuple[str, date]]:
        return [*person.talks, *(("note", at.astimezone(ZoneInfo(self.zone)).date()) for at in person.notes)]

    def _rhythm(self, person: Person) -> int | None:
        days = sorted({o.day for o in person.orders})
        gaps = sorted((later - earlier).days for earlier, later in pairwise(days))
        if len(gaps) < 2:
            return None
        middle = gaps[len(gaps) // 2] + gaps[(len(gaps) - 1) // 2]
        return (middle + 1) // 2

    def _value(self, key: str, person: Person) -> Any:
        days = [o.day for o in person.orders]
        own = [o for o in person.orders if not o.foreign]
        revenue = sum((o.amount for o in own), Decimal(0))
        recency = (self.today - max(days)).days if days else None
        bought = "loyal" if len(days) >= 5 else "repeat" if len(days) >= 2 else "first"
        stage = "prospect" if recency is None else bought if recency <= 30 else "at_risk" if recency <= 90 else "lost"
        if key in ("rfm_class", "rfm_value"):
            return self._class(key, person)
        if key.startswith("consent_"):
            said = [state for channel, state in person.consents if channel == key.removeprefix("consent_")]
            return said[-1] if said else None
        every = self._rhythm(person)
        contacts = [day for _kind, day in self._contacts(person)]
        opened = [due for due, done in person.tasks if not done]
        return {
            "interval": every,
            "next_due_on": (max(days) + timedelta(days=every)).isoformat() if every else None,
            "rhythm": Decimal(recency) / every if recency is not None and every else None,
            "contact_days": (self.today - max(contacts)).days if contacts else None,
            "open_tasks": len(opened),
            "overdue_tasks": sum(due is not None and due < self.today for due in opened),
            "f_score": self._score(person, lambda p: len(p.orders)),
            "value_decile": self._score(person, _revenue, parts=10),
            "region": person.region or None,
            "age_band": person.age or None,
            "owner": person.owner or None,
            "stage": stage,
            "orders": len(days),
            "revenue": revenue,
            "basket": revenue / len(own) if own else None,
            "phone": "yes" if person.phone else "no",
            "created_on": person.created_at.astimezone(ZoneInfo(self.zone)).date().isoformat(),
            "recency_days": recency,
            "first_order_on": min(days).isoformat() if days else None,
            "last_order_on": max(days).isoformat() if days else None,
            "r_score": self._score(person, lambda p: max(o.day for o in p.orders)),
            "m_score": self._score(person, _revenue),
        }[key]

    def _class(self, key: str, person: Person) -> str | None:
        measures = (lambda p: max(o.day for o in p.orders), lambda p: len(p.orders), _revenue)
        r, f, m = (self._score(person, measure) for measure in measures)
        if r is None or f is None or m is None:
            return None
        return (rfm.class_of if key == "rfm_class" else rfm.value_class_of)(int(r), int(f), int(m))

    def _score(self, person: Person, measure: Any, parts: int = 5) -> str | None:
        if not person.orders:
            return None
        values = sorted(measure(p) for p in self.people if p.orders and not p.archived)
        # The value at a share: the first that at least so many are not above.
        tenths = range(10 // parts, 10, 10 // parts)
        bounds = [values[max(0, -(-len(values) * n // 10) - 1)] for n in tenths] if values else []
        return str(1 + sum(bound < measure(person) for bound in bounds)) if values else None

    def _compared(self, op: str, value: Any, mine: Any) -> bool:
        if op == "empty":
            return mine is None
        if mine is None:
            return False
        ways: dict[str, Callable[[], bool]] = {
            "in": lambda: mine in value,
            "in the last": lambda: self._within(date.fromisoformat(mine), {"last_days": value}),
            "during": lambda: self._within(date.fromisoformat(mine), {"during": value}),
            "in the next": lambda: 0 <= (date.fromisoformat(mine) - self.today).days < value,
            "anniversary in the next": lambda: has_anniversary(date.fromisoformat(mine), self.today, value),
            "between": lambda: _place(value[0]) <= mine <= _place(value[1]),
        }
        if op in ways:
            return ways[op]()
        other = _place(value)
        return {
            "=": mine == other,
            "on": mine == other,
            "<": mine < other,
            "before": mine < other,
            "<=": mine <= other,
            ">": mine > other,
            "after": mine > other,
            ">=": mine >= other,
        }[op]


def _revenue(person: Person) -> Decimal:
    return sum((o.amount for o in person.orders if not o.foreign), Decimal(0))


def lies_in(day: date, period: str, today: date) -> bool:
    """Whether a day lies in a week, month or year of the calendar, told by the names of these alone."""
    which, unit = period.split(" ")
    if unit == "week":
        return day.isocalendar()[:2] == (today - timedelta(days=0 if which == "this" else 7)).isocalendar()[:2]
    if unit == "year":
        return day.year == today.year - (which == "last")
    before = today.replace(day=1) - timedelta(days=1)
    return f"{day:%Y-%m}" == f"{today if which == 'this' else before:%Y-%m}"


def has_anniversary(day: date, today: date, days: int) -> bool:
    """Whether one of the next days, today included, is the day of a later year; 29 February falls on the 28th."""
    end = today + timedelta(days=days)
    years = range(max(today.year, day.year + 1), end.year + 1)
    return any(today <= _in_year(day, year) < end for year in years)


def _in_year(day: date, year: int) -> date:
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 2, 28)
