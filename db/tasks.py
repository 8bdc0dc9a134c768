"""Tasks: what is to be done with a customer, by whom and until when; lists by day, and commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, case, func, literal, select

from db import changes, clock, schema, text, written
from db.errors import Conflict, Invalid, NotFound
from db.permissions import NOBODY, Permission, Role, Viewer
from db.schema_around import PRIORITIES, TASK_KINDS
from db.sessions import team_ids, viewer_of
from db.task_words import BUCKETS, FIRST_DAY, LAST_DAY, LATELY_DAYS, MOST_BODY, MOST_TITLE, SOON_DAYS
from db.words import _

PAGE = 20
MOST_ROWS = 500
FIELDS = ("title", "body", "kind", "due_on", "due_time", "priority", "assignee_id")
"""What a form may hold."""

FIRST_INSTANT = datetime.combine(FIRST_DAY, time(), UTC)

_t = schema.tasks.c


@dataclass(frozen=True)
class Page:
    """Rows of a list, and how many tasks each bucket of it holds, exactly.

    Columns: customer_id, id, version, title, body, kind, due_on, due_time, priority, assignee_id, assignee, author,
    done_at, customer, phone, owner_id, bucket.
    """

    rows: pd.DataFrame
    totals: Mapping[str, int]


# --- lists -----------------------------------------------------------------------------------------------------------


def mine(
    conn: Connection, *, viewer: Viewer, today: date, bucket: str = "", offset: int = 0, limit: int = PAGE
) -> Page:
    """The viewer's own tasks, of one bucket or all open ones, the most urgent first. Raises Invalid."""
    viewer.require(Permission.TASKS_READ)
    return _page(conn, [_t.assignee_id == viewer.user_id], today, bucket, offset, limit)


def team(
    conn: Connection,
    *,
    viewer: Viewer,
    today: date,
    assignee_id: int | None = None,
    bucket: str = "",
    offset: int = 0,
    limit: int = PAGE,
) -> Page:
    """The tasks at all customers that the viewer sees, whoever has them, or those of one person. Raises Invalid."""
    viewer.require(Permission.TASKS_READ)
    whose = [_t.assignee_id == assignee_id] if assignee_id is not None else []
    return _page(conn, whose, today, bucket, offset, limit)


def of_customer(
    conn: Connection, *, viewer: Viewer, customer_id: int, today: date, bucket: str = "", limit: int = MOST_ROWS
) -> Page:
    """The tasks of one customer, whoever has them; the archived one's too. Bucket done holds all that was finished."""
    viewer.require(Permission.TASKS_READ)
    where = [_t.customer_id == (customer_id if customer_id <= changes.LARGEST_ID else -1)]
    return _page(conn, where, today, bucket, 0, limit, everything=True)


def assignees(conn: Connection, *, viewer: Viewer, customer_id: int) -> dict[int, str]:
    """Who can be given a task at this customer, id → name: the active users who see the customer and work on tasks."""
    viewer.require(Permission.TASKS_READ)
    c = schema.customers.c
    owner = select(c.owner_id).where(c.id == (customer_id if customer_id <= changes.LARGEST_ID else -1))
    return _who_may(conn, owner.scalar_subquery())


