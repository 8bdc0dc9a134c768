"""Functions that search all customers, and what was written of them, by trigram and give back what the viewer may see.

LIKE is not leakproof, so under a policy its index would go unused: these run as the owner of the schema, with the
viewer's owners as a condition of their own. All conditions are written into the statement, each value quoted, so that
the planner knows how much they leave.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from db.rights_sql import MY_OWNERS, definer

_TEXTS = sql.Literal("SELECT c.customer_id AS id, c.search_text FROM public.customer_texts AS c WHERE c.listed")
_MOST_NEAR = sql.Literal(8)

_MOST_PARTS = sql.Literal(2)
_MOST_JOINED = sql.Literal(16)

# Whoever sees few customers, of so many, has them all looked through: the index of everybody's would find more. For the
# others the owner is compared row by row in the copy of the texts.
_MINE = sql.SQL(
    "owners := {owners}; "
    "share := (SELECT greatest(5000, reltuples / 250) FROM pg_class WHERE oid = 'public.customers'::regclass); "
    "SELECT count(*) <= share INTO few FROM (SELECT FROM public.customers AS c WHERE c.owner_id = ANY(owners) "
    "LIMIT share + 1) AS s; "
    "IF few THEN texts := 'SELECT c.id, c.search_text FROM public.customers AS c WHERE c.archived_at IS NULL'; "
    "ELSE texts := {texts}; END IF; "
    "mine := format(' AND c.owner_id = ANY(%L::bigint[])', owners); "
).format(owners=MY_OWNERS, texts=_TEXTS)
_EVERYBODY = sql.SQL("few := false; texts := {texts}; mine := ''; ").format(texts=_TEXTS)
_DECLARED = sql.SQL("DECLARE owners bigint[]; texts text; mine text; few boolean; share bigint; ")
# As no index has it: what is found by parts is compared as a whole.
_WHOLE = sql.Literal("(c.search_text || '')")


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
        # What searches look into follows the customers: called by whoever wrote them, in the same transaction.
        "keep_texts(of_customers bigint[]) RETURNS void LANGUAGE sql",
        "DELETE FROM customer_texts AS t WHERE t.customer_id = ANY(of_customers) "
        "AND NOT EXISTS (SELECT FROM customers AS c WHERE c.id = t.customer_id); "
        "UPDATE customer_texts AS t SET owner_id = c.owner_id, listed = c.archived_at IS NULL, "
        "search_text = c.search_text FROM customers AS c WHERE c.id = ANY(of_customers) AND t.customer_id = c.id "
        "AND (t.owner_id, t.listed, t.search_text) "
        "IS DISTINCT FROM (c.owner_id, c.archived_at IS NULL, c.search_text); "
        "INSERT INTO customer_texts (customer_id, owner_id, listed, search_text) "
        "SELECT c.id, c.owner_id, c.archived_at IS NULL, c.search_text FROM customers AS c "
        "WHERE c.id = ANY(of_customers) AND NOT EXISTS (SELECT FROM customer_texts AS t WHERE t.customer_id = c.id)",
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
        # Where search texts may be looked up for a word: its rarest parts, since a frequent one (com, ing) costs much
        # and narrows little.
        "search_parts_of(of_word text) RETURNS text LANGUAGE plpgsql STABLE",
        "BEGIN RETURN (SELECT string_agg(format('c.search_text LIKE %L', '%' || s.part || '%'), ' AND ') FROM "
        "(SELECT p.part FROM (SELECT DISTINCT substr(of_word, i, 3) AS part "
        "FROM generate_series(1, length(of_word) - 2) AS i) AS p LEFT JOIN search_parts AS k ON k.part = p.part "
        "WHERE p.part ~ '^[a-z0-9]{{3}}$' ORDER BY coalesce(k.customers, 0), p.part LIMIT {parts}) AS s); END",
        "kehu_worker",
        parts=_MOST_PARTS,
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

    Looked up are the rarest parts of `words` and the patterns `held`, or `begun` where words begin; `compared` are the
    patterns that then still have to hold.
    """
    yield from definer(
        "{name}(starts text[], inside text[], words text[], held text[], begun text[], compared text[], most integer) "
        "RETURNS TABLE (id bigint, rank integer) LANGUAGE plpgsql STABLE",
        "{declared} starting text; parts text; looked text; ids bigint[]; ranks integer[]; BEGIN {owned} "
        "SELECT string_agg(format(' AND %s LIKE %L', {whole}, p), '') INTO starting FROM unnest(starts) AS p; "
        "IF few THEN "
        "SELECT string_agg(format(' AND %s LIKE %L', {whole}, p), '') INTO looked FROM unnest(inside) AS p; "
        "ELSE SELECT string_agg(' AND ' || search_parts_of(w), '') INTO parts FROM unnest(words) AS w; "
        "SELECT concat(parts, (SELECT string_agg(format(' AND c.search_text LIKE %L', p), '') FROM unnest(held) AS p), "
        "(SELECT string_agg(format(' AND %s LIKE %L', {whole}, p), '') FROM unnest(compared) AS p)) INTO looked; "
        "END IF; "
        "EXECUTE 'SELECT array_agg(c.id), array_agg(' || CASE WHEN starts = inside THEN '2' "
        "ELSE 'CASE WHEN true' || starting || ' THEN 2 ELSE 3 END' END || ') FROM (' || texts || looked || mine "
        "|| ' LIMIT ' || most || ') AS c' INTO ids, ranks; "
        # So many hold it that those where a word begins may be missing: they are looked for by themselves.
        "IF cardinality(ids) >= most AND 3 = ANY(ranks) THEN IF NOT few THEN "
        "SELECT concat(parts, string_agg(format(' AND c.search_text LIKE %L', p), '')) INTO looked "
        "FROM unnest(begun) AS p; END IF; "
        "RETURN QUERY EXECUTE 'SELECT c.id, 2 FROM (' || texts || looked || starting || mine "
        "|| ' LIMIT ' || most || ') AS c'; END IF; "
        "RETURN QUERY SELECT * FROM unnest(ids, ranks); END",
        roles,
        name=name,
        owned=owned,
        declared=_DECLARED,
        whole=_WHOLE,
    )


