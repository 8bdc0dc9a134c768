"""Many customers at once: handed over, tagged, archived, put back. One change set each, in steps within a transaction.

Which customers: those of a list of numbers, all that the filters of the list find, or all who fit a rule. They are read
again under the actor's rights when it is done; who is out of reach stays as they are, and so does what stands there
already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, exists, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from db import changes, clock, customer, customers, schema, search, segments, tags, undo
from db.connection import widen
from db.customer_filters import Filters
from db.errors import Conflict, Invalid
from db.permissions import NOBODY, Permission, Viewer
from db.words import _

BATCH = 10_000
"""Customers of one step: between two of them progress is told, and the whole can be given up."""
MOST_NAMES = 10
MOST_CHANGED = undo.MOST_ROWS
"""Customers of one change: as many as can be taken back at once."""

ASSIGN, TAG, UNTAG, ARCHIVE, RESTORE = "assign", "tag", "untag", "archive", "restore"
ACTIONS = (ASSIGN, TAG, UNTAG, ARCHIVE, RESTORE)

Progress = Callable[[int, int], None]
"""Told (done, of how many) after each step; what it raises takes everything back."""


@dataclass(frozen=True)
class Chosen:
    """The customers of these numbers, all that the filters find, or all who fit a rule (JSON); neither is nobody."""

    ids: tuple[int, ...] = ()
    filters: Filters | None = None
    rule: str = ""

    @property
    def personal(self) -> bool:
        """As of filters."""
        return self.filters is not None and self.filters.personal


@dataclass(frozen=True)
class Action:
    """What is to be done; `owner_id` belongs to assign, `tag` to tag and untag."""

    kind: str
    owner_id: int | None = None
    tag: str = ""


@dataclass(frozen=True)
class Preview:
    """Of `total` chosen customers `changing` would change: the `names` of the first, by name.

    The others: `archived` are off the lists (or on them, where it is about putting back), `full` hold as many tags as
    they can, `standing` hold already what is to be set, `unseen` are not there or not the viewer's.
    """

    total: int
    changing: int
    names: tuple[str, ...]
    archived: int
    full: int
    standing: int
    unseen: int


@dataclass(frozen=True)
class Done:
    """The change set, and how many customers it changed."""

    change_set_id: int
    changed: int


def preview(conn: Connection, *, viewer: Viewer, today: date, chosen: Chosen, action: Action) -> Preview:
    """What `run` would do now. Raises Refused and Invalid as `run` does, but not for nothing to do."""
    viewer.require(_permission(action))
    _checked(conn, viewer, action)
    c = schema.customers.c
    ids = _ids(conn, viewer, today, chosen)
    listed = _listed(action)
    changes_it, full = _changing(action), _full(action)
    counted = select(
        func.count(),
        func.count().filter(listed),
        func.count().filter(and_(listed, changes_it, ~full)),
        func.count().filter(and_(listed, changes_it, full)),
    ).where(_among(ids))
    seen, on_lists, changing, filled = conn.execute(counted).one()
    first = select(c.name).where(_among(ids), listed, changes_it, ~full).order_by(c.sort_key, c.id).limit(MOST_NAMES)
    return Preview(
        total=len(ids),
        changing=changing,
        names=tuple(conn.scalars(first)),
        archived=seen - on_lists,
        full=filled,
        standing=on_lists - changing - filled,
        unseen=len(ids) - seen,
    )


def run(
    conn: Connection,
    *,
    actor: Viewer,
    today: date,
    chosen: Chosen,
    action: Action,
    expected: int | None = None,
    progress: Progress | None = None,
    source: str = "screen",
    screen: str = "",
) -> Done:
    """Do it to all of them, as one change set. `expected` is how many a preview said: more than that is a Conflict.

    Raises Refused, Invalid (nothing to change, too many, no such owner or tag), Conflict.
    """
    actor.require(_permission(action))
    given = _checked(conn, actor, action)
    c = schema.customers.c
    query = select(c.id).where(
        _among(_ids(conn, actor, today, chosen)), _listed(given), _changing(given), ~_full(given)
    )
    ids = conn.scalars(query.order_by(c.id)).all()
    if not ids:
        raise Invalid(_("None of these customers would change. Nothing was done."))
    if expected is not None and len(ids) > expected:
        raise Conflict(
            _("Meanwhile {n} customers would change, not {expected}. Look at the preview again.").format(
                n=f"{len(ids):,}", expected=f"{expected:,}"
            )
        )
    set_id = changes.start(
        conn, actor=actor, command=_COMMANDS[given.kind], permission=_permission(given), source=source, screen=screen
    )
    when = clock.now()
    changed = 0
    for at in range(0, len(ids), BATCH):
        step = ids[at : at + BATCH]
        # Who changed meanwhile, before the lock was ours, is looked at again.
        locked = conn.scalars(select(c.id).where(_among(step), _listed(given)).order_by(c.id).with_for_update()).all()
        changed += _do(conn, actor, set_id, given, locked, when)
        if progress:
            progress(min(at + BATCH, len(ids)), len(ids))
    if not changed:
        raise Invalid(_("None of these customers would change. Nothing was done."))
    return Done(set_id, changed)


_COMMANDS = {
    ASSIGN: "customer.assign",
    TAG: "tag.add",
    UNTAG: "tag.remove",
    ARCHIVE: "customer.archive",
    RESTORE: "customer.restore",
}


def _permission(action: Action) -> Permission:
    return Permission.CUSTOMERS_ASSIGN if action.kind == ASSIGN else Permission.CUSTOMERS_EDIT


def _checked(conn: Connection, viewer: Viewer, action: Action) -> Action:
    """The action with its tag as it is stored. Raises Invalid."""
    if action.kind not in ACTIONS:
        raise Invalid(
            _("There is no action “{value}”. Possible: {known}.").format(value=action.kind, known=", ".join(ACTIONS))
        )
    if action.kind == ASSIGN:
        if action.owner_id is None:
            raise Invalid(_("Choose a person."), fields={"owner_id": _("Choose a person.")})
        customer.check_owner(conn, action.owner_id, nobody=not viewer.scoped or NOBODY in viewer.owner_ids)
    if action.kind in (TAG, UNTAG):
        return Action(action.kind, tag=tags.spelled(conn, action.tag))
    return action


def _ids(conn: Connection, viewer: Viewer, today: date, chosen: Chosen) -> Sequence[int]:
    """The numbers of the chosen customers, whether there are such or not. Raises Invalid when they are too many."""
    c = schema.customers.c
    if chosen.rule:
        ids: Sequence[int] = segments.who(conn, viewer=viewer, rule=chosen.rule, today=today, limit=MOST_CHANGED + 1)
    elif chosen.filters is None:
        ids = sorted({i for i in chosen.ids if 0 < i <= changes.LARGEST_ID})
    else:
        found, more = customers.matching(conn, viewer, today, chosen.filters)
        if more:
            raise Invalid(
                _("This search has more than {most} hits. Narrow it, or use filters instead.").format(
                    most=f"{search.MOST_HITS:,}"
                )
            )
        ids = conn.scalars(found.with_only_columns(c.id).limit(MOST_CHANGED + 1)).all()
    if len(ids) > MOST_CHANGED:
        raise Invalid(
            _("These are more than {most} customers, the most that is changed at once. Narrow the filters.").format(
                most=f"{MOST_CHANGED:,}"
            )
        )
    return ids


def _among(ids: Sequence[int]) -> ColumnElement[bool]:
    """One array, not a parameter for each: a statement has at most 65,535."""
    wanted = func.unnest(literal(list(ids), ARRAY(BigInteger))).column_valued("wanted")
    return schema.customers.c.id.in_(select(wanted))


def _listed(action: Action) -> ColumnElement[bool]:
    """Only those on the lists are changed, and only those off them are put back."""
    archived_at = schema.customers.c.archived_at
    return archived_at.is_not(None) if action.kind == RESTORE else archived_at.is_(None)


def _changing(action: Action) -> ColumnElement[bool]:
    """Whether the customer does not hold already what is to be set."""
    c, t = schema.customers.c, schema.customer_tags.c
    if action.kind == ASSIGN:
        return c.owner_id != action.owner_id
    if action.kind in (TAG, UNTAG):
        tagged = exists().where(t.customer_id == c.id, t.tag_key == tags.key(action.tag))
        return ~tagged if action.kind == TAG else tagged
    return literal(True)


def _full(action: Action) -> ColumnElement[bool]:
    c, t = schema.customers.c, schema.customer_tags.c
    if action.kind != TAG:
        return literal(False)
    held = select(func.count()).where(t.customer_id == c.id).scalar_subquery()
    return held >= tags.MOST_TAGS


def _do(conn: Connection, actor: Viewer, set_id: int, action: Action, ids: Sequence[int], when: Any) -> int:
    """One step, for customers that are locked; gives how many changed."""
    t = schema.customer_tags.c
    if action.kind in (TAG, UNTAG):
        of_them = select(t.customer_id, t.id).where(
            t.customer_id.in_(select(func.unnest(literal(list(ids), ARRAY(BigInteger))).column_valued("wanted"))),
            t.tag_key == tags.key(action.tag),
        )
        tagged = {customer_id: tag_id for customer_id, tag_id in conn.execute(of_them)}
        if action.kind == UNTAG:
            rows: list[dict[str, Any]] = [{"customer_id": i, "id": tag_id} for i, tag_id in tagged.items()]
            return changes.delete(conn, set_id, "customer_tags", rows) if rows else 0
        rows = [tags.row(i, action.tag) for i in ids if i not in tagged]
        return len(changes.insert(conn, set_id, "customer_tags", rows)) if rows else 0
    if action.kind == ASSIGN:
        assert action.owner_id is not None
        if actor.scoped:
            widen(conn, actor, action.owner_id)
        changed = changes.update(conn, set_id, "customers", [{"id": i, "owner_id": action.owner_id} for i in ids])
        if actor.scoped:
            widen(conn, actor, actor.user_id)  # back to the actor's own scope, for the next step's lock
        return changed
    archived_at = when if action.kind == ARCHIVE else None
    return changes.update(conn, set_id, "customers", [{"id": i, "archived_at": archived_at} for i in ids])
