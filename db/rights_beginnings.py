"""Functions that answer what begins so: keys of customers, of their contact people, their numbers and tags.

They run as the owner of the schema with the viewer's owners as a condition of their own, so that their plans are made
once in a session: under a policy each search would be planned anew, which took longer than the search.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from db.needles import BEGUN, BEGUN_CONTACT, MOST_HITS
from db.rights_sql import MY_OWNERS, definer

_MOST = sql.Literal(MOST_HITS + 1)
"""In numbers: a plan for every search has to know that few are asked for."""
_LISTED = sql.SQL("c.archived_at IS NULL")
_MINE = sql.SQL("c.archived_at IS NULL AND c.owner_id = ANY(owners)")

_RANKED_MINE = sql.SQL("JOIN customers AS c ON c.id = s.id AND c.owner_id = ANY(owners)")


def functions() -> Iterator[str]:
    """For the roles that see all customers, those that see their own, and those that see no names."""
    yield from _beginning("customers_beginning_scoped", _MINE, "kehu_scoped", personal=True)
    yield from _beginning("customers_beginning_all", _LISTED, "kehu_admin, kehu_worker", personal=True)
    yield from _beginning("customers_beginning_masked", _LISTED, "kehu_masked", personal=False)
    yield from _ranked("customers_ranked_scoped", _RANKED_MINE, "kehu_scoped")
    yield from _ranked("customers_ranked_all", sql.SQL(""), "kehu_admin, kehu_masked, kehu_worker")
    yield from definer(
        # Through its view each figure would be asked for.
        "customer_figures_scoped(ids bigint[]) RETURNS TABLE (customer_id bigint, first_order_on date, "
        "last_order_on date, orders integer, revenue numeric, usual_days integer) LANGUAGE plpgsql STABLE ROWS 50",
        "DECLARE owners bigint[] := {owners}; BEGIN RETURN QUERY SELECT m.customer_id, m.first_order_on, "
        "m.last_order_on, m.orders, m.revenue, m.usual_days FROM unnest(ids) AS i JOIN customers AS c ON c.id = i "
        "AND c.owner_id = ANY(owners) JOIN customer_metrics AS m ON m.customer_id = i; END",
        "kehu_scoped",
        owners=MY_OWNERS,
    )


def _beginning(name: str, listed: sql.Composable, roles: str, *, personal: bool) -> Iterator[str]:
    """Of customers (`by` is '') the best MOST_HITS + 1 by rank: 0 for the whole of a value, 1 for its beginning.

    Of what is around them as many: contacts in the same way, tags with 2; `by` is then 'contact' or 'tag', `value` the
    person's name or the tag, `seen` the rows of the widest branch: MOST_HITS + 1 say that there are others.
    `starts` are what keys begin with, in the order of the columns, '' for none; `tags` are keys of tags.
    """
    own = [_own(key, i + 1, listed) for i, key in enumerate(BEGUN)]
    number = sql.SQL("(SELECT c.id, 0 AS rank FROM customers AS c WHERE c.id = number AND {listed})").format(
        listed=listed
    )
    numbers = sql.SQL(
        "(SELECT c.id, 0 AS rank FROM customer_keys AS k JOIN customers AS c ON c.id = k.customer_id "
        "WHERE k.value = ANY(numbers) AND {listed} LIMIT {most})"
    ).format(listed=listed, most=_MOST)
    around = [_around_tags(listed)]
    if personal:
        around += [_around_contacts(key, i + len(BEGUN) + 1, listed) for i, key in enumerate(BEGUN_CONTACT)]
    union = sql.SQL(" UNION ALL ")
    yield from definer(
        "{name}(starts text[], numbers text[], number bigint, tags text[]) "
        "RETURNS TABLE (id bigint, rank integer, by text, value text, seen bigint) LANGUAGE plpgsql STABLE "
        "SET plan_cache_mode = force_generic_plan",
        "#variable_conflict use_column\n"
        "DECLARE owners bigint[] := {owners}; BEGIN RETURN QUERY "
        "WITH own AS (SELECT f.id, min(f.rank) AS rank FROM ({own}) AS f GROUP BY f.id ORDER BY 2, 1 LIMIT {most}), "
        "around AS ({around}), "
        "best AS (SELECT DISTINCT ON (a.id) a.id, a.rank, a.by, a.value, max(a.seen) OVER () AS seen FROM around AS a "
        "ORDER BY a.id, a.rank, a.by) "
        "SELECT o.id, o.rank, '', '', 0::bigint FROM own AS o UNION ALL "
        "(SELECT b.id, b.rank, b.by, b.value, b.seen FROM best AS b ORDER BY b.rank, b.id LIMIT {most}); END",
        roles,
        name=name,
        owners=MY_OWNERS if listed is _MINE else sql.SQL("NULL"),
        own=union.join([*own, numbers, number] if personal else [number]),
        around=union.join(around),
        most=_MOST,
    )


def _between(key: sql.Composable, at: int) -> sql.Composable:
    """A range of the b-tree, as db/search.py `between`; the indexes leave out who has nothing there."""
    return sql.SQL(
        "starts[{at}] <> '' AND {key} <> '' AND {key} >= starts[{at}] AND {key} < starts[{at}] || chr(1114111)"
    ).format(key=key, at=sql.Literal(at))


def _own(column: str, at: int, listed: sql.Composable) -> sql.Composable:
    key = sql.Identifier("c", column)
    return sql.SQL(
        "(SELECT c.id, least(1, length({key}) - length(starts[{at}])) AS rank FROM customers AS c "
        "WHERE {between} AND {listed} ORDER BY {key} LIMIT {most})"
    ).format(key=key, at=sql.Literal(at), between=_between(key, at), listed=listed, most=_MOST)


def _around_contacts(column: str, at: int, listed: sql.Composable) -> sql.Composable:
    key = sql.Identifier("p", column)
    return sql.SQL(
        "SELECT s.*, count(*) OVER () AS seen FROM (SELECT p.customer_id AS id, "
        "least(1, length({key}) - length(starts[{at}])) AS rank, 'contact' AS by, p.name AS value "
        "FROM contacts AS p JOIN customers AS c ON c.id = p.customer_id WHERE {between} AND {listed} "
        "ORDER BY {key} LIMIT {most}) AS s"
    ).format(key=key, at=sql.Literal(at), between=_between(key, at), listed=listed, most=_MOST)


def _around_tags(listed: sql.Composable) -> sql.Composable:
    return sql.SQL(
        "SELECT s.*, count(*) OVER (PARTITION BY begins) AS seen FROM unnest(tags) AS begins CROSS JOIN LATERAL "
        "(SELECT t.customer_id AS id, 2 AS rank, 'tag' AS by, t.tag AS value FROM customer_tags AS t "
        "JOIN customers AS c ON c.id = t.customer_id WHERE t.tag_key >= begins AND t.tag_key < begins || chr(1114111) "
        "AND {listed} ORDER BY t.tag_key LIMIT {most}) AS s"
    ).format(listed=listed, most=_MOST)


def _ranked(name: str, owned: sql.Composable, roles: str) -> Iterator[str]:
    """Hits of a search, best first and then by the last purchase."""
    yield from definer(
        "{name}(hits bigint[], ranks integer[], skipped integer, most integer) "
        "RETURNS TABLE (id bigint) LANGUAGE plpgsql STABLE",
        "#variable_conflict use_column\n"
        "DECLARE owners bigint[] := {owners}; BEGIN RETURN QUERY "
        "SELECT s.id FROM (SELECT h.id, h.rank, m.last_order_on FROM unnest(hits, ranks) AS h (id, rank) "
        "LEFT JOIN customer_metrics AS m ON m.customer_id = h.id "
        "ORDER BY h.rank, m.last_order_on DESC NULLS LAST, h.id OFFSET skipped LIMIT most) AS s {owned} "
        "ORDER BY s.rank, s.last_order_on DESC NULLS LAST, s.id; END",
        roles,
        name=name,
        owners=MY_OWNERS,
        owned=owned,
    )
