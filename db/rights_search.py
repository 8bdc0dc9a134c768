"""Functions that search all customers, and what was written of them, by trigram and give back what the viewer may see.

LIKE is not leakproof, so under a policy its index would go unused: these run as the owner of the schema, with the
viewer's owners as a condition of their own. All conditions are written into the statement, each value quoted, so that
the planner knows how much they leave.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from db.rights_sql import MY_OWNERS, definer

_MOST_NEAR = sql.Literal(8)

# Whoever sees few customers has them all looked through; the index of everybody's would find more than that. For the
# others the owner is compared row by row: an index of owners would find more than the words do.
_MINE = sql.SQL(
    "owners := {owners}; "
    "SELECT count(*) <= 5000 INTO few FROM (SELECT FROM public.customers AS c WHERE c.owner_id = ANY(owners) "
    "LIMIT 5001) AS s; "
    "mine := ' AND c.archived_at IS NULL AND c.owner_id' || CASE WHEN few THEN '' ELSE ' + 0' END "
    "|| format(' = ANY(%L::bigint[])', owners); "
    "looked := CASE WHEN few THEN '(c.search_text || '''')' ELSE 'c.search_text' END;"
).format(owners=MY_OWNERS)
_EVERYBODY = sql.SQL("mine := ' AND c.archived_at IS NULL'; looked := 'c.search_text';")
_DECLARED = sql.SQL("DECLARE held text; owners bigint[]; mine text; few boolean; looked text;")


def functions() -> Iterator[str]:
    """For the roles that see all customers and for those that see their own; and the words that both know."""
    yield from definer(
        # A word and what is left of it without one of its letters: two words that share one of these are a slip apart
        # (Garbe, SymSpell, 2012).
        "word_variants(of_word text) RETURNS text[] LANGUAGE sql IMMUTABLE",
        "SELECT array_agg(DISTINCT CASE WHEN i = 0 THEN of_word ELSE overlay(of_word PLACING '' FROM i FOR 1) END) "
        "FROM generate_series(0, length(of_word)) AS i",
        "kehu_worker",
    )
    yield from definer(
        "learn_words(of_customers bigint[]) RETURNS void LANGUAGE sql",
        "INSERT INTO search_words (word, variants) SELECT w.word, word_variants(w.word) FROM (SELECT DISTINCT word "
        "FROM customers AS c CROSS JOIN LATERAL string_to_table(c.search_text, ' ') AS word "
        "WHERE c.id = ANY(of_customers)) AS w WHERE w.word ~ '^[a-z]{{4,24}}$' ON CONFLICT DO NOTHING",
        "kehu_scoped, kehu_admin, kehu_worker",
    )
    yield from definer(
        # An index range of each owner; of one who has more than a share of the latest, some may be missing.
        "latest_buyers_scoped(most integer) RETURNS TABLE (id bigint, day date) LANGUAGE sql STABLE",
        "WITH mine AS (SELECT {owners} AS owners) SELECT m.customer_id, m.last_order_on FROM mine "
        "CROSS JOIN LATERAL unnest(mine.owners) AS o (id) CROSS JOIN LATERAL (SELECT n.customer_id, n.last_order_on "
        "FROM customer_metrics AS n WHERE n.rolled_owner_id = o.id AND n.last_order_on IS NOT NULL "
        "ORDER BY n.last_order_on DESC LIMIT 3 * most / cardinality(mine.owners) + 1) AS m "
        "ORDER BY m.last_order_on DESC LIMIT most",
        "kehu_scoped",
        owners=MY_OWNERS,
    )
    yield from definer(
        # Hits of a search, best first and then by the last purchase; through its view each figure would be asked for.
        "customers_ranked_scoped(hits bigint[], ranks integer[], skipped integer, most integer) "
        "RETURNS TABLE (id bigint) LANGUAGE sql STABLE",
        "SELECT h.id FROM unnest(hits, ranks) AS h (id, rank) JOIN customers AS c ON c.id = h.id "
        "AND c.owner_id = ANY({owners}) LEFT JOIN customer_metrics AS m ON m.customer_id = h.id "
        "ORDER BY h.rank, m.last_order_on DESC NULLS LAST, h.id OFFSET skipped LIMIT most",
        "kehu_scoped",
        owners=MY_OWNERS,
    )
    yield from _containing("customers_containing_scoped", _MINE, "kehu_scoped")
    yield from _containing("customers_containing_all", _EVERYBODY, "kehu_admin, kehu_worker")
    yield from _similar("customers_similar_scoped", _MINE, "kehu_scoped")
    yield from _similar("customers_similar_all", _EVERYBODY, "kehu_admin, kehu_worker")
    yield from _written(
        "written_scoped", sql.SQL("format(' AND c.owner_id = ANY(%L::bigint[])', {})").format(MY_OWNERS), "kehu_scoped"
    )
    yield from _written("written_all", sql.SQL("''"), "kehu_admin, kehu_worker")


def _containing(name: str, owned: sql.Composable, roles: str) -> Iterator[str]:
    """Rank 2 for who has every word where one begins (patterns `starts`), 3 for who has them inside (`inside`).

    `whole` are the words that are longer than their patterns.
    """
    yield from definer(
        "{name}(starts text[], inside text[], whole text[], most integer) RETURNS TABLE (id bigint, rank integer) "
        "LANGUAGE plpgsql STABLE",
        "{declared} begun text; found bigint[]; got integer; BEGIN {owned} mine := mine || coalesce("
        "(SELECT string_agg(format(' AND strpos(c.search_text, %L) > 0', w), '') FROM unnest(whole) AS w), ''); "
        "SELECT string_agg(format('%s LIKE %L', looked, p), ' AND ') INTO begun FROM unnest(starts) AS p; "
        "SELECT string_agg(format('%s LIKE %L', looked, p), ' AND ') INTO held FROM unnest(inside) AS p; "
        # Several words seldom leave too many: one look at the index then says both.
        "IF cardinality(inside) > 1 THEN "
        "RETURN QUERY EXECUTE 'SELECT c.id, CASE WHEN ' || begun || ' THEN 2 ELSE 3 END FROM public.customers AS c "
        "WHERE ' || held || mine || ' LIMIT ' || most; "
        "GET DIAGNOSTICS got = ROW_COUNT; IF got < most OR inside = starts THEN RETURN; END IF; END IF; "
        "EXECUTE 'SELECT array_agg(s.id) FROM (SELECT c.id FROM public.customers AS c WHERE ' || begun || mine || "
        "' LIMIT ' || most || ') AS s' INTO found; "
        "RETURN QUERY SELECT f, 2 FROM unnest(found) AS f; "
        "IF inside <> starts AND coalesce(cardinality(found), 0) < most AND got IS NULL THEN "
        "RETURN QUERY EXECUTE 'SELECT c.id, 3 FROM public.customers AS c WHERE ' || held || mine || "
        "' AND c.id <> ALL(coalesce($1, ''{{}}'')) LIMIT ' || most USING found; END IF; END",
        roles,
        name=name,
        owned=owned,
        declared=_DECLARED,
    )


def _similar(name: str, owned: sql.Composable, roles: str) -> Iterator[str]:
    """Who has, for each word, one that begins with it or with a known word that is a slip away.

    A word that is known as it stands is taken as meant; only if that leads nowhere it may be a slip too.
    """
    yield from definer(
        "{name}(words text[], most integer) RETURNS TABLE (id bigint) LANGUAGE plpgsql STABLE",
        "{declared} trusting boolean; BEGIN {owned} "
        "FOREACH trusting IN ARRAY ARRAY[true, false] LOOP "
        "SELECT string_agg('(' || one.tried || ')', ' AND ') INTO held FROM unnest(words) AS w CROSS JOIN LATERAL "
        # Eight letters are looked up, the rest is compared: more trigrams cost time and hardly narrow.
        "(SELECT string_agg(format('(%s LIKE %L AND strpos(c.search_text, %L) > 0)', looked, "
        r"'% ' || regexp_replace(left(k.word, 8), '([\\%_])', '\\\1', 'g') || '%', ' ' || k.word), ' OR ') AS tried "
        "FROM (WITH near AS (SELECT v.word FROM public.search_words AS v WHERE w ~ '^[a-z]{{4,24}}$' "
        "AND v.variants && public.word_variants(w) ORDER BY abs(length(v.word) - length(w)), v.word LIMIT {near}), "
        "known AS (SELECT FROM public.search_words AS k WHERE k.word = w) "
        "SELECT near.word FROM near WHERE near.word <> w AND NOT (trusting AND EXISTS (SELECT FROM known)) "
        "UNION ALL SELECT w WHERE EXISTS (SELECT FROM known) OR NOT EXISTS (SELECT FROM near)) AS k) AS one; "
        "RETURN QUERY EXECUTE 'SELECT c.id FROM public.customers AS c WHERE ' || held || mine || ' LIMIT ' || most; "
        "IF FOUND THEN RETURN; END IF; END LOOP; END",
        roles,
        name=name,
        owned=owned,
        declared=_DECLARED,
        near=_MOST_NEAR,
    )


def _written(name: str, owned: sql.Composable, roles: str) -> Iterator[str]:
    """What people wrote that holds all the patterns `inside`, of each part the newest `most`.

    `whole` are the words that are longer than their patterns.
    """
    yield from definer(
        "{name}(parts text[], inside text[], whole text[], most integer) RETURNS TABLE "
        "(part text, customer_id bigint, id bigint, written_at timestamptz) LANGUAGE plpgsql STABLE",
        "DECLARE one record; held text := {owned} || "
        "(SELECT string_agg(format(' AND t.search_text LIKE %L', p), '') FROM unnest(inside) AS p) || coalesce("
        "(SELECT string_agg(format(' AND strpos(t.search_text, %L) > 0', w), '') FROM unnest(whole) AS w), ''); "
        "BEGIN IF held IS NULL THEN RETURN; END IF; "
        "FOR one IN SELECT v.* FROM (VALUES ('talks', 'interactions', 'happened_at', 't.happened_on DESC, '), "
        "('notes', 'notes', 'created_at', ''), ('tasks', 'tasks', 'created_at', ''), "
        "('files', 'attachments', 'created_at', '')) AS v (called, kept_in, moment, days) WHERE v.called = ANY(parts) "
        "LOOP RETURN QUERY EXECUTE format('SELECT %L, t.customer_id, t.id, t.%I FROM public.%I AS t "
        "JOIN public.customers AS c ON c.id = t.customer_id WHERE c.archived_at IS NULL', "
        "one.called, one.moment, one.kept_in) || held || format(' ORDER BY %st.%I DESC LIMIT %s', "
        "one.days, one.moment, most); END LOOP; END",
        roles,
        name=name,
        owned=owned,
    )
