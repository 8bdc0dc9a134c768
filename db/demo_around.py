"""What is invented around the customers of the demo: people, places, consents, tags, files, talks, notes and tasks.

All of it follows from the households' numbers and the day of the load. Nobody there can be reached: the phones and
e-mails are of the kinds that db/demo_people.py uses, the streets are called examples, and each file says what it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert

from db import changes, contacts, schema, tags, text, written
from db.demo_people import TEAMS, USERS, draw, name_of, pick
from db.permissions import NOBODY, Role
from db.text import has_han

TABLES = ("contacts", "addresses", "consents", "customer_tags", "attachments", "interactions", "notes", "tasks")
ZONE = ZoneInfo("America/New_York")
TALKED_TO = 30
"""Of each salesperson, so many of the first customers with a telephone have talks, the first third of them notes."""
WITH_FILES = 3
"""Of each salesperson, so many of the first customers with a telephone have files."""
BEST = 40
"""Of those who bought most, whom people look at first, so many have a bit of everything."""
OF_A_MANAGER = 4
"""Tasks that each manager has at customers of the team."""
_CONSENTED_PERCENT, _TAGGED_PERCENT, _ADDRESS_PERCENT = 30, 25, 20
_SAMPLE = "Made up for the demo · 演示数据，纯属虚构\n\n"


@dataclass(frozen=True)
class Plan:
    """A task that each salesperson of the demo has; `days` from the day of the load on, None without a day.

    One that is `done` was finished the day before.
    """

    title: str
    kind: str
    days: int | None
    priority: str = "normal"
    done: bool = False


PLANS = (
    Plan("Call back about the coupon", "call", -2, "high"),
    Plan("寄新品目录，确认收货地址", "mail", 0),
    Plan("Ask how the last delivery went", "call", 0),
    Plan("拜访：谈明年的订货", "meeting", 3),
    Plan("Prepare an offer for the spring", "todo", 12, "low"),
    Plan("生日祝福", "todo", None),
    Plan("Send the price list", "mail", -1, done=True),
    Plan("电话回访：新包装是否满意", "call", -3, done=True),
)
"""Each at another of the salesperson's first customers with a telephone."""
MANAGERS = (
    Plan("Go through the open offers together", "meeting", 0),
    Plan("与大客户确认季度订货量", "call", 1, "high"),
    Plan("Check who takes over while on leave", "todo", 5),
    Plan("复核价格优惠申请", "todo", -1),
)

_JOBS = (("Owner", "店主"), ("Purchasing", "采购"), ("Accounting", "财务"), ("Kitchen manager", "后厨主管"))
_STREETS = (("Sample Street", "样例路"), ("Example Avenue", "示例大街"), ("Specimen Lane", "范例巷"))
_TAGS = ("VIP", "Coupon fan", "有机食品", "Newsletter", "老顾客", "Gluten-free")
_COMPANY_TAGS = ("Wholesale", "餐饮", "Monthly invoice")
_SOURCES = (("sign-up form", "登记表"), ("said so on the phone", "电话中说明"), ("asked at the till", "收银台询问"))
_TALKS: tuple[tuple[str, str, str, int | None, tuple[str, str], tuple[str, str]], ...] = (
    (
        "call",
        "out",
        "reached",
        7,
        ("Delivery day", "送货时间"),
        ("Prefers deliveries on Thursday mornings.", "希望每周四上午送货。"),
    ),
    ("call", "out", "no_answer", None, ("", ""), ("", "")),
    (
        "call",
        "in",
        "interested",
        12,
        ("New organic range", "有机新品"),
        ("Asked for the price list and two samples.", "想要价目表和两份样品。"),
    ),
    (
        "mail",
        "out",
        "",
        None,
        ("Price list", "价目表"),
        ("Sent the price list of this month.", "已发送本月价目表。"),
    ),
    (
        "message",
        "in",
        "call_back",
        None,
        ("Coupon", "优惠券"),
        ("Could not use a coupon at the till; to be called back.", "收银时优惠券用不了，等回电。"),
    ),
    (
        "meeting",
        "out",
        "interested",
        40,
        ("Orders of next year", "明年的订货"),
        ("Looked at the assortment; wants an offer for the spring.", "看了货架陈列，希望开春前给报价。"),
    ),
    (
        "call",
        "out",
        "not_interested",
        4,
        ("Catering offer", "团餐优惠"),
        ("No need this year; ask again in the autumn.", "今年不需要，秋天再问。"),
    ),
)
_NOTES = (
    ("Shops for the whole week on Saturdays.", "每周六采购一周的食材。"),
    ("Speaks Chinese and English.", "中英文都可以沟通。"),
    ("Allergic to nuts: mention it before offering samples.", "对坚果过敏，送样品前要说明。"),
)


