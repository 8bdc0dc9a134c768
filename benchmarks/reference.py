"""A naive second opinion on rules: the raw tables read whole, and each condition worked out by what its words say.

It shares no code with what Kehu counts by: neither its statements, nor its columns in memory, nor anything derived but
the bounds of the scores, which are part of what a score means. It reads rules as JSON and knows everybody.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyarrow import csv
from sqlalchemy import Connection

from db import lifecycle, rfm, score_rules

Bools = npt.NDArray[np.bool_]
EPOCH = date(1970, 1, 1)
OPPOSITES = {"!=": "=", "not in": "in", "not in the last": "in the last", "none of": "any of"}
OPPOSITES |= {"not reached": "reached", "not within": "within", "not empty": "empty"}

_TABLES = {
    "customers": "SELECT *, (email <> '')::text AS has_email, (phone <> '')::text AS has_phone, "
    "timezone({zone}, created_at)::date - '1970-01-01' AS created_day FROM customers WHERE archived_at IS NULL",
    "orders": "SELECT customer_id, id, placed_on - '1970-01-01' AS day, round(amount * 100)::bigint AS cents, "
    "currency FROM orders",
    "lines": "SELECT customer_id, order_id, product_id FROM order_items",
    "products": "SELECT id, category FROM products",
    "members": "SELECT customer_id, campaign_id, received_on - '1970-01-01' AS day, redemptions, "
    "first_redeemed_on - '1970-01-01' AS redeemed_day FROM campaign_members",
    "held_out": "SELECT customer_id, campaign_id, held_on - '1970-01-01' AS day FROM campaign_held_out",
    "campaigns": "SELECT id, starts_on - '1970-01-01' AS first, ends_on - '1970-01-01' AS last FROM campaigns",
    "promoted": "SELECT campaign_id, product_id FROM campaign_products",
    "contacts": "SELECT customer_id, kind, happened_on - '1970-01-01' AS day FROM interactions UNION ALL "
    "SELECT customer_id, 'note', timezone({zone}, created_at)::date - '1970-01-01' FROM notes",
    "tags": "SELECT customer_id, lower(tag) AS tag FROM customer_tags",
    "tasks": "SELECT customer_id, due_on - '1970-01-01' AS day FROM tasks WHERE done_at IS NULL",
    "consents": "SELECT customer_id, channel, state, happened_at, id FROM consents",
}


class Reference:
    """All tables of one moment. `fits` gives a truth value for each customer who is not archived, in no order."""

    def __init__(self, conn: Connection, *, zone: str, currency: str, today: date, bounds: Mapping[str, Any]) -> None:
        """`conn` is one that may read everything; about 1 kB of memory for each customer with ten orders."""
        self.today, self._bounds = (today - EPOCH).days, bounds
        self._met: dict[Any, Any] = {}
        self._date = today
        for name, query in _TABLES.items():
            read = _read(conn, query.format(zone=f"'{zone}'"))
            if "customer_id" in read:
                own = pd.Index(self.customers["id"]).get_indexer(read["customer_id"])
                read = read.assign(row=own)[own >= 0]
            setattr(self, name, read)
        self.n = len(self.customers)
        self.own = self.orders[self.orders["currency"] == currency]
        days = self.orders.set_index("id")["day"]
        self.lines = self.lines.assign(day=days.reindex(self.lines["order_id"]).to_numpy())

    customers: pd.DataFrame
    orders: pd.DataFrame
    lines: pd.DataFrame
    products: pd.DataFrame
    members: pd.DataFrame
    held_out: pd.DataFrame
    campaigns: pd.DataFrame
    promoted: pd.DataFrame
    contacts: pd.DataFrame
    tags: pd.DataFrame
    tasks: pd.DataFrame
    consents: pd.DataFrame

    def fits(self, rule: Mapping[str, Any]) -> Bools:
        """Who fits a rule of plain values as JSON has them."""
        if "field" in rule:
            return self._holds(rule["field"], rule["op"], rule.get("value"))
        [(match, rules)] = rule.items()
        each = [self.fits(one) for one in rules]
        if match == "all":
            return np.logical_and.reduce([np.ones(self.n, bool), *each])
        some = np.logical_or.reduce([np.zeros(self.n, bool), *each])
        return ~some if match == "none" else some

    # --- conditions --------------------------------------------------------------------------------------------------

    def _holds(self, key: str, op: str, value: Any) -> Bools:
        if op in OPPOSITES:
            return ~self._holds(key, OPPOSITES[op], value)
        if key in _BY_ROWS:
            return _BY_ROWS[key](self, value)
        if key == "tags":
            return self._tagged(op, value)
        if key in ("contacts", "received_count"):
            return self._counted(self.contacts if key == "contacts" else self.members, op, value)
        found = self._once(key, lambda: self._value(key))
        if op in ("empty", "in"):
            return np.asarray(found.isna() if op == "empty" else found.isin(value))
        return self._compared(key, op, value, found)

    def _counted(self, table: pd.DataFrame, op: str, value: Mapping[str, Any]) -> Bools:
        n = np.bincount(table["row"][self._within(table["day"], value)], minlength=self.n)
        return np.asarray(_COMPARE[op](n, value["count"]))

    def _compared(self, key: str, op: str, value: Any, found: pd.Series) -> Bools:
        """Whole numbers, days counted from 1970, and fractions as (above, below)."""
        if key in ("basket", "rhythm"):
            above, below = self._once((key, "parts"), lambda: self._parts(key))
            known = below > 0

            def compare(how: Callable[[Any, Any], Any], limit: Any) -> Bools:
                return known & how(above * 100, round(float(limit) * 100) * below)

        else:
            known = found.notna().to_numpy()
            whole = found.fillna(0).to_numpy().astype(np.int64)
            scale = 100 if key == "revenue" else 1

            def compare(how: Callable[[Any, Any], Any], limit: Any) -> Bools:
                exact = _day(limit) if isinstance(limit, str) and "-" in limit[1:] else round(float(limit) * scale)
                return known & how(whole, exact)

        if op == "between":
            return compare(np.greater_equal, value[0]) & compare(np.less_equal, value[1])
        if op in ("in the last", "in the next"):
            return known & (
                (whole > self.today - value) & (whole <= self.today)
                if op == "in the last"
                else (whole >= self.today) & (whole < self.today + value)
            )
        if op == "anniversary in the next":
            return known & (whole < self.today) & self._anniversary(whole, value)
        return compare(_COMPARE[op], value)

    def _anniversary(self, days: npt.NDArray[np.int64], ahead: int) -> Bools:
        coming = [self._date + timedelta(days=n) for n in range(ahead)]
        wanted = {(d.month, d.day) for d in coming}
        common = coming[-1].year % 4 != 0 or (coming[-1].year % 100 == 0 and coming[-1].year % 400 != 0)
        if (coming[-1].month, coming[-1].day) == (2, 28) and common:
            wanted.add((2, 29))
        told = pd.to_datetime(pd.Series(days), unit="D")
        pairs = pd.MultiIndex.from_arrays([told.dt.month, told.dt.day])
        return np.asarray(pairs.isin(list(wanted)))

    def _tagged(self, op: str, value: Any) -> Bools:
        if op == "empty":
            return ~self._rows(self.tags)
        each = [self._rows(self.tags[self.tags["tag"] == word.lower()]) for word in value]
        return np.logical_and.reduce(each) if op == "all of" else np.logical_or.reduce(each)

    # --- rows of tables ----------------------------------------------------------------------------------------------

    def _rows(self, table: pd.DataFrame) -> Bools:
        found = np.zeros(self.n, bool)
        found[table["row"].to_numpy()] = True
        return found

    def _within(self, days: pd.Series, value: Mapping[str, Any]) -> pd.Series:
        if "last_days" in value:
            return (days > self.today - value["last_days"]) & (days <= self.today)
        found = pd.Series(True, index=days.index)
        if "from" in value:
            found &= days >= _day(value["from"])
        if "to" in value:
            found &= days <= _day(value["to"])
        return found

    def _ordered(self, value: Mapping[str, Any]) -> Bools:
        return self._rows(self.orders[self._within(self.orders["day"], value)])

    def _of_products(self, ids: Any, value: Mapping[str, Any]) -> Bools:
        lines = self.lines[self.lines["product_id"].isin(ids)]
        return self._rows(lines[self._within(lines["day"], value)])

    def _category(self, value: Mapping[str, Any]) -> Bools:
        products = self.products["id"][self.products["category"].isin(value["of"])]
        return self._of_products(products, value)

    def _product(self, value: Mapping[str, Any]) -> Bools:
        return self._of_products(value["of"], value)

    def _received(self, value: Mapping[str, Any]) -> Bools:
        members = self.members[self.members["campaign_id"].isin(value["of"])]
        return self._rows(members[self._within(members["day"], value)])

    def _redeemed(self, value: Mapping[str, Any]) -> Bools:
        members = self.members[self.members["campaign_id"].isin(value["of"]) & (self.members["redemptions"] > 0)]
        return self._rows(members[self._within(members["redeemed_day"], value)])

    def _held_out(self, value: Mapping[str, Any]) -> Bools:
        kept = self.held_out[self.held_out["campaign_id"].isin(value["of"])]
        return self._rows(kept[self._within(kept["day"], value)])

    def _converted(self, value: Mapping[str, Any]) -> Bools:
        members = self.members[self.members["campaign_id"].isin(value["of"])][["row", "campaign_id", "day"]]
        ends = self.campaigns.set_index("id")["last"]
        members = members.assign(last=ends.reindex(members["campaign_id"]).to_numpy())
        orders = self.orders[self._within(self.orders["day"], value)][["row", "day"]]
        both = members.merge(orders, on="row", suffixes=("", "_ordered"))
        return self._rows(both[both["day_ordered"].between(both["day"], both["last"])])

    def _contacted(self, value: Mapping[str, Any]) -> Bools:
        talks = self.contacts[self.contacts["kind"].isin(value["of"])]
        return self._rows(talks[self._within(talks["day"], value)])

    def _reached(self, value: Mapping[str, Any]) -> Bools:
        members = self.members[self.members["campaign_id"] == value["campaign"]]
        found, step = self._rows(members), value["step"]
        [(first, last)] = self.campaigns[self.campaigns["id"] == value["campaign"]][["first", "last"]].to_numpy()
        if step != "received":
            found &= self._rows(self.orders[self.orders["day"].between(first, last)])
        if step in ("promoted", "redeemed"):
            promoted = self.promoted["product_id"][self.promoted["campaign_id"] == value["campaign"]]
            found &= self._rows(
                self.lines[self.lines["product_id"].isin(promoted) & self.lines["day"].between(first, last)]
            )
        if step == "redeemed":
            found &= self._rows(members[members["redemptions"] > 0])
        return found

    # --- one value for each customer ---------------------------------------------------------------------------------

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._met:
            self._met[key] = make()
        return self._met[key]

    def _by_row(self, grouped: pd.Series) -> pd.Series:
        return grouped.reindex(range(self.n))

    def _value(self, key: str) -> pd.Series:
        """The value of each, NaN where it is not known; days and money as whole numbers."""
        c, orders = self.customers, self.orders
        if key in ("email", "phone"):
            return c[f"has_{key}"].map({"true": "yes", "false": "no", True: "yes", False: "no"})
        if key.startswith("consent_"):
            said = self.consents[self.consents["channel"] == key.removeprefix("consent_")]
            last = said.sort_values(["happened_at", "id"]).groupby("row")["state"].last()
            return self._by_row(last)
        simple: Mapping[str, Callable[[], pd.Series]] = {
            "owner": lambda: c["owner_id"].where(c["owner_id"] != 0),
            "created_on": lambda: c["created_day"],
            "orders": lambda: self._by_row(orders.groupby("row").size()).fillna(0),
            "revenue": lambda: self._by_row(self.own.groupby("row")["cents"].sum()).fillna(0),
            "first_order_on": lambda: self._by_row(orders.groupby("row")["day"].min()),
            "last_order_on": lambda: self._by_row(orders.groupby("row")["day"].max()),
            "recency_days": lambda: self.today - self._once("last_order_on", lambda: self._value("last_order_on")),
            "stage": self._stage,
            "interval": self._interval,
            "next_due_on": lambda: self._value("last_order_on") + self._once("interval", self._interval),
            "contact_days": lambda: self.today - self._by_row(self.contacts.groupby("row")["day"].max()),
            "open_tasks": lambda: self._by_row(self.tasks.groupby("row").size()).fillna(0),
            "overdue_tasks": lambda: self._by_row(
                self.tasks[self.tasks["day"] < self.today].groupby("row").size()
            ).fillna(0),
            "r_score": lambda: self._score("recency", "last_order_on"),
            "f_score": lambda: self._score("frequency", "orders"),
            "m_score": lambda: self._score("monetary", "revenue"),
            "value_decile": lambda: self._score("value", "revenue"),
            "rfm_class": lambda: self._class(rfm.class_of),
            "rfm_value": lambda: self._class(rfm.value_class_of),
            "basket": lambda: self._by_row(self.own.groupby("row")["cents"].mean()),
            "rhythm": lambda: self._value("recency_days") / self._once("interval", self._interval),
        }
        if key in simple:
            return simple[key]()
        return c[key].where(c[key] != "")

    def _parts(self, key: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if key == "basket":
            own = self.own.groupby("row")["cents"].agg(["sum", "size"])
            above, below = self._by_row(own["sum"]), self._by_row(own["size"]) * 100
        else:
            above, below = self._value("recency_days"), self._once("interval", self._interval)
        return above.fillna(0).to_numpy().astype(np.int64), below.fillna(0).to_numpy().astype(np.int64)

    def _interval(self) -> pd.Series:
        """The median of the days between days with orders, halves up; of at least two such times."""
        days = self.orders[["row", "day"]].drop_duplicates().sort_values(["row", "day"])
        gaps = days["day"].diff()[days["row"].eq(days["row"].shift())]
        grouped = gaps.groupby(days["row"].reindex(gaps.index))
        median, n = grouped.median(), grouped.size()
        return self._by_row(np.floor(median[n >= 2] + 0.5))

    def _stage(self) -> pd.Series:
        rules = lifecycle.of_numbers(self._bounds.get(lifecycle.KIND))
        quiet = self.today - self._value("last_order_on")
        orders = self._once("orders", lambda: self._value("orders"))
        usual = self._once("interval", self._interval)

        def beyond(days: int, tenths: int | None) -> pd.Series:
            limit = usual * (tenths / 10) if tenths else pd.Series(np.nan, index=usual.index)
            return quiet > limit.fillna(days)

        named = np.select(
            [
                quiet.isna(),
                beyond(rules.lost_days, rules.lost_tenths),
                beyond(rules.risk_days, rules.risk_tenths),
                orders >= rules.loyal_orders,
                orders >= rules.repeat_orders,
            ],
            ["prospect", "lost", "at_risk", "loyal", "repeat"],
            "first",
        )
        return pd.Series(named)

    def _score(self, measure: str, key: str) -> pd.Series:
        fixed = self._bounds.get(score_rules.RECENCY_DAYS) if measure == "recency" else None
        bounds = [self.today - days - 1 for days in fixed] if fixed else self._bounds.get(measure)
        if not bounds:
            return pd.Series(np.full(self.n, None, object))
        value = self._once(key, lambda: self._value(key)) / (100 if key == "revenue" else 1)
        score = sum((value > bound).astype(int) for bound in bounds) + 1
        ordered = self._once("orders", lambda: self._value("orders")) > 0
        return score.astype(str).where(ordered)

    def _class(self, of: Callable[[int, int, int], str]) -> pd.Series:
        parts = [self._once(f"{m}_score", lambda m=m: self._value(f"{m}_score")) for m in "rfm"]
        joined = parts[0] + parts[1] + parts[2]
        names = {f"{r}{f}{m}": of(r, f, m) for r in range(1, 6) for f in range(1, 6) for m in range(1, 6)}
        return joined.map(names)


_COMPARE = {"=": np.equal, "on": np.equal, "<": np.less, "before": np.less, ">": np.greater, "after": np.greater}
_COMPARE |= {"<=": np.less_equal, ">=": np.greater_equal}
_BY_ROWS: Mapping[str, Callable[[Reference, Any], Bools]] = {
    "ordered": Reference._ordered,
    "bought_category": Reference._category,
    "bought_product": Reference._product,
    "received": Reference._received,
    "redeemed": Reference._redeemed,
    "contacted": Reference._contacted,
    "held_out": Reference._held_out,
    "converted": Reference._converted,
    "funnel": Reference._reached,
}


def _day(written: str) -> int:
    return (date.fromisoformat(written) - EPOCH).days


def _read(conn: Connection, query: str) -> pd.DataFrame:
    """Everything a query gives, by COPY."""
    written = io.BytesIO()
    cursor = conn.connection.cursor()
    with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)") as copying:  # type: ignore[attr-defined]
        for block in copying:
            written.write(block)
    written.seek(0)
    options = csv.ConvertOptions(strings_can_be_null=False, null_values=[""])
    return csv.read_csv(written, convert_options=options).to_pandas()
