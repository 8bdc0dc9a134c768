"""What tells an order from all others by a number: by SQL, and the same over arrays.

The hash is the one by which PostgreSQL distributes rows over partitions, so that no version changes it; told over
arrays because ten million orders are read for a rebuild anyway, and hashing them there takes several times as long.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from psycopg import sql

from db.arrays import Numbers

DIGEST = sql.SQL("""
    hashint8extended(id, hashint8extended((amount * 100)::bigint, timestamp_hash_extended(
        placed_at AT TIME ZONE 'UTC', hashtextextended(currency, 0) # (placed_on - DATE '2000-01-01')::bigint)))
""")
OF_TEXTS = "SELECT hashtextextended(each, 0) FROM unnest(%(texts)s::text[]) WITH ORDINALITY AS u (each, n) ORDER BY n"

_START = np.uint32(0x9E3779B9 + 4 + 3923095)


def digests(ids: Numbers, cents: Numbers, micros: Numbers, days: Numbers, currencies: Numbers) -> Numbers:
    """The same as DIGEST: times and days from 2000 on, and the hash of each order's currency."""
    return _hash(ids, _hash(cents, _hash(micros, currencies ^ days)))


def _hash(values: Numbers, seed: Numbers) -> Numbers:
    """hashint8extended, by Bob Jenkins: lookup3, 2006. A seed of 0, one in 2^64, would be told in another way there."""
    high = (values >> 32).astype(np.uint32)
    folded = values.astype(np.uint32) ^ np.where(values < 0, ~high, high)
    a, b = _START + (seed >> 32).astype(np.uint32), _START + seed.astype(np.uint32)
    c = np.full(len(values), _START)
    for bits in ((4, 6, 8), (16, 19, 4)):
        a -= c
        a ^= _turned(c, bits[0])
        c += b
        b -= a
        b ^= _turned(a, bits[1])
        a += c
        c -= b
        c ^= _turned(b, bits[2])
        b += a
    a += folded
    c = _final(c, b, 14)
    a = _final(a, c, 11)
    b = _final(b, a, 25)
    c = _final(c, b, 16)
    a = _final(a, c, 4)
    b = _final(b, a, 14)
    c = _final(c, b, 24)
    return cast(Numbers, b.astype(np.int64) << 32 | c.astype(np.int64))


def _final(value: Numbers, by: Numbers, bits: int) -> Numbers:
    value ^= by
    value -= _turned(by, bits)
    return value


def _turned(value: Numbers, bits: int) -> Numbers:
    return value << np.uint32(bits) | value >> np.uint32(32 - bits)