def write(
    conn: Connection,
    set_id: int,
    customers: Sequence[Mapping[str, Any]],
    ids: Mapping[int, int],
    users: Mapping[str, int],
    *,
    today: date,
    best: Sequence[int] = (),
) -> None:
    """Insert all of it into the change set; `ids` are household → customer, `users` username → user."""
    for table, rows in made(customers, users, today=today, best=best).items():
        own = written.keys(table) if table in written.OF else lambda row: {}
        contents = [row.pop("content") for row in rows] if table == "attachments" else []
        keyed = [{"customer_id": ids[row.pop("household")]} | row | own(row) for row in rows]
        numbers = changes.insert(conn, set_id, table, keyed)
        if contents:
            kept = [
                {"customer_id": row["customer_id"], "id": number, "content": content}
                for row, number, content in zip(keyed, numbers, contents, strict=True)
            ]
            conn.execute(insert(schema.attachment_contents), kept)


def made(
    customers: Sequence[Mapping[str, Any]], users: Mapping[str, int], *, today: date, best: Sequence[int] = ()
) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, with `household` in place of the customer's id; those of files with their `content`.

    `best` are households that have a bit of everything.
    """
    sure = set(best)
    those = [c for c in customers if c["household"] in sure and c["owner"]]
    author = {c["household"]: users[c["owner"]] if c["owner"] else NOBODY for c in customers}
    companies = [c for c in customers if c["kind"] == "company"]
    mine = {
        person.username: [c for c in customers if c["owner"] == person.username and c["phone"]]
        for person in USERS
        if person.role is Role.SALES
    }
    talked, noted, filed = (
        list({c["household"]: c for c in (*those, *(c for theirs in mine.values() for c in theirs[:most]))}.values())
        for most in (TALKED_TO, TALKED_TO // 3, WITH_FILES)
    )
    rows: dict[str, list[dict[str, Any]]] = {
        "contacts": [row for c in companies for row in _contacts(c)],
        "addresses": [row for c in customers for row in _addresses(c, sure=c["household"] in sure)],
        "consents": [
            row for c in customers for row in _consents(c, author[c["household"]], today, sure=c["household"] in sure)
        ],
        "customer_tags": [row for c in customers for row in _tags(c, sure=c["household"] in sure)],
        "attachments": [row for c in filed for row in _files(c, author[c["household"]], today)],
        "interactions": [row for c in talked for row in _talks(c, author[c["household"]], today)],
        "notes": [_note(c, author[c["household"]], today) for c in noted],
        "tasks": [*_tasks(mine, users, today), *_managers_tasks(mine, users, today)],
    }
    return {table: rows[table] for table in TABLES}


def _chinese(customer: Mapping[str, Any]) -> bool:
    return has_han(customer["name"])


def _said(customer: Mapping[str, Any], pair: tuple[str, str]) -> str:
    return pair[_chinese(customer)]


def _at(today: date, days: int, hour: int, minute: int = 0) -> datetime:
    """A moment of the company's day so many days ago."""
    return datetime.combine(today - timedelta(days=days), time(hour, minute), ZONE).astimezone(UTC)


