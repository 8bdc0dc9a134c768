"""Who may do what: role × permission, the scope of each role, and the viewer every query runs as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from db.errors import Refused
from db.words import N_, _


class Role(StrEnum):
    """The five kinds of people; the two last are Kehu's own processes and nobody can be given them."""

    SALES = "sales"
    MANAGER = "manager"
    ANALYST = "analyst"
    MARKETER = "marketer"
    ADMIN = "admin"
    GATE = "gate"
    WORKER = "worker"


class Permission(StrEnum):
    """`resource:action`, alphabetical. Each screen, command and public query names the one it needs."""

    ACCOUNT_EDIT = "account:edit"
    CAMPAIGNS_EDIT = "campaigns:edit"
    CAMPAIGNS_READ = "campaigns:read"
    CHANGES_READ = "changes:read"
    CHANGES_UNDO = "changes:undo"
    CUSTOMERS_ASSIGN = "customers:assign"
    CUSTOMERS_EDIT = "customers:edit"
    CUSTOMERS_EXPORT = "customers:export"
    CUSTOMERS_READ = "customers:read"
    DEFINITIONS_EDIT = "definitions:edit"
    DEMO_LOAD = "demo:load"
    FIELDS_EDIT = "fields:edit"
    METRICS_REFRESH = "metrics:refresh"
    OVERVIEW_READ = "overview:read"
    PERSONAL_READ = "personal:read"
    SEGMENTS_EDIT = "segments:edit"
    SEGMENTS_READ = "segments:read"
    SESSIONS_CHECK = "sessions:check"
    TASKS_EDIT = "tasks:edit"
    TASKS_READ = "tasks:read"
    USERS_MANAGE = "users:manage"
    USERS_READ = "users:read"
    VIEWS_EDIT = "views:edit"


P = Permission
_EVERYONE = {
    P.ACCOUNT_EDIT,
    P.CAMPAIGNS_READ,
    P.CHANGES_UNDO,
    P.CUSTOMERS_READ,
    P.OVERVIEW_READ,
    P.SEGMENTS_EDIT,
    P.SEGMENTS_READ,
    P.USERS_READ,
    P.VIEWS_EDIT,
}
_EDITORS = _EVERYONE | {
    P.CUSTOMERS_ASSIGN,
    P.CUSTOMERS_EDIT,
    P.CUSTOMERS_EXPORT,
    P.PERSONAL_READ,
    P.TASKS_EDIT,
    P.TASKS_READ,
}

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.SALES: frozenset(_EDITORS),
    Role.MANAGER: frozenset(_EDITORS | {P.CAMPAIGNS_EDIT, P.CHANGES_READ}),
    Role.ANALYST: frozenset(_EVERYONE | {P.CUSTOMERS_EXPORT}),
    Role.MARKETER: frozenset(_EVERYONE | {P.CAMPAIGNS_EDIT}),
    Role.ADMIN: frozenset(
        _EDITORS | {P.CAMPAIGNS_EDIT, P.CHANGES_READ, P.USERS_MANAGE, P.DEFINITIONS_EDIT, P.DEMO_LOAD, P.FIELDS_EDIT}
    ),
    Role.GATE: frozenset({P.SESSIONS_CHECK}),
    Role.WORKER: frozenset({P.CHANGES_READ, P.CUSTOMERS_READ, P.DEMO_LOAD, P.METRICS_REFRESH, P.USERS_MANAGE}),
}

