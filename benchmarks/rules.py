"""Rules at random over the whole catalogue: of every kind of condition, nested, with values that the data has."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from db.fields import FIELDS, STEPS, Field, Kind

DEPTH, WIDTH = 4, 3
"""Groups within groups at most, the outermost counted; conditions or groups of one."""
_LEFT_OUT = ("segment", "listed")
_WORDED = ("region", "city", "source", "age_band", "income_band")
"""Fields of which the bench company has more than one value."""
_UNKNOWN = ("home_ownership", "marital_status", "household_size", "household_kind", "children")

Rule = dict[str, Any]


class Rules:
    """Draws rules. `values` are, by key of a field, what may be asked for; `n` the numbers of products, campaigns …"""

    def __init__(self, rng: random.Random, today: date, values: Mapping[str, list[Any]]) -> None:
        self._rng, self._today, self._values = rng, today, values
        skipped = (*_LEFT_OUT, *_UNKNOWN)
        self.fields = [field for key, field in FIELDS.items() if key not in skipped]

    def rule(self) -> Rule:
        """One rule of a depth from one group to DEPTH of them."""
        return self._group(self._rng.randint(1, DEPTH))

    def _group(self, depth: int) -> Rule:
        rng = self._rng
        match = rng.choices(["all", "any", "none"], [6, 3, 1])[0]
        n = rng.randint(1, WIDTH)
        deeper = rng.randrange(n) if depth > 1 else -1
        return {match: [self._group(depth - 1) if i == deeper else self.leaf() for i in range(n)]}

    def leaf(self, field: Field | None = None) -> Rule:
        """One condition, of any field or of this one."""
        field = field or self._rng.choice(self.fields)
        op, value = _MAKERS[field.kind](self, field)
        return {"field": field.key, "op": op} | ({} if value is None else {"value": value})

    def _some(self, field: Field, most: int = 3) -> list[Any]:
        known = list(field.choices or self._values.get(field.key, ()))
        return self._rng.sample(known, min(len(known), self._rng.randint(1, most)))

    def _choice(self, field: Field) -> tuple[str, Any]:
        if self._rng.random() < 0.1:
            return self._rng.choice(["empty", "not empty"]), None
        return self._rng.choice(["in", "in", "not in"]), self._some(field)

    def _number(self, field: Field) -> tuple[str, Any]:
        op = self._rng.choice(["=", "!=", "<", "<=", ">", ">=", "between", "between", "not empty"])
        if op == "not empty":
            return op, None
        low, high = sorted((self._rng.choice(self._values[field.key]) for _end in range(2)), key=float)
        return op, [low, high] if op == "between" else low

    def _date(self, field: Field) -> tuple[str, Any]:
        op = self._rng.choice(
            ["before", "after", "between", "in the last", "not in the last", "anniversary in the next"]
        )
        if "last" in op or "next" in op:
            return op, self._rng.choice([7, 30, 90, 180])
        low, high = sorted(self._day() for _end in range(2))
        return op, [low, high] if op == "between" else low

    def _day(self) -> str:
        return (self._today - timedelta(days=self._rng.randrange(1, 730))).isoformat()

    def _span(self) -> dict[str, Any]:
        kind = self._rng.choice(["any", "last", "last", "between", "from"])
        if kind == "last":
            return {"last_days": self._rng.choice([7, 30, 60, 90, 180, 365])}
        low, high = sorted(self._day() for _end in range(2))
        return {"any": {}, "between": {"from": low, "to": high}, "from": {"from": low}}[kind]

    def _spanned(self, field: Field) -> tuple[str, Any]:
        return self._rng.choice(["any of", "any of", "none of"]), {"of": self._some(field, 5)} | self._span()

    def _period(self, _field: Field) -> tuple[str, Any]:
        return self._rng.choice(["within", "not within"]), self._span() or {"last_days": 90}

    def _step(self, field: Field) -> tuple[str, Any]:
        campaign = self._rng.choice(self._values[field.key])
        return self._rng.choice(["reached", "not reached"]), {"campaign": campaign, "step": self._rng.choice(STEPS)}

    def _several(self, field: Field) -> tuple[str, Any]:
        op = self._rng.choice(["any of", "any of", "none of", "all of", "empty", "not empty"])
        return op, None if "empty" in op else self._some(field, 2)

    def _count(self, _field: Field) -> tuple[str, Any]:
        return self._rng.choice([">=", ">=", "<=", "="]), {"count": self._rng.randint(1, 4)} | self._span()


_MAKERS: Mapping[Kind, Callable[[Rules, Field], tuple[str, Any]]] = {
    Kind.CHOICE: Rules._choice,
    Kind.NUMBER: Rules._number,
    Kind.MONEY: Rules._number,
    Kind.DATE: Rules._date,
    Kind.PERIOD: Rules._period,
    Kind.BOUGHT: Rules._spanned,
    Kind.CAMPAIGN: Rules._spanned,
    Kind.CONTACT: Rules._spanned,
    Kind.STEP: Rules._step,
    Kind.SEVERAL: Rules._several,
    Kind.COUNT: Rules._count,
}
_NUMBERS: Mapping[str, list[Any]] = {
    "orders": [1, 2, 3, 5, 8, 12, 20, 40],
    "revenue": ["0", "50", "199.99", "500", "1200.5", "3000", "10000"],
    "basket": ["20", "49.9", "80", "120.05", "200"],
    "recency_days": [3, 10, 30, 60, 120, 240, 400],
    "interval": [7, 14, 30, 45, 70],
    "rhythm": ["0.5", "1", "1.5", "2.25", "4"],
    "contact_days": [5, 20, 60, 150, 400],
    "open_tasks": [0, 1],
    "overdue_tasks": [0, 1],
}


_MOST_COMMON = "SELECT {0} FROM customers WHERE {0} <> '' GROUP BY 1 ORDER BY count(*) DESC LIMIT 20"


def values(query: Callable[[str], list[Any]]) -> dict[str, list[Any]]:
    """What the data has to ask for; `query` gives the first column of a statement's rows."""
    found: dict[str, list[Any]] = {key: query(_MOST_COMMON.format(key)) for key in _WORDED}
    campaigns = query("SELECT campaign_id FROM campaign_sums GROUP BY 1 ORDER BY sum(reached) DESC LIMIT 100")
    found |= dict.fromkeys(("received", "redeemed", "converted", "held_out", "funnel"), campaigns)
    found["owner"] = query(
        "SELECT rolled_owner_id FROM customer_metrics WHERE rolled_owner_id <> 0 GROUP BY 1 LIMIT 50"
    )
    found["bought_product"] = query("SELECT id FROM products ORDER BY id LIMIT 300")
    found["bought_category"] = query("SELECT DISTINCT category FROM products ORDER BY 1 LIMIT 50")
    found["tags"] = query("SELECT min(tag) FROM customer_tags GROUP BY tag_key ORDER BY count(*) DESC LIMIT 20")
    return found | dict(_NUMBERS)
