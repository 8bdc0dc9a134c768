"""customer_categories made anew, a piece of customers at a time; written only where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import numpy as np
from sqlalchemy import Connection

from db.array_bytes import Bigints
from db.rebuild_arrays import Known, numbers
from db.rebuild_pieces import Behind, Piece

_CATEGORIES = "SELECT DISTINCT category FROM products ORDER BY category"
_PRODUCTS = "SELECT id, array_position(%(names)s::text[], category) - 1 FROM products ORDER BY id"

# Many customers bought the same: each set comes once.
_WRITE = """
WITH sets AS MATERIALIZED (
    SELECT k.place, array_agg(c.name ORDER BY c.place) AS categories
    FROM unnest(%(sets)s::bigint[], %(codes)s::bigint[]) AS k (place, code)
    JOIN unnest(%(names)s::text[]) WITH ORDINALITY AS c (name, place) ON c.place = k.code + 1
    GROUP BY k.place
)
INSERT INTO customer_categories (customer_id, categories)
SELECT n.id, n.categories
FROM (
    SELECT u.id, coalesce(k.categories, ARRAY[]::text[]) AS categories
    FROM unnest(%(ids)s::bigint[], %(of)s::bigint[]) AS u (id, place)
    LEFT JOIN sets AS k ON k.place = u.place
) AS n
LEFT JOIN customer_categories AS s
    ON s.customer_id = n.id AND s.customer_id >= %(start)s AND s.customer_id < %(stop)s
WHERE s.categories IS DISTINCT FROM n.categories
ON CONFLICT (customer_id) DO UPDATE SET categories = excluded.categories
"""
_STANDING = """
SELECT customer_id >> %(bits)s AS piece, string_agg(int8send(customer_id), '')
FROM customer_categories WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
_GONE = "DELETE FROM customer_categories WHERE customer_id = ANY(%(ids)s::bigint[])"


class Categories:
    """Takes the pieces; what stands is compared where it is written."""

    stands: Mapping[str, LiteralString] = {"customer_categories": _STANDING}

    def __init__(self, conn: Connection) -> None:
        self._names = list(conn.exec_driver_sql(_CATEGORIES).scalars())
        rows = conn.exec_driver_sql(_PRODUCTS, {"names": self._names})
        ids, self._codes = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2).T
        self._products = Known(ids)

    def take(self, cursor: Behind, piece: Piece) -> None:
        """Write the categories of each customer."""
        vain = np.setdiff1d(numbers((piece.standing["customer_categories"] or [b""])[0]), piece.ids)
        if len(vain):
            cursor.execute(_GONE, {"ids": Bigints(vain)})
        row = piece.orders.row[piece.lines.order]
        at, known = self._products.find(piece.lines.product)
        bought = np.zeros((len(piece.ids), len(self._names)), np.bool_)
        bought[row[known], self._codes[at[known]]] = True
        packed = np.packbits(bought, axis=1)
        whole = np.ascontiguousarray(packed).view(np.dtype((np.void, max(packed.shape[1], 1))))
        sets, of = (
            np.unique(whole.reshape(-1), return_index=True, return_inverse=True)[1:]
            if packed.size
            else (
                np.zeros(0, np.int64),
                np.zeros(len(piece.ids), np.int64),
            )
        )
        place, code = np.nonzero(bought[sets])
        given = {
            "ids": Bigints(piece.ids),
            "of": Bigints(of.reshape(-1)),
            "sets": Bigints(place),
            "codes": Bigints(code),
            "names": self._names,
            "start": piece.start,
            "stop": piece.stop,
        }
        cursor.execute(_WRITE, given)

    def end(self, cursor: Any) -> None:
        """Nothing is of all of them."""