# What each permission allows, and whose customers each role sees: the screen and the manual print these.
MEANINGS: Mapping[Permission, str] = {
    P.ACCOUNT_EDIT: N_("change one's own password and language, end one's own sessions"),
    P.CAMPAIGNS_EDIT: N_("start campaigns from segments"),
    P.CAMPAIGNS_READ: N_("see campaigns and whom they reached"),
    P.CHANGES_READ: N_("see who changed what, as a list of all changes"),
    P.CHANGES_UNDO: N_("take changes back (with the right to the original command)"),
    P.CUSTOMERS_ASSIGN: N_("hand customers over to another owner"),
    P.CUSTOMERS_EDIT: N_("add, edit and archive customers, log calls, write notes"),
    P.CUSTOMERS_EXPORT: N_("export the list of customers"),
    P.CUSTOMERS_READ: N_("see customers, their figures and purchases"),
    P.DEFINITIONS_EDIT: N_("set the rules of the stages and the bounds of the scores"),
    P.DEMO_LOAD: N_("load the demo data into an empty database"),
    P.FIELDS_EDIT: N_("add fields to customers, change, order and archive them"),
    P.METRICS_REFRESH: N_("add up the derived figures"),
    P.OVERVIEW_READ: N_("see the overview"),
    P.PERSONAL_READ: N_("see names, companies, contacts, addresses, notes and files"),
    P.SEGMENTS_EDIT: N_("keep, share and change segments of one's own"),
    P.SEGMENTS_READ: N_("build segments, see one's own and the shared ones"),
    P.SESSIONS_CHECK: N_("check sign-ins and sessions"),
    P.TASKS_EDIT: N_("add, edit, finish and postpone tasks"),
    P.TASKS_READ: N_("see tasks and the day's screen"),
    P.USERS_MANAGE: N_("add users, give roles and teams, issue links, sign users out"),
    P.USERS_READ: N_("see who owns which customer"),
    P.VIEWS_EDIT: N_("keep, share and change views of lists and boards of one's own, choose columns"),
}
SCOPES: Mapping[Role, str] = {
    Role.SALES: N_("the customers they own"),
    Role.MANAGER: N_("those of their team, their own, and those that nobody owns"),
    Role.ANALYST: N_("all customers, without names and contacts"),
    Role.MARKETER: N_("all customers, without names and contacts"),
    Role.ADMIN: N_("all customers"),
}
"""For the roles that people can have."""

# One database role per set of privileges: two kinds of people with the same row and column rights share one.
DATABASE_ROLE: dict[Role, str] = {
    Role.SALES: "kehu_scoped",
    Role.MANAGER: "kehu_scoped",
    Role.ANALYST: "kehu_masked",
    Role.MARKETER: "kehu_masked",
    Role.ADMIN: "kehu_admin",
    Role.GATE: "kehu_gate",
    Role.WORKER: "kehu_worker",
}
# What those write as who see masked rows only: their own segments, views and campaigns, and no customer.
WRITING_ROLE: dict[str, str] = {"kehu_masked": "kehu_author"}
SEARCH_PATH: dict[str, str] = {
    "kehu_author": "public",
    "kehu_scoped": "scoped, public",
    "kehu_masked": "masked, public",
    "kehu_admin": "public",
    "kehu_gate": "public",
    "kehu_worker": "public",
}

NOBODY = 0
"""The owner of a customer that nobody has taken: a row of `users` that cannot sign in."""


@dataclass(frozen=True)
class Viewer:
    """One person (or process) as the database sees them.

    `owner_ids` are the owners whose customers a scoped role may see: oneself for sales; the team and NOBODY for a
    manager; empty for the roles that see every row.
    """

    user_id: int
    username: str
    role: Role
    owner_ids: tuple[int, ...] = ()

    def can(self, permission: Permission) -> bool:
        """True when the role has been granted the permission."""
        return permission in GRANTS[self.role]

    def require(self, permission: Permission) -> None:
        """Raise `Refused` unless the role has the permission."""
        if not self.can(permission):
            raise Refused(
                _("Your role ({role}) does not include this ({permission}). Ask an administrator.").format(
                    role=self.role, permission=permission
                )
            )

    @property
    def scoped(self) -> bool:
        """True when row-level security limits this viewer to `owner_ids`."""
        return DATABASE_ROLE[self.role] == "kehu_scoped"

    @property
    def masked(self) -> bool:
        """True when personal columns are withheld from this viewer by the database."""
        return DATABASE_ROLE[self.role] == "kehu_masked"

    @property
    def scope(self) -> tuple[str, tuple[int, ...]]:
        """What decides which rows and columns are visible: the part of a cache key that keeps viewers apart."""
        return (DATABASE_ROLE[self.role], tuple(sorted(self.owner_ids)))


GATE = Viewer(NOBODY, "gate", Role.GATE)
"""Sign-in before anybody is known: users and sessions, nothing else."""

WORKER = Viewer(NOBODY, "worker", Role.WORKER)
"""Background jobs and loads."""
