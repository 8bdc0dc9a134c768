"""The digest of an order is the same by SQL and over arrays, for whatever numbers."""

from __future__ import annotations

import random

import numpy as np
from psycopg import sql

from db.connection import begin
from db.order_digest import DIGEST, OF_TEXTS, digests
from db.permissions import WORKER
from tests import make

OF_VALUES = sql.SQL("""
SELECT {digest} FROM (
    SELECT id, cents * 0.01 AS amount, timestamptz '2000-01-01 00:00Z' + micros * interval '1 microsecond' AS placed_at,
        date '2000-01-01' + days AS placed_on, currency
    FROM unnest(%(ids)s::bigint[], %(cents)s::bigint[], %(micros)s::bigint[], %(days)s::int[], %(currencies)s::text[])
        WITH ORDINALITY AS u (id, cents, micros, days, currency, n)
    ORDER BY n
) AS o
""")


def test_both_ways_give_the_same_number(people: make.People) -> None:
    drawn = random.Random(5)
    n = 400
    ids = [drawn.randrange(1, 1 << drawn.randrange(2, 45)) for _n in range(n)]
    cents = [drawn.randrange(-(10**14), 10**14) // 10 ** drawn.randrange(15) for _n in range(n)]
    micros = [drawn.randrange(-(2**50), 2**50) for _n in range(n)]
    days = [drawn.randrange(-400_000, 400_000) for _n in range(n)]
    currencies = [drawn.choice(("USD", "EUR", "", "元", "x" * 50)) for _n in range(n)]
    given = {"ids": ids, "cents": cents, "micros": micros, "days": days, "currencies": currencies}
    with begin(WORKER) as conn:
        by_sql = [*conn.exec_driver_sql(OF_VALUES.format(digest=DIGEST).as_string(), given).scalars()]
        hashes = [*conn.exec_driver_sql(OF_TEXTS, {"texts": currencies}).scalars()]
    arrays = (np.array(each, np.int64) for each in (ids, cents, micros, days, hashes))
    assert digests(*arrays).tolist() == by_sql
    assert len({*by_sql}) == n
