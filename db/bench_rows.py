"""The rows of the bench data: pure functions from a plan to Arrow tables, a piece at a time.

Everything follows from the plan (number of customers, seed, last day): the same plan gives the same rows, with the
numpy of requirements.txt. Memory holds a few numbers for each customer and one piece, never all orders.

What is meant to be like a company's: customers who come and go over two years, orders in the order of time, weekends
and a season, heavy tails (a few customers with 2,000 orders each), products of which few are sold often (Zipf), one
team larger than all others, some customers with nobody, some archived, some orders in another currency. What is not:
coupons are redeemed by chance and not by those who bought.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from db import bench_people, demo_people
from db.bench_people import CHINESE, CHINESE_SHOPS, LATIN

DAYS = 730
SLICES = 24
"""Orders are made for a 24th of the time at once."""
CURRENCY, OTHER_CURRENCY = "CNY", "USD"
ORDERS, LINES, MEMBERSHIPS = 10, 1.5, 4
"""For each customer: orders, for each of them lines, and campaigns received, on average."""
HEAVY = 2_000
_HOUR = 3600
_EPOCH = date(1970, 1, 1)
_AGES = ("19-24", "25-34", "35-44", "45-54", "55-64", "65+")
_INCOMES = ("Under 15K", "15-24K", "25-34K", "35-49K", "50-74K", "75-99K", "100-124K", "125-149K", "150-174K", "250K+")
_GOODS = ("Tea", "Coffee", "Rice", "Noodles", "Fruit", "Greens", "Snacks", "Dairy", "Frozen", "Bakery", "Care", "Paper")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What is asked for, and the sizes that follow: at a million customers 500 salespeople, 50 teams, 200 campaigns."""

    customers: int
    seed: int
    last_day: date
    orders: int = ORDERS
    """For each customer; what campaigns send grows with it."""

    @property
    def first_day(self) -> date:
        """The first day with orders."""
        return self.last_day - timedelta(days=DAYS - 1)

    @property
    def sales(self) -> int:
        """Salespeople: about 2,000 customers each."""
        return min(max(self.customers // 2_000, 8), 500)

    @property
    def teams(self) -> int:
        """Teams; the first has a tenth of all salespeople."""
        return max(self.sales // 10, 2)

    @property
    def products(self) -> int:
        """Products for sale."""
        return min(max(self.customers // 50, 200), 20_000)

    @property
    def campaigns(self) -> int:
        """Campaigns in two years."""
        return min(max(self.customers // 5_000, 12), 200)

    def team_of(self, salesperson: int) -> int:
        """The team of a salesperson, both counted from 0."""
        large = max(self.sales // 10, 2)
        return 0 if salesperson < large else 1 + (salesperson - large) % (self.teams - 1)

    def rng(self, *what: int) -> np.random.Generator:
        """Chance for one purpose and piece, independent of all others."""
        return np.random.default_rng([self.seed, *what])

    def day(self, n: int) -> date:
        """Day number n, the first being 0."""
        return self.first_day + timedelta(days=int(n))

    def dates(self, days: Ints) -> pa.Array:
        """Day numbers as dates."""
        return pa.array((days + (self.first_day - _EPOCH).days).astype(np.int32)).cast(pa.date32())

    def instants(self, days: Ints, seconds: Ints) -> pa.Array:
        """Seconds of local days eight hours ahead of UTC, as instants in UTC."""
        since = (days + (self.first_day - _EPOCH).days) * 86_400 + seconds - 8 * _HOUR
        return pa.array(since).cast(pa.timestamp("s"))


_PEOPLE, _LIVES, _PRODUCTS, _ORDERS, _CAMPAIGNS, _MEMBERS = range(6)


class Company:
    """The few numbers for each customer that later pieces need, and the rows made of them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        n, rng = plan.customers, plan.rng(_PEOPLE)
        shop = rng.random(n) < 0.03
        chinese = np.arange(n) % 2 == 0
        self.shop = shop
        self.kind = np.where(chinese, CHINESE, LATIN) + np.where(shop, CHINESE_SHOPS, 0)
        self.names = bench_people.Names(self.kind, bench_people.draw(self.kind, rng))
        employed = (rng.random(n) < 0.06) & ~shop
        employers = np.where(chinese, CHINESE_SHOPS, CHINESE_SHOPS + 1)
        self.companies = bench_people.Names(employers, bench_people.draw(employers, rng))
        self.employed = employed
        shares = np.arange(2 * len(demo_people.REGIONS), len(demo_people.REGIONS), -1)
        self.region = np.searchsorted(np.cumsum(shares) / shares.sum(), rng.random(n))
        self.owner = self._owners(rng)
        self.number = rng.permutation(n)
        self._lives()

    def _owners(self, rng: np.random.Generator) -> Ints:
        """For each customer a salesperson of a team of the region, counted from 0; -1 for nobody."""
        plan, regions = self.plan, len(demo_people.REGIONS)
        team = np.array([plan.team_of(i) for i in range(plan.sales)])
        found = np.full(plan.customers, -1, dtype=np.int64)
        for r in range(regions):
            mine = (
                np.flatnonzero(team % regions == r) if plan.teams >= regions else np.flatnonzero(team == r % plan.teams)
            )
            rows = np.flatnonzero(self.region == r)
            found[rows] = mine[rng.integers(0, len(mine), len(rows))]
        found[rng.random(plan.customers) < 0.06] = -1
        return found

    def _lives(self) -> None:
        """When each customer comes and goes, and how many orders a month: skewed, in all `orders` for each."""
        n, rng = self.plan.customers, self.plan.rng(_LIVES)
        self.comes = np.where(rng.random(n) < 0.35, 0, (rng.random(n) * DAYS).astype(np.int64))
        stays = np.where(rng.random(n) < 0.4, DAYS, (rng.exponential(240, n) + 1).astype(np.int64))
        self.goes = np.minimum(self.comes + stays, DAYS)
        share = self.goes - self.comes
        rate = np.exp(rng.normal(0, 1.1, n)) * (rng.random(n) > 0.12)
        heavy = np.arange(n) % 100_000 == 7
        most = HEAVY if n >= 10_000 else HEAVY // 10
        self.comes[heavy], self.goes[heavy], share[heavy] = 0, DAYS, DAYS
        rate *= self.plan.orders * n / max((rate * share).sum(), 1)
        rate = np.minimum(rate, most / 2 / share)
        rate[heavy] = most / DAYS
        self.rate = rate

    def customers(self, rows: slice, users: Ints, first_id: int) -> pa.Table:
        """These rows of `customers`; `users` are the ids of the salespeople."""
        plan = self.plan
        rng = plan.rng(_PEOPLE, 1, rows.start)
        number, n = self.number[rows], rows.stop - rows.start
        chinese = self.kind[rows] % 2 == CHINESE
        phone, digits = bench_people.phones(number, chinese, rng.integers(0, 3, n))
        no_phone, no_email = pa.array(rng.random(n) < 0.05), pa.array(rng.random(n) < 0.08)
        phone, digits = pc.if_else(no_phone, "", phone), pc.if_else(no_phone, "", digits)
        domain = pa.array(bench_people.DOMAINS).take(pa.array(rng.integers(0, 3, n)))
        slug, text = self.names.take("slug", rows), pa.array(number + 1).cast(pa.string())
        email = pc.if_else(no_email, "", pc.binary_join_element_wise(slug, text, "@", domain, ""))
        employed = pa.array(self.employed[rows])
        towns = [town for towns in demo_people.REGIONS.values() for town in towns]
        known = rng.random(n) < 0.4
        owner = self.owner[rows]
        archived = rng.random(n) < 0.02
        opened = plan.instants(self.comes[rows], 9 * _HOUR + rng.integers(0, 9 * _HOUR, n))
        gone = plan.instants(np.full(n, DAYS - 1), np.full(n, 8 * _HOUR))
        columns = {
            "id": pa.array(np.arange(rows.start, rows.stop) + first_id),
            "owner_id": pa.array(np.where(owner < 0, 0, users[owner])),
            "kind": pa.array(["person", "company"]).take(pa.array(self.shop[rows].astype(np.int64))),
            "name": self.names.take("name", rows),
            "company": pc.if_else(employed, self.companies.take("name", rows), ""),
            "email": email,
            "phone": phone,
            "city": pa.array(towns).take(pa.array(self.region[rows] * 3 + rng.integers(0, 3, n))),
            "region": pa.array(list(demo_people.REGIONS)).take(pa.array(self.region[rows])),
            "source": pa.array(demo_people.SOURCES).take(pa.array(np.minimum(rng.geometric(0.4, n) - 1, 4))),
            "age_band": _some(_AGES, known, rng),
            "income_band": _some(_INCOMES, known, rng),
            "archived_at": pc.if_else(pa.array(archived), gone, pa.scalar(None, gone.type)),
            **{key: self.names.take(key, rows) for key in ("sort_key", "name_key", "pinyin_key", "initials_key")},
            "email_key": email,
            "phone_key": digits,
            "phone_reversed": pc.utf8_reverse(digits),
            "created_at": opened,
            "updated_at": opened,
        }
        company = pc.if_else(employed, self.companies.take("employer", rows), "")
        address = pc.replace_substring(email, "@", " @ ")
        parts = [_followed(part) for part in (self.names.take("spoken", rows), company, address, digits)]
        columns["search_text"] = pc.binary_join_element_wise(" ", *parts, "")
        return pa.table(columns)

    def products(self, first_id: int) -> tuple[pa.Table, Ints]:
        """All products, and their prices in cents; the first is sold most."""
        n, rng = self.plan.products, self.plan.rng(_PRODUCTS)
        goods = rng.integers(0, len(_GOODS), n)
        category = pa.array(_GOODS).take(pa.array(goods))
        number = pc.utf8_lpad(pa.array(np.arange(1, n + 1)).cast(pa.string()), 5, "0")
        table = pa.table(
            {
                "id": pa.array(np.arange(n) + first_id),
                "sku": pc.binary_join_element_wise("B", number, ""),
                "name": pc.binary_join_element_wise(category, number, " "),
                "department": pa.array(["GROCERY", "FRESH", "HOME"]).take(pa.array(goods % 3)),
                "category": category,
                "brand": pa.array(["National", "Private"]).take(pa.array((rng.random(n) < 0.3).astype(np.int64))),
            }
        )
        return table, np.maximum(np.exp(rng.normal(6.8, 0.8, n)).astype(np.int64), 50)

    def orders(self, prices: Ints, ids: dict[str, int]) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Orders and their lines, a slice of time after the other, the oldest first.

        `ids` holds the first id of customers, products, orders and order_items, and the batch.
        """
        plan = self.plan
        zipf = np.cumsum(1 / (np.arange(plan.products) + 3.0))
        zipf /= zipf[-1]
        order_id, line_id = ids["orders"], ids["order_items"]
        edges = np.linspace(0, DAYS, SLICES + 1).astype(np.int64)
        for turn, (start, end) in enumerate(pairwise(edges)):
            rng = plan.rng(_ORDERS, turn)
            customer, day = self._bought(int(start), int(end), rng)
            n = len(customer)
            seconds = 8 * _HOUR + rng.integers(0, 14 * _HOUR, n)
            turns = np.argsort(day * 86_400 + seconds, kind="stable")
            customer, day, seconds = customer[turns], day[turns], seconds[turns]
            lines = 1 + rng.poisson(LINES - 1, n)
            of_order = np.repeat(np.arange(n), lines)
            product = np.searchsorted(zipf, rng.random(len(of_order)))
            quantity = np.minimum(rng.geometric(0.75, len(of_order)), 12)
            full = prices[product] * quantity
            off = np.where(rng.random(len(of_order)) < 0.15, full // 10, 0)
            starts = np.cumsum(lines) - lines
            sums = [np.add.reduceat(cents, starts) if n else full for cents in (full - off, off)]
            of_batch = pa.array(np.full(n, ids["batch"]))
            own = order_id + np.arange(n)
            orders = pa.table(
                {
                    "customer_id": pa.array(customer + ids["customers"]),
                    "id": pa.array(own),
                    "reference": pc.binary_join_element_wise("B", pa.array(own).cast(pa.string()), ""),
                    "placed_at": plan.instants(day, seconds),
                    "placed_on": plan.dates(day),
                    "store": pc.binary_join_element_wise("S", pa.array(customer % 40 + 1).cast(pa.string()), ""),
                    "currency": pc.if_else(pa.array(rng.random(n) < 0.015), OTHER_CURRENCY, CURRENCY),
                    "amount": pa.array(sums[0] / 100),
                    "discount": pa.array(sums[1] / 100),
                    "lines": pa.array(lines),
                    "batch_id": of_batch,
                }
            )
            items = pa.table(
                {
                    "customer_id": pa.array(customer[of_order] + ids["customers"]),
                    "id": pa.array(line_id + np.arange(len(of_order))),
                    "order_id": pa.array(own[of_order]),
                    "product_id": pa.array(product + ids["products"]),
                    "quantity": pa.array(quantity),
                    "amount": pa.array((full - off) / 100),
                    "retail_discount": pa.array(off / 100),
                }
            )
            order_id, line_id = order_id + n, line_id + len(of_order)
            yield orders, items

    def _bought(self, start: int, end: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Who bought on which day from `start` up to `end`: customers in no order, one entry for each order."""
        first, last = np.maximum(self.comes, start), np.minimum(self.goes, end)
        here = np.flatnonzero((last > first) & (self.rate > 0))
        season = 1 + 0.25 * np.sin((start / 365 - 0.1) * 2 * np.pi)
        counts = rng.poisson(self.rate[here] * (last - first)[here] * season)
        customer = np.repeat(here, counts)
        weekday = (np.arange(start, end) + self.plan.first_day.weekday()) % 7
        weights = np.cumsum(np.where(weekday >= 5, 1.5, 1.0))
        day = start + np.searchsorted(weights / weights[-1], rng.random(len(customer)))
        return customer, np.clip(day, first[customer], last[customer] - 1)

    def campaigns(self) -> list[dict[str, object]]:
        """Rows of `campaigns`, the oldest first; the last ones run on the last day or begin after it."""
        plan, rng = self.plan, self.plan.rng(_CAMPAIGNS)
        starts = np.linspace(10, DAYS + 10, plan.campaigns).astype(np.int64)
        lengths = rng.integers(14, 46, plan.campaigns)
        kinds = rng.integers(0, 3, plan.campaigns)
        return [
            {
                "name": f"Campaign {i + 1}",
                "kind": f"Type {'ABC'[kinds[i]]}",
                "starts_on": plan.day(starts[i]),
                "ends_on": plan.day(starts[i] + lengths[i] - 1),
            }
            for i in range(plan.campaigns)
        ]

    def promoted(self, campaigns: Ints, first_product: int) -> pa.Table:
        """What each campaign's coupons are for: fifty of the products that are sold most, campaign and product."""
        rng, most = self.plan.rng(_CAMPAIGNS, 1), min(self.plan.products, 2_000)
        pairs = [(c, p) for c in campaigns for p in np.sort(rng.choice(most, 50, replace=False))]
        found = np.array(pairs, dtype=np.int64)
        return pa.table({"campaign_id": found[:, 0], "product_id": found[:, 1] + first_product})

    def members(self, number: int, starts_on: date, ends_on: date) -> tuple[pa.Table, pa.Table]:
        """Who received campaign `number`, and the coupons they redeemed; customers counted from 0, no ids yet."""
        plan, rng = self.plan, self.plan.rng(_MEMBERS, number)
        start = (starts_on - plan.first_day).days
        share = self._shares[number] if start < DAYS else 0.0
        who = np.flatnonzero((rng.random(plan.customers, dtype=np.float32) < share) & (self.comes <= start))
        received = start - rng.integers(0, 3, len(who))
        last = min((ends_on - plan.first_day).days, DAYS - 1)
        redeemers = rng.random(len(who)) < rng.uniform(0.03, 0.12)
        times = np.where(redeemers, np.minimum(rng.geometric(0.7, len(who)), 5), 0)
        of_member = np.repeat(np.arange(len(who)), times)
        day = start + (rng.random(len(of_member)) * (last - start + 1)).astype(np.int64)
        first = np.full(len(who), DAYS * 2, dtype=np.int64)
        np.minimum.at(first, of_member, day)
        members = pa.table(
            {
                "customer_id": pa.array(who),
                "received_on": plan.dates(received),
                "first_redeemed_on": pc.if_else(pa.array(times > 0), plan.dates(first), pa.scalar(None, pa.date32())),
                "redemptions": pa.array(times),
            }
        )
        return members, pa.table({"customer_id": pa.array(who[of_member]), "occurred_on": plan.dates(day)})

    @cached_property
    def _shares(self) -> Floats:
        """The part of all customers that each campaign goes to: MEMBERSHIPS for each customer in all, skewed."""
        found = np.exp(self.plan.rng(_MEMBERS).normal(0, 1.0, self.plan.campaigns))
        received = MEMBERSHIPS * self.plan.orders / ORDERS
        # A campaign finds the customers who have come by then, on average six in ten.
        shares: Floats = np.minimum(found / found.sum() * received / 0.6, 0.6)
        return shares


def _some(values: tuple[str, ...], known: npt.NDArray[np.bool_], rng: np.random.Generator) -> pa.Array:
    """One of the values where something is known, else ''."""
    return pc.if_else(pa.array(known), pa.array(values).take(pa.array(rng.integers(0, len(values), len(known)))), "")


def _followed(part: pa.Array) -> pa.Array:
    """A part of the search text with a blank after it; nothing stays nothing."""
    return pc.if_else(pc.equal(part, ""), "", pc.binary_join_element_wise(part, "", " "))