def _page(
    conn: Connection,
    whose: list[ColumnElement[bool]],
    today: date,
    bucket: str,
    offset: int,
    limit: int,
    *,
    everything: bool = False,
) -> Page:
    """`everything`: of archived customers too, and whatever was finished however long ago."""
    if bucket and bucket not in BUCKETS:
        raise Invalid(
            _("There is no “{value}” here. Possible: {known}.").format(value=bucket, known=", ".join(BUCKETS))
        )
    c, u = schema.customers.c, schema.users.c
    author = schema.users.alias("author")
    if not everything:
        # Few are archived: without them is cheaper to say than with the others, whom the view has looked at already.
        archived = select(literal(1)).where(c.id == _t.customer_id, c.archived_at.is_not(None))
        whose = [*whose, ~archived.exists()]
    since = FIRST_INSTANT if everything else clock.now() - timedelta(days=LATELY_DAYS)
    opened, done = [*whose, _t.done_at.is_(None)], [*whose, _t.done_at >= since]
    parts = _parts(today)
    counted = [func.count().filter(condition).label(name) for name, condition in parts.items()]
    open_counts = select(*counted).select_from(schema.tasks).where(*opened).subquery()
    finished = select(func.count()).select_from(schema.tasks).where(*done).scalar_subquery().label("done")
    totals = conn.execute(select(*open_counts.c, finished)).one()._mapping
    named = case((_t.done_at.is_not(None), "done"), *((condition, name) for name, condition in parts.items())).label(
        "bucket"
    )
    own = (_t.customer_id, _t.id, _t.version, _t.title, _t.body, _t.kind, _t.due_on, _t.due_time, _t.priority)
    listed: Select[Any] = select(*own, _t.assignee_id, _t.author_id, _t.done_at, named, _urgency().label("urgency"))
    if bucket == "done":
        listed = listed.where(*done).order_by(_t.done_at.desc(), _t.id.desc())
    else:
        narrowed = [*opened, parts[bucket]] if bucket else opened
        listed = listed.where(*narrowed).order_by(*_urgent_first(_t, _urgency()))
    # Names are looked up for the page alone.
    page = listed.offset(max(0, offset)).limit(max(1, min(limit, MOST_ROWS))).subquery("page").c
    of_page: Select[Any] = (
        select(
            *(page[column.name] for column in own),
            *(page.assignee_id, u.name.label("assignee"), author.c.name.label("author"), page.done_at),
            *(c.name.label("customer"), c.phone, c.owner_id, page.bucket),
        )
        .select_from(
            page.id.table.join(schema.customers, c.id == page.customer_id)
            .join(schema.users, u.id == page.assignee_id)
            .join(author, author.c.id == page.author_id)
        )
        .order_by(*([page.done_at.desc(), page.id.desc()] if bucket == "done" else _urgent_first(page, page.urgency)))
    )
    rows = conn.execute(of_page)
    frame = pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))
    return Page(frame, {name: int(totals[name]) for name in BUCKETS})


def _urgent_first(of: Any, urgency: ColumnElement[int]) -> list[ColumnElement[Any]]:
    return [of.due_on.asc().nulls_last(), of.due_time.asc().nulls_last(), urgency, of.id]


def _parts(today: date) -> dict[str, ColumnElement[bool]]:
    """Bucket → which open tasks it holds."""
    soon = today + timedelta(days=SOON_DAYS)
    return {
        "overdue": _t.due_on < today,
        "today": _t.due_on == today,
        "soon": (_t.due_on > today) & (_t.due_on <= soon),
        "later": _t.due_on > soon,
        "no_day": _t.due_on.is_(None),
    }


def _urgency() -> ColumnElement[int]:
    return case((_t.priority == "high", 0), (_t.priority == "normal", 1), else_=2)


# --- commands --------------------------------------------------------------------------------------------------------


def add(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    title: str,
    kind: str = "todo",
    due_on: date | None = None,
    due_time: time | None = None,
    priority: str = "normal",
    assignee_id: int | None = None,
    body: str = "",
    source: str = "screen",
    screen: str = "",
) -> int:
    """Keep what is to be done, by the actor unless said otherwise; gives the change set id.

    Raises Invalid with a sentence for each field that cannot be accepted, NotFound, Refused.
    """
    actor.require(Permission.TASKS_EDIT)
    owner_id = _owner(conn, customer_id)
    row = {
        "title": text.clean(title),
        "body": text.clean(body, multiline=True),
        "kind": kind,
        "due_on": due_on,
        "due_time": due_time,
        "priority": priority,
        "assignee_id": actor.user_id if assignee_id is None else assignee_id,
    }
    _check(row, conn, owner_id)
    set_id = _start(conn, actor, "task.add", source, screen)
    row |= {"customer_id": customer_id, "author_id": actor.user_id, **written.keys("tasks")(row)}
    changes.insert(conn, set_id, "tasks", [row])
    return set_id


