"""What the bench company's people keep around its customers: talks, notes, tags, tasks, consents. As db/bench_rows.py.

Customers with somebody are talked to, those who buy more rather more often; a tag is put on whom its word fits no more
than by chance. Texts are short and few: how long they are is not what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from db import tags, written
from db.bench_rows import DAYS, Company, Ints
from db.schema_around import CHANNELS

TAGS = (
    *("VIP", "wholesale", "newsletter", "loyal", "gift", "tea lover", "complaint", "referral", "trade fair", "student"),
    *("大客户", "老客户", "重点跟进", "价格敏感", "需要发票", "节日送礼", "朋友介绍", "展会", "企业采购", "暂不联系"),
)
TALKS, NOTES = 1.0, 0.2
"""For each customer on average."""
_SAID = ("Asked about prices", "Wants a sample", "询问报价", "约下周再谈", "Sent the catalogue", "已发合同")
_AROUND = 20
_HOUR = 3600


def rows(company: Company, piece: slice, users: Ints, customer: int) -> Iterator[tuple[str, pa.Table]]:
    """Table and rows without ids, of these customers, of whom the first of all has the id `customer`."""
    plan, n = company.plan, piece.stop - piece.start
    rng = plan.rng(_AROUND, piece.start)
    own = np.arange(piece.start, piece.stop) + customer
    owner = company.owner[piece]
    by = np.where(owner < 0, users[0], users[owner])
    comes = company.comes[piece]

    def some(times: Ints) -> tuple[Ints, Ints, pa.Array]:
        """Of which customers, on which days since they came, and when on these."""
        who = np.repeat(np.arange(n), times)
        day = comes[who] + (rng.random(len(who)) * (DAYS - comes[who])).astype(np.int64)
        return who, day, plan.instants(day, 9 * _HOUR + rng.integers(0, 9 * _HOUR, len(who)))

    def row(who: Ints, when: pa.Array, **columns: pa.Array) -> pa.Table:
        return pa.table({"customer_id": own[who], **columns, "created_at": when, "updated_at": when})

    told = pa.array(_SAID)
    searched = pa.array([written.joined(said) for said in _SAID])
    busy = np.minimum(company.rate[piece] / max(company.rate.mean(), 1e-9), 8) * (owner >= 0)
    who, day, when = some(rng.poisson(TALKS * busy))
    subject = pa.array(rng.integers(0, len(_SAID), len(who)))
    yield (
        "interactions",
        row(
            who,
            when,
            kind=pa.array(["call", "mail", "meeting", "message"]).take(
                pa.array(rng.choice(4, len(who), p=(0.5, 0.2, 0.1, 0.2)))
            ),
            author_id=pa.array(by[who]),
            happened_at=when,
            happened_on=plan.dates(day),
            subject=told.take(subject),
            search_text=searched.take(subject),
        ),
    )
    who, _day, when = some(rng.poisson(NOTES, n))
    body = pa.array(rng.integers(0, len(_SAID), len(who)))
    yield "notes", row(who, when, author_id=pa.array(by[who]), body=told.take(body), search_text=searched.take(body))
    who, _day, when = some((rng.random(n) < 0.25) + 0)
    due = plan.dates(DAYS - 60 + rng.integers(0, 90, len(who)))
    done = pa.array(rng.random(len(who)) < 0.7)
    body = pa.array(rng.integers(0, len(_SAID), len(who)))
    doer = pa.array(by[who])
    yield (
        "tasks",
        row(
            who,
            when,
            title=told.take(body),
            search_text=searched.take(body),
            due_on=pc.if_else(pa.array(rng.random(len(who)) < 0.1), pa.scalar(None, due.type), due),
            assignee_id=doer,
            author_id=doer,
            done_at=pc.if_else(done, when, pa.scalar(None, when.type)),
            done_by_id=pc.if_else(done, doer, pa.scalar(None, doer.type)),
        ),
    )
    # A word at most once: those that a customer has follow one another in the list, the first ones are had most.
    many = np.where(rng.random(n) < 0.4, rng.integers(1, 4, n), 0)
    who, _day, when = some(many)
    place = np.arange(len(who)) - np.repeat(np.cumsum(many) - many, many)
    first = np.minimum(rng.geometric(0.15, n) - 1, len(TAGS) - 3)
    word = pa.array(first[who] + place)
    yield (
        "customer_tags",
        row(who, when, tag=pa.array(TAGS).take(word), tag_key=pa.array([tags.key(tag) for tag in TAGS]).take(word)),
    )
    for channel, share in zip(CHANNELS, (0.3, 0.2, 0.3, 0.5, 0.05), strict=True):
        who, _day, when = some((rng.random(n) < share) + 0)
        state = pa.array(["given", "refused", "withdrawn"]).take(pa.array(rng.choice(3, len(who), p=(0.75, 0.15, 0.1))))
        yield (
            "consents",
            row(
                who,
                when,
                channel=pa.array([channel] * len(who)),
                state=state,
                author_id=pa.array(by[who]),
                happened_at=when,
            ),
        )
