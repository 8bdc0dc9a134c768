"""Who can see one customer, and why: the scope that each user's own session would have, held against the owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from db import customers, schema, text
from db.changes import LARGEST_ID
from db.errors import NotFound
from db.permissions import NOBODY, Permission, Role, Viewer
from db.sessions import team_ids, viewer_of
from db.words import N_, _

MOST_SEEING = 200
MOST_FOUND = 20
MOST_DIGITS = 18

_users = schema.users.c
_teams = schema.teams.c


class Reason(StrEnum):
    """Why somebody sees a customer, in the order of lists."""

    OWNER = "owner"
    TEAM = "team"
    UNOWNED = "unowned"
    ADMIN = "admin"
    MASKED = "masked"


REASONS: Mapping[Reason, str] = {
    Reason.OWNER: N_("owns the customer"),
    Reason.TEAM: N_("manages the owner's team"),
    Reason.UNOWNED: N_("nobody owns the customer, and managers see those"),
    Reason.ADMIN: N_("sees everything, as an administrator"),
    Reason.MASKED: N_("sees all customers, without names and contacts"),
}


@dataclass(frozen=True)
class Sight:
    """One user who sees the customer."""

    user_id: int
    username: str
    name: str
    role: Role
    team: str
    reason: Reason
    may_edit: bool


@dataclass(frozen=True)
class Seen:
    """A customer, with the owner's team, and who sees it: the first ones of `total`, of `active` users in all."""

    customer_id: int
    name: str
    archived_at: datetime | None
    owner_id: int
    owner: str
    owner_active: bool
    team: str
    by: tuple[Sight, ...]
    total: int
    active: int


def candidates(conn: Connection, *, viewer: Viewer, today: date, words: str) -> dict[int, str]:
    """Number → name of the customers that somebody may mean: the one of this number, archived or not, then the best
    hits of a search, at most MOST_FOUND."""
    viewer.require(Permission.USERS_MANAGE)
    if not text.match_key(words):
        return {}
    hits = customers.search(conn, viewer=viewer, today=today, words=words, limit=MOST_FOUND).rows
    found = {int(number): str(name) for number, name in zip(hits["id"], hits["name"], strict=True)}
    typed = text.clean(words).removeprefix("#")
    if typed.isascii() and typed.isdecimal() and len(typed) <= MOST_DIGITS:
        c = schema.customers.c
        name = conn.scalar(select(c.name).where(c.id == int(typed)))
        if name is not None:
            found = {int(typed): name} | found
    return found


def of_customer(conn: Connection, *, viewer: Viewer, customer_id: int, limit: int = MOST_SEEING) -> Seen:
    """Who of the active users sees this customer, archived or not; by reason, then by name. Raises NotFound."""
    viewer.require(Permission.USERS_MANAGE)
    c = schema.customers.c
    asked = (
        select(c.name, c.archived_at, c.owner_id, _users.name, _users.active, _teams.name)
        .select_from(
            schema.customers.join(schema.users, _users.id == c.owner_id).outerjoin(
                schema.teams, _teams.id == _users.team_id
            )
        )
        .where(c.id == customer_id)
    )
    found = conn.execute(asked).one_or_none() if customer_id <= LARGEST_ID else None
    if found is None:
        raise NotFound(_("There is no customer {id} that you may see.").format(id=customer_id))
    name, archived_at, owner_id, owner, owner_active, team = found
    active = conn.execute(
        select(_users.id, _users.username, _users.name, _users.role, _teams.name, team_ids())
        .select_from(schema.users.outerjoin(schema.teams, _teams.id == _users.team_id))
        .where(_users.active, _users.id != NOBODY)
    ).all()
    by = []
    for user_id, username, person, role, their_team, members in active:
        seer = viewer_of(user_id, username, Role(role), members)
        reason = _reason(seer, owner_id)
        if reason:
            may_edit = seer.can(Permission.CUSTOMERS_EDIT)
            by.append(Sight(user_id, username, person or username, seer.role, their_team or "", reason, may_edit))
    order = list(Reason)
    by.sort(key=lambda one: (order.index(one.reason), text.sort_key(one.name), one.user_id))
    return Seen(
        customer_id,
        name,
        archived_at,
        owner_id,
        owner,
        owner_active,
        team or "",
        tuple(by[:limit]),
        len(by),
        len(active),
    )


def why(seer: Viewer, owner_id: int) -> str:
    """Why this viewer sees the customers of this owner, in words; '' when row-level security hides them."""
    reason = _reason(seer, owner_id)
    return _(REASONS[reason]) if reason else ""


def by_role(owner: str, team: str) -> str:
    """Who sees a customer, in a sentence that names nobody but the owner ('' for nobody): the roles, and the team."""
    if not owner:
        whose = _("Nobody owns this customer, so every manager sees it.")
    elif team:
        whose = _("{owner} ({team}) owns this customer; the managers of {team} see it too.").format(
            owner=owner, team=team
        )
    else:
        whose = _("{owner} owns this customer and is in no team, so no manager sees it.").format(owner=owner)
    others = _("So do administrators; analysts and marketers see it without names and contacts.")
    return f"{whose} {others}"


def _reason(seer: Viewer, owner_id: int) -> Reason | None:
    """Why this viewer sees the customers of this owner; None when row-level security hides them."""
    if not seer.scoped:
        return Reason.MASKED if seer.masked else Reason.ADMIN
    if owner_id not in seer.owner_ids:
        return None
    if owner_id == seer.user_id:
        return Reason.OWNER
    return Reason.UNOWNED if owner_id == NOBODY else Reason.TEAM