def save(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    task_id: int,
    version: int,
    values: Mapping[str, Any],
    source: str = "screen",
    screen: str = "",
) -> int | None:
    """Save a form (of FIELDS) that was opened at `version`; gives the change set id, None when nothing differs.

    Raises Conflict with both sides (column, mine, theirs) when somebody else saved meanwhile, Invalid, NotFound,
    Refused. Who has the task already may keep it, even when they see the customer no longer.
    """
    actor.require(Permission.TASKS_EDIT)
    unknown = set(values) - set(FIELDS)
    if unknown:
        raise Invalid(_("Unknown field: {name}.").format(name=", ".join(sorted(unknown))))
    owner_id = _owner(conn, customer_id)
    now = _locked(conn, customer_id, task_id)
    given = {c: text.clean(v, multiline=c == "body") if c in ("title", "body") else v for c, v in values.items()}
    patch = {c: v for c, v in given.items() if v != now[c]}
    if int(now["version"]) != version and patch:
        raise Conflict(
            _("Somebody changed this task while you were editing. Nothing was saved: close this and open it again."),
            rows=[{"column": c, "mine": v, "theirs": now[c]} for c, v in patch.items()],
            version=now["version"],
        )
    if not patch:
        return None
    _check(patch, conn, owner_id)
    if patch.get("due_on", now["due_on"]) is None and patch.get("due_time", now["due_time"]) is not None:
        raise _timeless()
    set_id = _start(conn, actor, "task.save", source, screen)
    derived = {c: v for c, v in written.keys("tasks")({**now, **patch}).items() if now[c] != v}
    changes.update(conn, set_id, "tasks", [{"customer_id": customer_id, "id": task_id, **patch, **derived}])
    return set_id


def finish(
    conn: Connection, *, actor: Viewer, customer_id: int, task_id: int, source: str = "screen", screen: str = ""
) -> int:
    """It is done, now and by the actor; gives the change set id. Raises Invalid when it is already, NotFound."""
    actor.require(Permission.TASKS_EDIT)
    if _locked(conn, customer_id, task_id)["done_at"] is not None:
        raise Invalid(_("This task is done already."))
    patch = {"done_at": clock.now(), "done_by_id": actor.user_id}
    return _patched(conn, actor, "task.finish", customer_id, task_id, patch, source, screen)


def reopen(
    conn: Connection, *, actor: Viewer, customer_id: int, task_id: int, source: str = "screen", screen: str = ""
) -> int:
    """It is not done after all; gives the change set id. Raises Invalid when it is open, NotFound."""
    actor.require(Permission.TASKS_EDIT)
    if _locked(conn, customer_id, task_id)["done_at"] is None:
        raise Invalid(_("This task is not done yet."))
    patch = {"done_at": None, "done_by_id": None}
    return _patched(conn, actor, "task.reopen", customer_id, task_id, patch, source, screen)


def postpone(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    task_id: int,
    due_on: date,
    source: str = "screen",
    screen: str = "",
) -> int:
    """Put an open task on another day; gives the change set id. Raises Invalid, NotFound."""
    actor.require(Permission.TASKS_EDIT)
    now = _locked(conn, customer_id, task_id)
    if now["done_at"] is not None:
        raise Invalid(_("This task is done already."))
    if now["due_on"] == due_on:
        raise Invalid(_("The task stands on this day already."))
    _check({"due_on": due_on}, conn, NOBODY)
    return _patched(conn, actor, "task.postpone", customer_id, task_id, {"due_on": due_on}, source, screen)


def delete(
    conn: Connection, *, actor: Viewer, customer_id: int, task_id: int, source: str = "screen", screen: str = ""
) -> int:
    """Delete one (undo brings it back with its id); gives the change set id. Raises NotFound, Refused."""
    actor.require(Permission.TASKS_EDIT)
    _locked(conn, customer_id, task_id)
    set_id = _start(conn, actor, "task.delete", source, screen)
    changes.delete(conn, set_id, "tasks", [{"customer_id": customer_id, "id": task_id}])
    return set_id


