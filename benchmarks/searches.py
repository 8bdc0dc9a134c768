"""Searches measured: noisy queries made from customers that are there, how quickly and how often they lead back.

Recall@10: the customer stands among the first ten, or so many fit equally that all ten shown are right answers to what
was typed; whether they are is judged from their names and numbers, not from the keys that the search uses.
"""

from __future__ import annotations

import random
import re
import statistics
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opencc import OpenCC
from pypinyin import Style, lazy_pinyin
from sqlalchemy import Connection, event, text

from db import customer, customers
from db.connection import begin, engine
from db.customers import Filters
from db.permissions import Viewer
from db.sessions import Session
from db.text import SURNAMES

SEED = 90_210
"""Not the one that the search was tuned with."""
TIMED = 500
LABELLED = 5_000
SHOWN = 10
NAIVE = 25
"""Of the timed queries, how many are asked in the naive form too."""
EDITS = 40

Row = Mapping[str, Any]
_TO_TRADITIONAL = OpenCC("s2t")
_HAN = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Asked:
    """A query of a class, the customer it was made from, and what else would be a right answer."""

    kind: str
    typed: str
    target: int
    fits: Callable[[Row], bool]


def _plain(value: str) -> str:
    apart = unicodedata.normalize("NFKD", value.casefold().replace("ß", "ss").replace("ł", "l"))
    return "".join(c for c in apart if not unicodedata.combining(c))


def _digits(value: str) -> str:
    return re.sub(r"\D", "", value)


def _pinyin(name: str) -> list[str]:
    for n in (2, 1):
        if name[:n] in SURNAMES and name[n:]:
            return [*SURNAMES[name[:n]].split(), *lazy_pinyin(name[n:], style=Style.NORMAL)]
    return lazy_pinyin(name, style=Style.NORMAL)


def _slip(word: str, rng: random.Random) -> str:
    """A letter too many, missing, another one or two that changed places; never the first."""
    at = rng.randrange(1, len(word))
    letter = rng.choice("abcdefghijklmnopqrstuvwxyz")
    made = (
        word[:at] + letter + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at + 1 :],
        word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :] if at > 1 else word[:at] + letter + word[at:],
    )
    return rng.choice(made)


def queries(row: Row, rng: random.Random) -> Iterator[Asked]:
    """Every query that the row gives something for."""
    name, number = row["name"], row["id"]
    if len(_HAN.findall(name)) == len(name) and 2 <= len(name) <= 4:
        yield from _chinese(name, number, rng)
    elif re.fullmatch(r"[^\d\u4e00-\u9fff]+", name):
        yield from _latin(name, number, rng)
    phone = _digits(row["phone"])
    if phone:
        for kind, typed in (
            ("phone, whole", row["phone"]),
            ("phone, tail", phone[-6:]),
            ("phone, inside", phone[-9:-3]),
        ):
            yield Asked(kind, typed, number, _dialled(_digits(typed)))
    if row["email"]:
        yield Asked("e-mail, whole", row["email"], number, lambda r: r["email"] == row["email"])
        part = row["email"].split("@")[0][1:]
        if len(part) >= 5:
            yield Asked("e-mail, inside", part, number, lambda r: part in r["email"])
    if row["company"]:
        yield Asked("company", row["company"][:6], number, lambda r: row["company"][:6] in r["company"] + r["name"])
    if row["external"]:
        yield Asked("external number", row["external"], number, lambda r: r["id"] == number)


def _dialled(digits: str) -> Callable[[Row], bool]:
    """Digits stand in addresses too, and are a customer's own number; after 0 or 00 they begin a phone."""
    own, dialled = digits.lstrip("0"), re.sub("^00?(?=[1-9])", "", digits)

    def fits(row: Row) -> bool:
        phone = _digits(row["phone"])
        return digits in phone or phone.startswith(dialled) or digits in row["email"] or str(row["id"]) == own

    return fits


def _chinese(name: str, number: int, rng: random.Random) -> Iterator[Asked]:
    read = "".join(_pinyin(name))

    def sounds(row: Row) -> bool:
        return "".join(_pinyin(row["name"])).startswith(read)

    yield Asked("Chinese, whole", name, number, lambda r: name in r["name"])
    yield Asked("Chinese, traditional", _TO_TRADITIONAL.convert(name), number, lambda r: name in r["name"])
    yield Asked("Chinese, without the first", name[1:], number, lambda r: name[1:] in r["name"] + r["company"])
    yield Asked("Chinese, one character", name[-1], number, lambda r: name[-1] in r["name"] + r["company"])
    yield Asked("pinyin, whole", read, number, sounds)
    begun = read[: max(3, len(read) - 2)]
    yield Asked("pinyin, begun", begun, number, lambda r: begun in "".join(_pinyin(r["name"])) or begun in r["email"])
    given = "".join(_pinyin(name)[1:])
    yield Asked("pinyin, given name", given, number, lambda r: _holds(r, given))
    first = "".join(s[0] for s in _pinyin(name))
    yield Asked("initials", first, number, lambda r: _holds(r, first))
    if len(read) >= 6:
        yield Asked("pinyin, a slip", _slip(read, rng), number, lambda r: True)


