"""Commands for those who run Kehu: the schema, the demo, the users."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from sqlalchemy import Connection

from db import passwords, sessions, settings, users
from db.connection import begin
from db.errors import Conflict, NotFound
from db.metrics import N_
from db.permissions import GATE, WORKER, Permission, Role, Viewer
from db.terminal import output as out
from db.terminal.command import SOURCE, Command, Usage, asked, day, no_options, number, role, roles, up_to, viewer_of
from db.terminal.output import Output
from db.words import _

# --- the database ----------------------------------------------------------------------------------------------------


def _migrate(args: Namespace) -> Output:
    from db import migrate

    if hasattr(args, "viewer"):
        raise Usage(_("migrate runs as the owner of the database: leave out --as."))
    before, now = migrate.migrate()
    if before == now:
        said = _("The schema is up to date: {revision}.").format(revision=now)
    else:
        said = _("The schema was brought from {before} to {now}.").format(before=before or _("nothing"), now=now)
    return Output({"before": before, "now": now}, said)


def _demo_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--if-empty",
        action="store_true",
        help=_("do nothing, silently, when there is data already or DATABASE_URL names a server of your own"),
    )


def _demo(args: Namespace) -> Output:
    nothing = {"loaded": False, "counts": {}, "shift_days": None, "first_day": None, "last_day": None}
    if args.if_empty and os.environ.get("DATABASE_URL"):
        return Output(nothing, "")
    (viewer_of(args) if asked(args) else WORKER).require(Permission.DEMO_LOAD)
    from db import demo, migrate

    try:
        loaded = demo.load(progress=_progress())
        if loaded.loaded:
            migrate.analyze()
    except Conflict as error:
        if args.if_empty and "table" in error.details:
            return Output(nothing, "")
        raise
    data = {k: v for k, v in vars(loaded).items() if k != "seconds"}
    if not loaded.loaded:
        return Output(data, "" if args.if_empty else _("The demo is loaded already."))
    said = _("{customers} customers and {orders} orders from {first} to {last}; the days of 2017 moved by {days}.")
    return Output(
        data,
        said.format(
            customers=out.number(loaded.counts["customers"]),
            orders=out.number(loaded.counts["orders"]),
            first=out.day(loaded.first_day),
            last=out.day(loaded.last_day),
            days=out.number(loaded.shift_days),
        ),
    )


def _bench_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--customers", metavar="N", type=up_to(10_000_000), required=True, help=_("customers, at most 10,000,000")
    )
    parser.add_argument("--seed", metavar="N", type=number, default=1, help=_("another seed gives other rows (1)"))
    parser.add_argument("--until", metavar="DAY", type=day, default=None, help=_("the last day with orders (today)"))
    parser.add_argument(
        "--orders", metavar="N", type=up_to(20), default=10, help=_("for each customer, at most 20 (10)")
    )
    parser.add_argument("--dry-run", action="store_true", help=_("say how large it would be, and load nothing"))


def _bench_data(args: Namespace) -> Output:
    (viewer_of(args) if asked(args) else WORKER).require(Permission.DEMO_LOAD)
    from db import bench_data

    plan = bench_data.planned(args.customers, seed=args.seed, last_day=args.until, orders=args.orders)
    if args.dry_run:
        about = bench_data.about(plan)
        said = _("About {orders} orders and {events} events; {size} GB, about a minute for each 100,000 customers.")
        gigabytes = f"{about.bytes / 1e9:.1f}"
        known = {"orders": out.number(about.counts["orders"]), "events": out.number(about.counts["events"])}
        return Output({"loaded": False, **vars(about)}, said.format(**known, size=gigabytes))
    loaded = bench_data.load(plan, progress=_progress())
    said = _("{customers} customers, {orders} orders and {events} events in {seconds} seconds; {size} GB.")
    known = {key: out.number(loaded.counts[key]) for key in ("customers", "orders", "events")}
    sizes = {"seconds": out.number(round(loaded.seconds)), "size": f"{loaded.bytes / 1e9:.1f}"}
    return Output({"loaded": True, **vars(loaded)}, said.format(**known, **sizes))


def _progress() -> Callable[[float, str], None]:
    """On a terminal one line that is written over; in a log a line for each new sentence and each tenth part."""
    said: set[tuple[str, int]] = set()

    def tell(done: float, sentence: str) -> None:
        line = f"{done:4.0%}  {sentence}"
        step = (re.sub(r"[\d,.]+", "", sentence), int(done * 10))
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="\n" if done >= 1 else "", file=sys.stderr, flush=True)
        elif step not in said:
            print(line, file=sys.stderr, flush=True)
        said.add(step)

    return tell


# --- users -----------------------------------------------------------------------------------------------------------


def _users_list(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        found, more = users.everyone(conn, viewer=viewer)
        zone = settings.get(conn).time_zone
    states = {users.State.LOCKED: _("locked"), users.State.DEACTIVATED: _("deactivated")}
    said = out.table(
        {
            _("User name"): [u.username for u in found],
            _("Name"): [u.name for u in found],
            _("Role"): [u.role for u in found],
            _("Team"): [u.team for u in found],
            _("E-mail"): [u.email for u in found],
            _("Last visit"): [out.instant(u.seen_at, zone) for u in found],
            _("State"): [states.get(u.state, "") for u in found],
        }
    )
    return Output({"users": [vars(u) for u in found], "more": more}, said)


def _url_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--url", metavar="URL", help=_("where people reach Kehu (KEHU_URL; by default http://localhost:8501)")
    )


def _who(parser: ArgumentParser) -> None:
    parser.add_argument("username", metavar="USERNAME", help=_("the user name"))


def _add_options(parser: ArgumentParser) -> None:
    _who(parser)
    parser.add_argument(
        "--role", metavar="ROLE", type=role, required=True, help=_("one of {roles}").format(roles=roles())
    )
    parser.add_argument("--name", metavar="NAME", default="", help=_("the person's name"))
    parser.add_argument("--team", metavar="TEAM", default="", help=_("the team; made when it is not there yet"))
    parser.add_argument("--email", metavar="EMAIL", default="", help=_("the person's e-mail address"))
    _url_option(parser)


def _users_add(args: Namespace) -> Output:
    base = _base_url(args)
    try:
        actor = viewer_of(args)
    except NotFound:
        # The first administrator cannot be added by one.
        if asked(args) or args.role is not Role.ADMIN:
            raise
        actor = WORKER
    with begin(actor, write=True) as conn:
        user_id, set_id = users.add(
            conn,
            actor=actor,
            username=args.username,
            role=args.role,
            name=args.name,
            team=args.team,
            email=args.email,
            source=SOURCE,
        )
    return _with_link(actor, base, user_id, args, set_id)


def _with_link(actor: Viewer, base: str, user_id: int, args: Namespace, set_id: int | None) -> Output:
    with begin(GATE, write=True) as conn:
        token = passwords.create_link(conn, actor=actor, user_id=user_id)
    link = f"{base}/?link={token}"
    seen_by = viewer_of(args)
    with begin(seen_by) as conn:
        user = users.get(conn, viewer=seen_by, username=args.username)
    said = _("{name} chooses a password here, once and within {days} days:").format(
        name=user.username, days=passwords.LINK_LIFE.days
    )
    return Output({"user": vars(user), "change_set_id": set_id, "link": link}, f"{said}\n{link}")


def _base_url(args: Namespace) -> str:
    base = args.url or os.environ.get("KEHU_URL") or f"http://localhost:{os.environ.get('KEHU_PORT') or 8501}"
    if not base.startswith(("http://", "https://")) or any(c.isspace() for c in base):
        raise Usage(_("The address of Kehu begins with http:// or https://."))
    return str(base).rstrip("/")


def _link_options(parser: ArgumentParser) -> None:
    _who(parser)
    _url_option(parser)


def _users_link(args: Namespace) -> Output:
    base = _base_url(args)
    actor = viewer_of(args)
    with begin(actor) as conn:
        user = users.get(conn, viewer=actor, username=args.username)
    return _with_link(actor, base, user.id, args, None)


def _role_options(parser: ArgumentParser) -> None:
    _who(parser)
    parser.add_argument("role", metavar="ROLE", type=role, help=_("one of {roles}").format(roles=roles()))
    parser.add_argument(
        "--team", metavar="TEAM", help=_("the team, made when it is not there yet; '' for none (by default it stays)")
    )


def _users_role(args: Namespace) -> Output:
    def change(conn: Connection, actor: Viewer, user_id: int) -> int:
        return users.change(conn, actor=actor, user_id=user_id, role=args.role, team=args.team, source=SOURCE)

    return _on_user(args, change, _("{name} is {role} now.").format(name="{name}", role=args.role))


def _users_activate(args: Namespace) -> Output:
    def activate(conn: Connection, actor: Viewer, user_id: int) -> int:
        return users.set_active(conn, actor=actor, user_id=user_id, active=True, source=SOURCE)

    return _on_user(args, activate, _("{name} may sign in again."))


def _users_deactivate(args: Namespace) -> Output:
    def deactivate(conn: Connection, actor: Viewer, user_id: int) -> int:
        return users.set_active(conn, actor=actor, user_id=user_id, active=False, source=SOURCE)

    # Signed out too, so that no old session lives again with the user.
    return _on_user(args, deactivate, _("{name} is signed out and can no longer sign in."), sign_out=True)


def _users_signout(args: Namespace) -> Output:
    return _on_user(args, None, _("{name} is signed out everywhere."), sign_out=True)


def _users_unlock(args: Namespace) -> Output:
    actor = viewer_of(args)
    with begin(actor) as conn:
        user = users.get(conn, viewer=actor, username=args.username)
    with begin(GATE, write=True) as conn:
        passwords.unlock(conn, actor=actor, user_id=user.id)
    return _on_user(args, None, _("{name} may try again at once."))


def _on_user(
    args: Namespace,
    command: Callable[[Connection, Viewer, int], int] | None,
    said: str,
    *,
    sign_out: bool = False,
) -> Output:
    actor = viewer_of(args)
    set_id = None
    with begin(actor, write=command is not None) as conn:
        user = users.get(conn, viewer=actor, username=args.username)
        if command:
            set_id = command(conn, actor, user.id)
            user = users.get(conn, viewer=actor, username=args.username)
    if sign_out:
        with begin(GATE, write=True) as conn:
            sessions.end_all(conn, actor=actor, user_id=user.id)
    return Output({"user": vars(user), "change_set_id": set_id}, said.format(name=user.username))


_USERS = (Permission.USERS_MANAGE,)

COMMANDS = (
    Command("migrate", N_("bring the database's schema up to date"), (), no_options, _migrate),
    Command("demo", N_("load the demo data into an empty database"), (Permission.DEMO_LOAD,), _demo_options, _demo),
    Command(
        "bench-data",
        N_("load a synthetic company of any size into an empty database, to measure it"),
        (Permission.DEMO_LOAD,),
        _bench_options,
        _bench_data,
    ),
    Command("users list", N_("everybody who may sign in"), _USERS, no_options, _users_list),
    Command("users add", N_("add a user, who chooses a password by a link"), _USERS, _add_options, _users_add),
    Command("users link", N_("a new link for choosing a password"), _USERS, _link_options, _users_link),
    Command("users role", N_("give a user another role or team"), _USERS, _role_options, _users_role),
    Command("users deactivate", N_("sign a user out and keep them out"), _USERS, _who, _users_deactivate),
    Command("users activate", N_("let a deactivated user in again"), _USERS, _who, _users_activate),
    Command("users signout", N_("end all sessions of a user"), _USERS, _who, _users_signout),
    Command("users unlock", N_("let a user whose name is locked try again"), _USERS, _who, _users_unlock),
)
