"""The demo against its source: each figure of the package's frames stands in the database, its days shifted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select, text

from db import (
    campaigns,
    clock,
    connection,
    demo,
    demo_around,
    demo_data,
    demo_people,
    derived,
    schema,
    settings,
    viewers,
)
from db.connection import begin
from db.demo_data import Demo, Frames
from db.errors import Conflict
from db.permissions import GATE, GRANTS, NOBODY, WORKER, Permission, Role
from db.text import has_han
from tests import make

CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def frames() -> Frames:
    return demo_data.read()


@pytest.fixture(scope="module")
def households(frames: Frames) -> list[int]:
    return sorted(int(h) for h in frames["transactions"]["household_id"].unique())


@pytest.fixture(scope="module")
def days(frames: Frames) -> pd.Series:
    """The day of each line as the source has it, worked out apart from the product: UTC read in New York."""
    stamps = frames["transactions"]["transaction_timestamp"]
    return pd.Series(stamps.dt.tz_localize("UTC").dt.tz_convert("America/New_York").dt.date)


@pytest.fixture
def conn(demo_database: str) -> Iterator[Connection]:
    """The loaded demo, past all rights."""
    with connection.engine().connect() as opened:
        yield opened


def shift(conn: Connection) -> timedelta:
    return timedelta(days=settings.get(conn).more["demo_shift_days"])


def small(frames: Frames, most: int = 40) -> Demo:
    """A demo of the first households: loads in a second."""
    cut = {
        name: frame[frame["household_id"] <= most] if "household_id" in frame else frame
        for name, frame in frames.items()
    }
    return demo_data.build(cut, today=clock.today(demo_data.ZONE))


# --- against the source ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_totals_are_those_of_the_source(conn: Connection, frames: Frames) -> None:
    lines = frames["transactions"]
    cents = int((lines["sales_value"] * 100).round().sum())
    assert (cents, len(lines), lines["basket_id"].nunique()) == (459_603_958, 1_469_307, 155_848)
    counted = {name: make.count(conn, name) for name in ("customers", "orders", "order_items", "products", "campaigns")}
    assert counted == {
        "customers": 2_469,
        "orders": 155_848,
        "order_items": 1_469_307,
        "products": 92_331 + 17,
        "campaigns": 27,
    }
    for table, column in (("orders", "amount"), ("order_items", "amount"), ("daily_sales", "revenue")):
        total = conn.scalar(text(f"SELECT sum({column}) FROM {table}"))  # noqa: S608  (names from this test)
        assert total == Decimal("4596039.58")
    assert conn.scalar(text("SELECT sum(revenue) FROM customer_metrics")) == Decimal("4596039.58")


@pytest.mark.slow
def test_each_line_holds_the_sources_amounts(conn: Connection, frames: Frames) -> None:
    lines = frames["transactions"]
    sums = conn.execute(
        text(
            "SELECT sum(quantity), sum(retail_discount), sum(coupon_discount), sum(coupon_match_discount), "
            "max(amount), count(*) FILTER (WHERE amount = 0) FROM order_items"
        )
    ).one()
    assert list(sums) == [
        int(lines["quantity"].sum()),
        *(
            Decimal(int((lines[column] * 100).round().sum())) * CENT
            for column in ("retail_disc", "coupon_disc", "coupon_match_disc")
        ),
        Decimal("840.00"),
        int((lines["sales_value"] < 0.005).sum()),
    ]
    per_product = conn.execute(
        text(
            "SELECT p.sku, count(*), sum(i.amount) FROM order_items AS i JOIN products AS p ON p.id = i.product_id "
            "GROUP BY p.sku"
        )
    )
    found = {int(sku): (lines_, amount) for sku, lines_, amount in per_product}
    cents = (lines["sales_value"] * 100).round().astype("int64").groupby(lines["product_id"]).agg(["size", "sum"])
    assert found == {sku: (n, Decimal(total) * CENT) for sku, n, total in cents.itertuples()}


@pytest.mark.slow
def test_an_order_is_the_exact_sum_of_its_lines(conn: Connection) -> None:
    wrong = conn.scalar(
        text(
            "SELECT count(*) FROM orders AS o JOIN (SELECT customer_id, order_id, sum(amount) AS amount, "
            "sum(retail_discount + coupon_discount + coupon_match_discount) AS discount, count(*) AS lines "
            "FROM order_items GROUP BY 1, 2) AS i ON (i.customer_id, i.order_id) = (o.customer_id, o.id) "
            "WHERE (o.amount, o.discount, o.lines) IS DISTINCT FROM (i.amount, i.discount, i.lines)"
        )
    )
    assert wrong == 0


@pytest.mark.slow
def test_the_revenue_of_every_day_is_that_of_the_source(conn: Connection, frames: Frames, days: pd.Series) -> None:
    cents = (frames["transactions"]["sales_value"] * 100).round().astype("int64")
    per_day = cents.groupby(days).sum()
    baskets = frames["transactions"]["basket_id"].groupby(days).nunique()
    moved = shift(conn)
    expected = {
        day + moved: (Decimal(int(total)) * CENT, int(baskets[day]))
        for day, total in zip(per_day.index, per_day, strict=True)
    }
    assert len(expected) == 364  # the shops were closed on Christmas Day
    assert (min(expected) - moved, max(expected) - moved) == (date(2017, 1, 1), date(2017, 12, 31))
    raw = conn.execute(text("SELECT placed_on, sum(amount), count(*) FROM orders GROUP BY 1"))
    assert {day: (amount, n) for day, amount, n in raw} == expected
    rolled = conn.execute(text("SELECT day, sum(revenue), sum(orders) FROM daily_sales GROUP BY 1"))
    assert {day: (amount, n) for day, amount, n in rolled} == expected


@pytest.mark.slow
def test_the_orders_of_every_household_are_those_of_the_source(
    conn: Connection, frames: Frames, days: pd.Series
) -> None:
    lines = frames["transactions"].assign(day=days, cents=(frames["transactions"]["sales_value"] * 100).round())
    source = lines.groupby("household_id").agg(
        orders=("basket_id", "nunique"), cents=("cents", "sum"), first=("day", "min"), last=("day", "max")
    )
    moved = shift(conn)
    expected = {
        household: (orders, Decimal(int(cents)) * CENT, first + moved, last + moved)
        for household, orders, cents, first, last in source.itertuples()
    }
    found = conn.execute(
        text(
            "SELECT k.value, m.orders, m.revenue, m.first_order_on, m.last_order_on FROM customer_metrics AS m "
            "JOIN customer_keys AS k ON k.customer_id = m.customer_id AND k.kind = 'household'"
        )
    )
    assert {int(household): tuple(rest) for household, *rest in found} == expected
    new = conn.scalar(text("SELECT sum(new_customers) FROM daily_sales"))
    assert new == 2_469


@pytest.mark.slow
def test_local_times_of_day_and_weekdays_are_kept(conn: Connection, frames: Frames) -> None:
    stamps = frames["transactions"].groupby("basket_id")["transaction_timestamp"].first()
    wall = stamps.dt.tz_localize("UTC").dt.tz_convert("America/New_York").dt.tz_localize(None)
    found = conn.execute(
        text("SELECT reference::bigint, placed_at AT TIME ZONE 'America/New_York', placed_on FROM orders")
    )
    moved = shift(conn)
    assert moved.days % 7 == 0
    late = 0
    for basket, at, on in found:
        expected = wall[basket].to_pydatetime() + moved
        assert on == expected.date()
        assert on.weekday() == wall[basket].weekday()
        if at != expected:  # the hour that is skipped in spring
            late += 1
            assert (at - expected, expected.hour, expected.month) == (timedelta(hours=1), 2, 3)
    assert late < 10


@pytest.mark.slow
def test_campaigns_memberships_and_redemptions_are_those_of_the_source(conn: Connection, frames: Frames) -> None:
    moved = shift(conn)
    described = {
        f"Campaign {number}": (kind[-1], start.date() + moved, end.date() + moved)
        for number, kind, start, end in frames["campaign_descriptions"].itertuples(index=False)
    }
    found = conn.execute(text("SELECT name, kind, starts_on, ends_on FROM campaigns"))
    assert {name: tuple(rest) for name, *rest in found} == described
    members = frames["campaigns"].groupby("campaign_id").size()
    redeemed = frames["coupon_redemptions"].groupby("campaign_id").size()
    per_campaign = conn.execute(
        text(
            "SELECT c.name, (SELECT count(*) FROM campaign_members AS m WHERE m.campaign_id = c.id), "
            "(SELECT coalesce(sum(redemptions), 0) FROM campaign_members AS m WHERE m.campaign_id = c.id), "
            "(SELECT count(*) FROM campaign_events AS e WHERE e.campaign_id = c.id AND kind = 'redeemed') "
            "FROM campaigns AS c"
        )
    )
    expected = {
        f"Campaign {number}": (int(n), int(redeemed.get(number, 0)), int(redeemed.get(number, 0)))
        for number, n in zip(members.index, members, strict=True)
    }
    assert {name: tuple(rest) for name, *rest in per_campaign} == expected
    assert sum(n for n, _, _ in expected.values()) == 6_589
    assert sum(n for _, _, n in expected.values()) == 2_102
    wrong = conn.scalar(
        text(
            "SELECT count(*) FROM campaign_members AS m JOIN campaigns AS c ON c.id = m.campaign_id "
            "LEFT JOIN (SELECT customer_id, campaign_id, min(occurred_on) AS first_on, count(*) AS n "
            "FROM campaign_events GROUP BY 1, 2) AS e USING (customer_id, campaign_id) "
            "WHERE m.received_on <> c.starts_on OR m.redemptions <> coalesce(e.n, 0) "
            "OR m.first_redeemed_on IS DISTINCT FROM e.first_on"
        )
    )
    assert wrong == 0


@pytest.mark.slow
def test_every_redemption_falls_on_a_day_the_household_shopped_and_in_a_months_partition(conn: Connection) -> None:
    never = conn.scalar(
        text(
            "SELECT count(*) FROM campaign_events AS e WHERE NOT EXISTS (SELECT FROM orders AS o "
            "WHERE o.customer_id = e.customer_id AND o.placed_on = e.occurred_on)"
        )
    )
    assert never == 0
    assert conn.scalar(text("SELECT count(*) FROM campaign_events_default")) == 0


@pytest.mark.slow
def test_demographics_are_those_of_the_801_and_of_nobody_else(conn: Connection, frames: Frames) -> None:
    columns = {
        "age": "age_band",
        "income": "income_band",
        "home_ownership": "home_ownership",
        "marital_status": "marital_status",
        "household_size": "household_size",
        "household_comp": "household_kind",
        "kids_count": "children",
    }
    source = frames["demographics"].fillna("").set_index("household_id")[list(columns)]
    listed = ", ".join(f"c.{column}" for column in columns.values())
    rows = conn.execute(
        text(
            f"SELECT k.value, {listed} FROM customers AS c "  # noqa: S608  (names from this test)
            "JOIN customer_keys AS k ON k.customer_id = c.id"
        )
    )
    found = {int(household): tuple(rest) for household, *rest in rows if any(rest)}
    assert len(found) == 801
    assert found == {household: tuple(rest) for household, *rest in source.itertuples()}


@pytest.mark.slow
def test_unknown_products_are_placeholders_and_counted(conn: Connection, frames: Frames) -> None:
    known = set(frames["products"]["product_id"])
    missing = frames["transactions"].loc[~frames["transactions"]["product_id"].isin(known), "product_id"]
    skus = conn.execute(select(schema.products.c.sku).where(schema.products.c.placeholder)).scalars()
    assert {int(sku) for sku in skus} == set(missing)
    counts = conn.scalar(select(schema.batches.c.counts))
    assert counts is not None
    assert (counts["placeholder_products"], counts["lines_of_placeholder_products"]) == (17, len(missing))
    assert len(missing) == 4_836
    assert counts["redemptions_without_membership"] == 0


@pytest.mark.slow
def test_the_settings_say_what_is_shifted_and_what_is_made_up(conn: Connection) -> None:
    found = settings.get(conn)
    assert (found.company_name, found.time_zone, found.currency, found.demo) == (
        "Journey Market",
        "America/New_York",
        "USD",
        True,
    )
    first, last = (date.fromisoformat(found.more[f"demo_{end}_day"]) for end in ("first", "last"))
    today = clock.today("America/New_York")
    assert last < today <= last + timedelta(days=7)
    assert found.more["demo_original_first_day"] == "2017-01-01"
    assert found.more["demo_original_last_day"] == "2017-12-31"
    assert first - date(2017, 1, 1) == last - date(2017, 12, 31) == shift(conn)
    assert {"name", "phone", "email", "owner", *demo_around.TABLES} <= set(found.more["demo_made_up"])
    assert "Complete Journey" in found.more["demo_source"]


@pytest.mark.slow
def test_the_derived_tables_agree_with_the_raw_ones_and_nothing_waits(conn: Connection) -> None:
    assert derived.check(conn) == derived.Drift((), (), 0)
    assert make.count(conn, "customer_metrics") == 2_469


@pytest.mark.slow
def test_the_load_is_in_the_history(conn: Connection) -> None:
    sets = conn.execute(
        text(
            "SELECT s.actor_id, s.command, s.permission, s.source, s.batch_id IS NOT NULL AS facts, "
            "(SELECT count(*) FROM changes AS c WHERE c.change_set_id = s.id) AS rows FROM change_sets AS s ORDER BY id"
        )
    ).all()
    around = sum(make.count(conn, table) for table in demo_around.TABLES)
    recorded = 2_469 + 27 + 2 + len(demo_people.USERS) + 11 + around
    assert [tuple(row) for row in sets] == [
        (NOBODY, "demo.load", "demo:load", "demo", False, recorded),
        (NOBODY, "demo.load", "demo:load", "demo", True, 0),
    ]
    for table in ("orders", "campaign_members", "campaign_events"):
        outside = conn.scalar(text(f"SELECT count(*) FROM {table} WHERE batch_id IS NULL"))  # noqa: S608  (own names)
        assert outside == 0


@pytest.mark.slow
def test_a_second_load_does_nothing_and_says_what_stands(demo_database: str) -> None:
    again = demo.load()
    assert not again.loaded
    assert again.counts["lines"] == 1_469_307
    assert again.last_day < clock.today("America/New_York")


@pytest.mark.slow
def test_the_people_can_be_searched_sorted_and_shared_out(conn: Connection) -> None:
    owners = conn.execute(
        text(
            "SELECT coalesce(u.username, ''), count(*) FROM customers AS c JOIN users AS u ON u.id = c.owner_id "
            "GROUP BY 1"
        )
    ).all()
    held = {str(name): int(n) for name, n in owners}
    unowned = held.pop("-")
    assert 0.03 * 2_469 < unowned < 0.10 * 2_469
    assert set(held) == {p.username for p in demo_people.USERS if p.role is Role.SALES}
    assert min(held.values()) > 100
    assert conn.scalar(text("SELECT count(*) FROM customers WHERE sort_key = '' OR search_text = ''")) == 0
    cards = conn.execute(text("SELECT count(*) FROM users WHERE demo AND password_hash IS NULL")).scalar()
    assert cards == len(demo_people.USERS)


# --- the transformation and its rules --------------------------------------------------------------------------------


def test_two_builds_are_equal(frames: Frames) -> None:
    one, two = small(frames), small(frames)
    for name in ("products", "orders", "lines", "members", "events"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    assert (one.customers, one.campaigns, one.counts) == (two.customers, two.campaigns, two.counts)


@given(st.dates(date(2018, 1, 1), date(2100, 1, 1)))
def test_the_shift_keeps_the_weekday_and_ends_in_the_week_before_today(today: date) -> None:
    last = date(2017, 12, 31)
    shifted = last + timedelta(days=demo_data.shift_days(last, today))
    assert shifted.weekday() == last.weekday()
    assert timedelta(days=1) <= today - shifted <= timedelta(days=7)


@pytest.mark.parametrize(
    ("wall", "utc"),
    [
        ("2026-01-15 12:00:00", "2026-01-15 17:00:00"),
        ("2026-07-15 12:00:00", "2026-07-15 16:00:00"),
        ("2026-03-08 02:30:15", "2026-03-08 07:30:15"),  # does not occur: an hour later, 03:30 in summer time
        ("2026-11-01 01:30:15", "2026-11-01 05:30:15"),  # occurs twice: the first time
    ],
)
def test_wall_times_around_the_change_of_clocks(wall: str, utc: str) -> None:
    found = demo_data.at_wall_time(pd.Series([pd.Timestamp(wall)]))
    assert found[0] == pd.Timestamp(utc, tz="UTC")


# --- the invented people ---------------------------------------------------------------------------------------------


def test_half_of_the_names_are_chinese_and_they_vary(households: list[int]) -> None:
    people = [demo_people.customer(h) for h in households]
    names = [p["name"] for p in people]
    assert 0.45 < sum(has_han(name) for name in names) / len(names) < 0.55
    assert len(set(names)) > 0.85 * len(names)
    for surname in ("单", "解", "仇", "曾", "欧阳", "令狐"):
        assert any(name.startswith(surname) for name in names)
    for accented in ("José", "Müller", "Nguyễn"):
        assert any(accented in name for name in names)
    assert 10 < sum(p["kind"] == "company" for p in people) < 80


def test_no_phone_or_email_could_be_somebodys(households: list[int]) -> None:
    people = [demo_people.customer(h) for h in households]
    phones = ["".join(filter(str.isdigit, p["phone"])) for p in people if p["phone"]]
    emails = [p["email"] for p in people if p["email"]]
    assert len(set(phones)) == len(phones) > 0.9 * len(people)
    assert len(set(emails)) == len(emails) > 0.85 * len(people)
    assert all(phone[-7:-2] == "55501" or phone[-11:].startswith("1200") for phone in phones)
    assert all(email.isascii() and email.split("@")[1].startswith("example.") for email in emails)


def test_a_customer_is_served_by_the_team_of_the_region(households: list[int]) -> None:
    team = {p.username: p.team for p in demo_people.USERS}
    for household in households:
        region = demo_people.customer(household)["region"]
        owner = demo_people.owner(household, region)
        assert owner is None or region in demo_people.TEAMS[team[owner] or ""]


def test_a_person_follows_from_the_number_alone() -> None:
    """Written out, so that a change of the generator is seen: people would get other names at the next load."""
    assert demo_people.customer(19) == {
        "kind": "person",
        "name": "解敏",
        "company": "",
        "email": "xiemin19@example.org",
        "phone": "12007630019",
        "region": "Southeast",
        "city": "Coral Springs Mill",
        "source": "mail",
    }


# --- loading ---------------------------------------------------------------------------------------------------------


def write(found: Demo, **values: object) -> None:
    with begin(WORKER, write=True, timeout_ms=60_000) as conn:
        demo.write(conn, found, actor=WORKER, source="terminal", **values)  # type: ignore[arg-type]


def test_progress_only_rises_and_is_told_in_sentences(clone: str, frames: Frames) -> None:
    told: list[tuple[float, str]] = []
    write(small(frames), progress=lambda done, sentence: told.append((done, sentence)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert all(0 <= done < 1 and sentence for done, sentence in told)


def test_a_database_in_use_is_refused_and_left_alone(people: make.People, owner: Connection) -> None:
    with begin(WORKER, write=True) as conn:
        make.customer(conn, people.ann.user_id)
    with pytest.raises(Conflict, match="data of your own"):
        demo.load()
    assert make.count(owner, "orders") == 0
    assert not settings.get(owner).demo


def test_settings_of_the_company_are_set_anew_in_the_history(clone: str, owner: Connection, frames: Frames) -> None:
    with connection.begin_owner() as conn:
        make_setting = schema.settings.insert().values(
            key="company_name", value="Mine", created_at=clock.now(), updated_at=clock.now()
        )
        conn.execute(make_setting)
    write(small(frames))
    assert settings.get(owner).company_name == "Journey Market"
    before = owner.scalar(text("SELECT before FROM changes WHERE action = 'update' AND table_name = 'settings'"))
    assert before == {"value": "Mine"}


def test_a_taken_username_is_refused_with_its_name(clone: str, frames: Frames) -> None:
    with connection.begin_owner() as conn:
        conn.execute(
            schema.users.insert().values(
                username="lin.sales", name="x", role="sales", created_at=clock.now(), updated_at=clock.now()
            )
        )
    with pytest.raises(Conflict, match=r"lin\.sales"):
        write(small(frames))


def test_only_those_who_may_load_can_load(people: make.People, frames: Frames) -> None:
    assert {role for role, granted in GRANTS.items() if Permission.DEMO_LOAD in granted} == {Role.ADMIN, Role.WORKER}


@pytest.mark.processes
@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_nothing_and_the_next_load_begins_anew(
    clone: str, owner: Connection, frames: Frames
) -> None:
    script = "from db import demo; demo.load(progress=lambda done, sentence: print(done, flush=True))"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(demo.__file__).parent.parent,
        env=os.environ | {"DATABASE_URL": clone},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        for line in process.stdout:
            if float(line) > 0.2:
                break
        process.send_signal(signal.SIGKILL)
    tables = ("customers", "orders", "order_items", "products", "batches", "changes", "settings", "touched_customers")
    assert [make.count(owner, table) for table in tables] == [0] * len(tables)
    owner.rollback()
    write(small(frames))
    assert make.count(owner, "customers") == 40 - sum(
        h not in set(frames["transactions"]["household_id"]) for h in range(1, 41)
    )


# --- campaigns -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_campaign_did_as_the_source_says(conn: Connection, frames: Frames, days: pd.Series) -> None:
    """Reached, bought in the window, bought what was promoted, redeemed, revenue: all 27, counted by pandas."""
    lines, by = frames["transactions"].assign(day=days), shift(conn)
    coupons, redeemed = frames["coupons"], frames["coupon_redemptions"]
    wanted = {}
    for campaign in frames["campaign_descriptions"].itertuples():
        number = campaign.campaign_id
        members = set(frames["campaigns"].query("campaign_id == @number")["household_id"])
        first, last = campaign.start_date.date(), campaign.end_date.date()
        length = last - first + timedelta(days=1)
        theirs = lines[lines["household_id"].isin(members)]
        within = theirs[(theirs["day"] >= first) & (theirs["day"] <= last)]
        before = theirs[(theirs["day"] >= first - length) & (theirs["day"] < first)]
        promoted = set(coupons.query("campaign_id == @number")["product_id"])
        used = redeemed.query("campaign_id == @number and household_id in @members")
        complete = first >= date(2017, 1, 1) and last <= date(2017, 12, 31)
        comparable = complete and first - length >= date(2017, 1, 1)
        revenue, revenue_before = (
            Decimal(int((part["sales_value"] * 100).round().sum())) * CENT for part in (within, before)
        )
        wanted[f"Campaign {number}"] = (
            first + by,
            last + by,
            len(members),
            within["household_id"].nunique(),
            within[within["product_id"].isin(promoted)]["household_id"].nunique(),
            used["household_id"].nunique(),
            len(used),
            within["basket_id"].nunique(),
            revenue,
            revenue_before,
            complete,
            float(revenue / revenue_before) - 1 if comparable else None,
        )
    with begin(GATE) as asking:
        admin = viewers.first_admin(asking)
    assert admin
    with begin(admin) as asked:
        found, more = campaigns.league(asked, viewer=admin, today=clock.today(demo_data.ZONE))
    assert not more
    assert {
        c.name: (
            c.starts_on,
            c.ends_on,
            c.reached,
            c.buyers,
            c.promoted_buyers,
            c.redeemers,
            c.redemptions,
            c.orders,
            c.revenue,
            c.revenue_before,
            c.complete,
            c.change,
        )
        for c in found
    } == wanted


@pytest.mark.slow
def test_what_campaigns_promote_is_what_the_source_has_coupons_for(conn: Connection, frames: Frames) -> None:
    pairs = frames["coupons"][["campaign_id", "product_id"]].drop_duplicates()
    known = set(frames["transactions"]["product_id"]) | set(frames["products"]["product_id"])
    assert make.count(conn, "campaign_products") == int(pairs["product_id"].isin(known).sum()) == 104_003
    assert len(pairs) == 104_011, "eight name products that the source neither describes nor sold"


def test_a_demo_without_its_campaigns_products_is_completed(clone: str, frames: Frames) -> None:
    with begin(WORKER, write=True, timeout_ms=demo.TIMEOUT_MS) as conn:
        demo.write(conn, small(frames), actor=WORKER, source="demo")
    with connection.begin_owner() as conn:
        before = make.count(conn, "campaign_products")
        results = conn.execute(select(schema.campaign_results).order_by(text("1, 2"))).all()
        conn.execute(schema.campaign_products.delete())
        conn.execute(schema.campaign_results.delete())
    assert results
    for _turn in range(2):
        assert not demo.load().loaded
        with connection.begin_owner() as conn:
            assert make.count(conn, "campaign_products") >= before > 1_000
            assert conn.execute(select(schema.campaign_results).order_by(text("1, 2"))).all() == results