def _holds(row: Row, typed: str) -> bool:
    """As a person would: in the reading, the initials or what is written."""
    read = _pinyin(row["name"])
    values = ("".join(read), "".join(s[:1] for s in read), _plain(row["name"]), _plain(row["company"]), row["email"])
    company = "".join(_pinyin(row["company"]))
    return any(typed in value for value in (*values, company, "".join(w[:1] for w in _plain(row["name"]).split())))


def _latin(name: str, number: int, rng: random.Random) -> Iterator[Asked]:
    plain = _plain(name)
    words = plain.split()
    turned = f"{words[-1]} {words[0]}"

    def all_in(typed: str) -> Callable[[Row], bool]:
        return lambda r: all(w in _plain(f"{r['name']} {r['company']} {r['email']}") for w in typed.split())

    yield Asked("Latin, whole", name, number, lambda r: plain in _plain(r["name"]))
    yield Asked("Latin, unaccented", plain, number, lambda r: plain in _plain(r["name"]))
    yield Asked("Latin, turned", turned, number, all_in(turned))
    begun = f"{words[0][:3]} {words[-1][:3]}"
    yield Asked("Latin, begun words", begun, number, all_in(begun))
    if len(words[-1]) >= 4:
        yield Asked("Latin, last name", words[-1], number, all_in(words[-1]))
        slip = f"{words[0]} {_slip(words[-1], rng)}"
        if words[-1].isalpha():
            wanted = f"{words[0]} {words[-1][0]}"
            yield Asked("Latin, a slip", slip, number, all_in(wanted))


_DRAWN = """
SELECT c.id, c.name, c.company, c.email, c.phone,
    (SELECT k.value FROM customer_keys AS k WHERE k.customer_id = c.id LIMIT 1) AS external
FROM customers AS c WHERE c.id = ANY(:ids)
"""