def _similar(name: str, owned: sql.Composable, roles: str) -> Iterator[str]:
    """Who has, for each word, one that begins with it or with a known word that is a slip away.

    A word that is known as it stands is taken as meant; only if that leads nowhere it may be a slip too.
    """
    yield from definer(
        "{name}(words text[], most integer) RETURNS TABLE (id bigint) LANGUAGE plpgsql STABLE",
        "{declared} held text; trusting boolean; meant text; tried text[]; every text[]; wide boolean; "
        "known boolean := EXISTS (SELECT FROM public.search_words AS k WHERE k.word = ANY(words)); BEGIN {owned} "
        "FOREACH trusting IN ARRAY ARRAY[true, false] LOOP every := NULL; held := NULL; wide := false; "
        "FOREACH meant IN ARRAY words LOOP "
        # One known word is looked up as a whole: of the parts of names in pinyin most are frequent. Several narrow more
        # by their parts together.
        "WITH near AS (SELECT v.word FROM public.search_words AS v WHERE meant ~ '^[a-z]{{4,24}}$' "
        "AND v.variants && public.word_variants(meant) "
        "ORDER BY abs(length(v.word) - length(meant)), v.word LIMIT {near}), "
        "known AS (SELECT FROM public.search_words AS k WHERE k.word = meant), "
        "k AS (SELECT near.word, cardinality(words) = 1 AS whole FROM near "
        "WHERE near.word <> meant AND NOT (trusting AND EXISTS (SELECT FROM known)) "
        "UNION ALL SELECT meant, false WHERE EXISTS (SELECT FROM known) OR NOT EXISTS (SELECT FROM near)) "
        "SELECT array_agg(t.held) INTO tried FROM ("
        "SELECT format('string_to_array(c.search_text, '' '') && %L::text[]', array_agg(k.word)) AS held FROM k "
        "WHERE k.whole HAVING count(*) > 0 UNION ALL "
        "SELECT CASE WHEN few THEN '' ELSE coalesce(search_parts_of(k.word), format('c.search_text LIKE %L', "
        r"'% ' || regexp_replace(left(k.word, 8), '([\%_])', '\', 'g') || '%')) || ' AND ' END "
        "|| format('strpos(c.search_text, %L) > 0', ' ' || k.word) FROM k WHERE NOT k.whole) AS t; "
        "held := concat_ws(' AND ', held, '((' || array_to_string(tried, ') OR (') || '))'); "
        # Alternatives of whole conditions, as long as they are few: each is then one look at the index.
        "wide := wide OR coalesce(cardinality(every), 1) * cardinality(tried) > {joined}; "
        "IF wide THEN NULL; ELSIF every IS NULL THEN every := tried; "
        "ELSE SELECT array_agg(e || ' AND ' || t) INTO every FROM unnest(every) AS e CROSS JOIN unnest(tried) AS t; "
        "END IF; END LOOP; "
        "IF NOT wide THEN held := '((' || array_to_string(every, ') OR (') || '))'; END IF; "
        "RETURN QUERY EXECUTE 'SELECT c.id FROM (' || texts || ' AND ' || held || mine || ' LIMIT ' || most "
        "|| ') AS c'; "
        "IF FOUND OR NOT known THEN RETURN; END IF; END LOOP; END",
        roles,
        name=name,
        owned=owned,
        declared=_DECLARED,
        near=_MOST_NEAR,
        joined=_MOST_JOINED,
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