def _check(row: Mapping[str, Any], conn: Connection, owner_id: int) -> None:
    """Raise Invalid with what is wrong, a sentence for each field that is there."""
    found: dict[str, str] = {}
    for name, known in (("kind", TASK_KINDS), ("priority", PRIORITIES)):
        if name in row and row[name] not in known:
            listed = ", ".join(known)
            found[name] = _("There is no “{value}” here. Possible: {known}.").format(value=row[name], known=listed)
    for name, most in (("title", MOST_TITLE), ("body", MOST_BODY)):
        length = len(row.get(name, ""))
        if length > most:
            found[name] = _("{n} characters are too many; at most {most}.").format(n=f"{length:,}", most=f"{most:,}")
    if "title" in row and not row["title"]:
        found["title"] = _("Say in a few words what is to be done.")
    day = row.get("due_on")
    if day is not None and not FIRST_DAY <= day <= LAST_DAY:
        found["due_on"] = _("A day between {first} and {last}.").format(first=FIRST_DAY.year, last=LAST_DAY.year)
    if "assignee_id" in row and row["assignee_id"] not in _who_may(conn, owner_id):
        found["assignee_id"] = _("Choose somebody who is active and sees this customer.")
    if found:
        raise Invalid(_("Some fields need another look."), fields=found)
    if {"due_on", "due_time"} <= row.keys() and day is None and row["due_time"] is not None:
        raise _timeless()


def _timeless() -> Invalid:
    return Invalid(_("Some fields need another look."), fields={"due_time": _("A time needs a day.")})


def _who_may(conn: Connection, owner: int | ScalarSelect[int]) -> dict[int, str]:
    """Id → name of the active users whose own scope includes the customers of this owner, by name; none without one."""
    u = schema.users.c
    whose = (literal(owner) if isinstance(owner, int) else owner).label("owner_id")
    active = conn.execute(
        select(u.id, u.username, u.name, u.role, team_ids(), whose)
        .where(u.active, u.id != NOBODY)
        .select_from(schema.users)
    )
    found = []
    for user_id, username, name, role, members, owner_id in active:
        seer = viewer_of(user_id, username, Role(role), members)
        if owner_id is None or not seer.can(Permission.TASKS_EDIT):
            continue
        if not seer.scoped or owner_id in seer.owner_ids:
            found.append((text.sort_key(name or username), user_id, name or username))
    return {user_id: name for _key, user_id, name in sorted(found)}


def _owner(conn: Connection, customer_id: int) -> int:
    """The customer's owner; locked until the commit, so that neither it nor the customer is gone by then."""
    c = schema.customers.c
    found = None
    if customer_id <= changes.LARGEST_ID:
        found = conn.scalar(select(c.owner_id).where(c.id == customer_id).with_for_update())
    if found is None:
        raise NotFound(_("There is no customer {id} that you may see.").format(id=customer_id))
    return int(found)


def _locked(conn: Connection, customer_id: int, task_id: int) -> dict[str, Any]:
    """The task as it is now, locked until the commit."""
    found = None
    if max(customer_id, task_id) <= changes.LARGEST_ID:
        query = select(schema.tasks).where(_t.customer_id == customer_id, _t.id == task_id).with_for_update()
        found = conn.execute(query).mappings().first()
    if found is None:
        raise NotFound(_("There is no task {id} that you may see; it may have been deleted.").format(id=task_id))
    return dict(found)


def _patched(
    conn: Connection,
    actor: Viewer,
    command: str,
    customer_id: int,
    task_id: int,
    patch: Mapping[str, Any],
    source: str,
    screen: str,
) -> int:
    set_id = _start(conn, actor, command, source, screen)
    changes.update(conn, set_id, "tasks", [{"customer_id": customer_id, "id": task_id, **patch}])
    return set_id


def _start(conn: Connection, actor: Viewer, command: str, source: str, screen: str) -> int:
    return changes.start(
        conn, actor=actor, command=command, permission=Permission.TASKS_EDIT, source=source, screen=screen
    )