def _made(conn: Connection, viewer: Viewer, n: int, seed: int) -> list[Asked]:
    """n queries over all classes, of customers that the viewer sees and that are listed; deterministic."""
    rng = random.Random(seed)
    ids = list(conn.scalars(text("SELECT id FROM customers WHERE archived_at IS NULL ORDER BY id")))
    drawn = [rng.choice(ids) for _ in range(n)]
    found = conn.execute(text(_DRAWN), {"ids": list(set(drawn))})
    rows = {row["id"]: row for row in found.mappings()}
    by_kind: dict[str, list[Asked]] = {}
    for customer_id in drawn:
        for asked in queries(rows[customer_id], rng):
            by_kind.setdefault(asked.kind, []).append(asked)
    each = max(1, n // len(by_kind))
    return [asked for kind in sorted(by_kind) for asked in by_kind[kind][:each]]


def measure(session: Session, *, labelled: int = LABELLED) -> dict[str, Any]:
    """Times by class, recall by class, the naive form beside it, sizes of indexes, the cost of an edit; in ms."""
    viewer = session.viewer
    with begin(viewer) as conn:
        timed = _made(conn, viewer, TIMED, SEED)
        judged = _made(conn, viewer, labelled, SEED + 1)
        n = conn.scalar(text("SELECT count(*) FROM customers"))
    _ask(session, timed[:: max(1, len(timed) // 40)])  # warms up
    times, whole, _recall = _ask(session, timed)
    _times, _whole, recall = _ask(session, judged)
    naive = _naive(session, timed)
    return {
        "user": viewer.username,
        "customers": n,
        "times": {kind: _spread(each) for kind, each in sorted(times.items())},
        "all": _spread([t for each in times.values() for t in each]),
        "with_python": _spread(whole),
        "recall": {kind: (round(sum(each) / len(each), 3), len(each)) for kind, each in sorted(recall.items())},
        "recall_all": round(sum(map(sum, recall.values())) / sum(map(len, recall.values())), 4),
        "naive": naive,
        **(_sizes(session) if not viewer.scoped else {}),
        "edit": _edits(session) if viewer.scoped or viewer.role == "admin" else None,
    }


def _ask(session: Session, asked: Sequence[Asked]) -> tuple[dict[str, list[float]], list[float], dict[str, list[bool]]]:
    """By class the ms that the statements of a search took, with each round trip; the ms of all; who was found."""
    times: dict[str, list[float]] = {}
    whole: list[float] = []
    recall: dict[str, list[bool]] = {}
    with begin(session.viewer) as conn, _statements() as spent:
        for one in asked:
            spent.clear()
            began = time.perf_counter()
            page = customers.page(
                conn,
                viewer=session.viewer,
                today=session.today,
                filters=Filters(search=one.typed),
                limit=customers.PAGE,
            )
            whole.append((time.perf_counter() - began) * 1000)
            times.setdefault(one.kind, []).append(sum(spent) * 1000)
            shown = page.rows.head(SHOWN).to_dict("records")
            right = any(row["id"] == one.target for row in shown) or (
                page.total > SHOWN and all(one.fits(row) for row in shown)
            )
            recall.setdefault(one.kind, []).append(right)
    return times, whole, recall


@contextmanager
def _statements() -> Iterator[list[float]]:
    """The seconds of each statement that is executed inside."""
    spent: list[float] = []

    def before(conn: Connection, *_rest: object) -> None:
        conn.info["bench_began"] = time.perf_counter()

    def after(conn: Connection, *_rest: object) -> None:
        spent.append(time.perf_counter() - conn.info["bench_began"])

    listened = ((engine(), "before_cursor_execute", before), (engine(), "after_cursor_execute", after))
    for each in listened:
        event.listen(*each)
    try:
        yield spent
    finally:
        for each in listened:
            event.remove(*each)


_NAIVE = """
SELECT id FROM customers
WHERE UPPER(name) LIKE :p OR UPPER(company) LIKE :p OR UPPER(email) LIKE :p OR UPPER(phone) LIKE :p
LIMIT 50
"""


def _naive(session: Session, timed: Sequence[Asked]) -> dict[str, float]:
    """The same words as rivals look for them."""
    taken = timed[:: max(1, len(timed) // NAIVE)]
    times = []
    with begin(session.viewer) as conn:
        for one in taken:
            began = time.perf_counter()
            conn.execute(text(_NAIVE), {"p": f"%{one.typed.upper()}%"}).all()
            times.append((time.perf_counter() - began) * 1000)
    return _spread(times)


def _spread(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "n": len(ordered),
        "p50": round(statistics.median(ordered), 2),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 2),
        "max": round(ordered[-1], 2),
    }


_SIZES = """
SELECT c.relname, pg_relation_size(c.oid) AS bytes FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid IN ('public.customers'::regclass, 'public.customer_texts'::regclass, 'public.search_words'::regclass,
        'public.customer_keys'::regclass)
    AND c.relname ~ '(name_key|pinyin_key|initials_key|email_key|phone|search|customer_(keys|texts))' ORDER BY 2 DESC
"""


def _sizes(session: Session) -> dict[str, Any]:
    with begin(session.viewer) as conn:
        return {"indexes": {name: size for name, size in conn.execute(text(_SIZES))}}


def _edits(session: Session) -> dict[str, float]:
    """Saving another name and phone with history and search terms; all of it is rolled back."""
    viewer, times = session.viewer, []

    class _Back(Exception):
        pass

    with begin(viewer) as conn:
        rows = conn.execute(
            text("SELECT id, version FROM customers WHERE archived_at IS NULL ORDER BY id LIMIT :n"), {"n": EDITS}
        )
        targets = rows.all()
    for customer_id, version in targets:
        try:
            with begin(viewer, write=True) as conn:
                began = time.perf_counter()
                customer.save(
                    conn,
                    actor=viewer,
                    customer_id=customer_id,
                    version=version,
                    values={"name": f"王小明{customer_id % 7}", "phone": f"138{customer_id % 10**8:08d}"},
                )
                times.append((time.perf_counter() - began) * 1000)
                raise _Back
        except _Back:
            pass
    return _spread(times)


def show(found: Mapping[str, Any]) -> None:
    """The figures as a table."""
    print(f"\nsearch as {found['user']}, {found['customers']:,} customers in sight; ms in the database")
    print(f"{'class':<28}{'n':>5}{'p50':>8}{'p95':>8}{'max':>8}{'recall@10':>12}")
    for kind, spread in found["times"].items():
        recall, n = found["recall"].get(kind, (None, 0))
        print(
            f"{kind:<28}{spread['n']:>5}{spread['p50']:>8}{spread['p95']:>8}{spread['max']:>8}"
            f"{recall if recall is not None else '':>12} of {n}"
        )
    whole, naive = found["all"], found["naive"]
    beside = found["with_python"]
    print(f"{'all':<28}{whole['n']:>5}{whole['p50']:>8}{whole['p95']:>8}{whole['max']:>8}{found['recall_all']:>12}")
    print(f"with what Python does beside: p50 {beside['p50']}, p95 {beside['p95']}, max {beside['max']}")
    print(
        f"the naive form, UPPER(…) LIKE '%…%': p50 {naive['p50']}, p95 {naive['p95']}, max {naive['max']} "
        f"({naive['p50'] / whole['p50']:.0f} times at the median, {naive['p95'] / whole['p95']:.0f} at p95)"
    )
    if found.get("indexes"):
        total = sum(found["indexes"].values())
        print(f"indexes of searches: {total / 2**20:.0f} MB")
        for name, size in found["indexes"].items():
            print(f"  {name:<40}{size / 2**20:>8.0f} MB")
    if found.get("edit"):
        print(f"saving another name and phone, rolled back: p50 {found['edit']['p50']}, p95 {found['edit']['p95']}")