def _contacts(customer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    household, chinese = customer["household"], _chinese(customer)
    for n in range(1 + draw(household, "contacts", 3)):
        number = 10_000 * (n + 1) + household  # no household's
        name = name_of(number, chinese)
        mail = text.pinyin(name) or ".".join(re.findall("[a-z]+", text.match_key(name)))
        phone = f"+86 120 09{n}0 {household:04d}" if chinese else f"+1 206 555 01{number % 100:02d}"
        row = {
            "name": name,
            "job_title": _said(customer, _JOBS[(draw(household, "job", 4) + n) % 4]),
            "phone": phone,
            "email": f"{mail}{number}@example.com",
            "wechat": f"demo_{number}" if chinese else "",
            "main": n == 0,
            "note": "",
        }
        yield {"household": household} | row | contacts.keys(row)


def _addresses(customer: Mapping[str, Any], *, sure: bool) -> Iterator[dict[str, Any]]:
    household, company = customer["household"], customer["kind"] == "company"
    if not (company or sure) and draw(household, "address", 100) >= _ADDRESS_PERCENT:
        return
    for n, kind in enumerate(("delivery", "billing") if company else ("home",)):
        street, number = _said(customer, pick(household + n, "street", _STREETS)), 1 + draw(household, "number", 200)
        yield {
            "household": household,
            "kind": kind,
            "recipient": customer["name"],
            "phone": "",
            "street": f"{street} {number} 号" if _chinese(customer) else f"{number} {street}",
            "city": customer["city"],
            "region": customer["region"],
            "postcode": f"000{draw(household, 'postcode', 100):02d}",
            "country": "",
            "main": n == 0,
        }


def _consents(customer: Mapping[str, Any], author: int, today: date, *, sure: bool) -> Iterator[dict[str, Any]]:
    household = customer["household"]
    if not sure and draw(household, "consents", 100) >= _CONSENTED_PERCENT:
        return
    for channel in ("phone", "mail", "wechat")[: 1 + draw(household, "channels", 3)]:
        states = ("given", "given", "given", "refused", "withdrawn")
        yield {
            "household": household,
            "channel": channel,
            "state": pick(household, f"consent {channel}", states),
            "source": _said(customer, pick(household, f"source {channel}", _SOURCES)),
            "happened_at": _at(today, 20 + draw(household, f"day {channel}", 300), 12),
            "author_id": author,
        }


def _tags(customer: Mapping[str, Any], *, sure: bool) -> Iterator[dict[str, Any]]:
    household = customer["household"]
    chosen = {pick(household, "company tag", _COMPANY_TAGS)} if customer["kind"] == "company" else set()
    if sure or draw(household, "tags", 100) < _TAGGED_PERCENT:
        chosen |= {pick(household, "tag", _TAGS), pick(household, "second tag", _TAGS)}
    for tag in sorted(chosen):
        row = tags.row(household, tag)
        row["household"] = row.pop("customer_id")
        yield row


def _files(customer: Mapping[str, Any], author: int, today: date) -> Iterator[dict[str, Any]]:
    household = customer["household"]
    quote = _said(customer, ("Quote", "报价单"))
    listed = _said(
        customer, ("product,pieces,price\nCoffee,12,59.88\nTea,6,23.94\n", "品名,数量,金额\n咖啡,12,59.88\n")
    )
    wish = _said(customer, ("Wishes for the coming season: smaller packages.", "下一季的需求：希望有小包装。"))
    kept: tuple[tuple[str, str, str], ...]
    kept = ((f"{quote} (demo {household}).csv", "text/csv", f"# {_SAMPLE.strip()}\n{listed}"),)
    if household % 2:
        kept += ((f"{_said(customer, ('Meeting', '会面纪要'))} (demo {household}).txt", "text/plain", _SAMPLE + wish),)
    for n, (name, media_type, body) in enumerate(kept):
        content = f"{body}\n[{household}]\n".encode()
        yield {
            "household": household,
            "name": name,
            "media_type": media_type,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "author_id": author,
            "created_at": _at(today, 5 + n + draw(household, "file", 40), 11),
            "content": content,
        }


def _talks(customer: Mapping[str, Any], author: int, today: date) -> Iterator[dict[str, Any]]:
    household = customer["household"]
    days = 1 + draw(household, "last talk", 40)
    for n in range(1 + draw(household, "talks", 4)):
        kind, direction, outcome, minutes, subject, body = pick(household, f"talk {n}", _TALKS)
        yield {
            "household": household,
            "kind": kind,
            "direction": direction,
            "author_id": author,
            "happened_at": _at(
                today, days, 9 + draw(household, f"hour {n}", 8), 5 * draw(household, f"minute {n}", 12)
            ),
            "happened_on": today - timedelta(days=days),
            "minutes": minutes,
            "outcome": outcome,
            "subject": _said(customer, subject),
            "body": _said(customer, body),
        }
        days += 7 + draw(household, f"days {n}", 30)


def _note(customer: Mapping[str, Any], author: int, today: date) -> dict[str, Any]:
    household = customer["household"]
    return {
        "household": household,
        "author_id": author,
        "body": _said(customer, pick(household, "note", _NOTES)),
        "created_at": _at(today, 2 + draw(household, "note day", 60), 16),
    }


def _task(plan: Plan, household: int, assignee: int, author: int, today: date) -> dict[str, Any]:
    return {
        "household": household,
        "assignee_id": assignee,
        "author_id": author,
        "title": plan.title,
        "kind": plan.kind,
        "due_on": None if plan.days is None else today + timedelta(days=plan.days),
        "priority": plan.priority,
        "done_at": _at(today, 1, 15) if plan.done else None,
        "done_by_id": assignee if plan.done else None,
    }


def _tasks(
    mine: Mapping[str, Sequence[Mapping[str, Any]]], users: Mapping[str, int], today: date
) -> Iterator[dict[str, Any]]:
    for username, theirs in mine.items():
        for plan, customer in zip(PLANS, theirs, strict=False):
            yield _task(plan, customer["household"], users[username], users[username], today)


def _managers_tasks(
    mine: Mapping[str, Sequence[Mapping[str, Any]]], users: Mapping[str, int], today: date
) -> Iterator[dict[str, Any]]:
    """The managers' own, and one that each gave to somebody of the team."""
    for manager in (person for person in USERS if person.role is Role.MANAGER and person.team in TEAMS):
        team = [mine[person.username] for person in USERS if person.team == manager.team and person.username in mine]
        own = [theirs[len(PLANS)] for theirs in team if len(theirs) > len(PLANS)][:OF_A_MANAGER]
        for plan, customer in zip(MANAGERS, own, strict=False):
            yield _task(plan, customer["household"], users[manager.username], users[manager.username], today)
        for customer in own[:1]:
            given = Plan("Call about the spring offer, please", "call", 2)
            yield _task(given, customer["household"], users[customer["owner"]], users[manager.username], today)
