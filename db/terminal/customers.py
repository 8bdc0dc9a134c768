"""Commands over customers and their figures: search, said, customer, overview."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from datetime import date
from typing import Any

from sqlalchemy import Connection

from db import clock, customer, customers, definitions, full_text, lifecycle, overview, settings, text, users
from db.connection import begin
from db.customer_filters import Filters
from db.errors import Invalid, NotFound
from db.metrics import METRICS, N_, STAGE_NAMES, Stage
from db.permissions import Permission, Viewer
from db.terminal import output as out
from db.terminal import segment_source
from db.terminal.command import SOURCE, Command, Usage, day, number, up_to, viewer_of
from db.terminal.output import Output
from db.words import _

MOST_FOUND = 500

# --- customers -------------------------------------------------------------------------------------------------------


def _search_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "text", metavar="TEXT", help=_("name, pinyin, e-mail, phone or number; '' lists everybody by name")
    )
    parser.add_argument(
        "--limit", metavar="N", type=up_to(MOST_FOUND), default=20, help=_("rows at most (by default 20; 500 at most)")
    )
    parser.add_argument(
        "--field",
        metavar="KEY=ASKED",
        action="append",
        default=[],
        help=_("by a custom field, once or more: has:WORDS, is:WORDS, LOW..HIGH, in:A,B, yes, no, none, any"),
    )
    segment_source.options(parser)


def _search(args: Namespace) -> Output:
    if args.text and not text.match_key(args.text):
        raise Invalid(_("There is nothing to search by in this text."))
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        kept = settings.get(conn)
        today = clock.today(kept.time_zone)
        own = tuple(_pairs("--field", args.field).items())
        filters = Filters(search=args.text, own=own, segment=segment_source.code(args))
        found = customers.page(conn, viewer=viewer, today=today, filters=filters, limit=args.limit)
    rows = out.records(found.rows)
    data = {"rows": rows, "total": found.total, "more": found.more}
    if not rows:
        return Output(data, _("No customer matches. Try another spelling."))
    listed = out.table(
        {
            _("Number"): [str(row["id"]) for row in rows],
            _("Name"): [row["name"] for row in rows],
            _("Company"): [row["company"] for row in rows],
            _("Phone"): [row["phone"] for row in rows],
            _("E-mail"): [row["email"] for row in rows],
            _("Region"): [row["region"] for row in rows],
            _("Owner"): [row["owner"] or _("Nobody") for row in rows],
            _("Stage"): [_(STAGE_NAMES[Stage(row["stage"])]) for row in rows],
            _("Orders"): [out.number(row["orders"]) for row in rows],
            _("Revenue"): [out.money(row["revenue"], kept.currency) for row in rows],
            _("Last order"): [out.day(row["last_order_on"]) for row in rows],
        },
        right=(_("Number"), _("Orders"), _("Revenue")),
    )
    of = _("{n} of more than {total}") if found.more else _("{n} of {total}")
    total = found.total - 1 if found.more else found.total
    return Output(data, f"{listed}\n\n" + of.format(n=out.number(len(rows)), total=out.number(total)))


def _said_options(parser: ArgumentParser) -> None:
    parser.add_argument("text", metavar="TEXT", help=_("words from a note, a call, a mail, a task or a file's name"))
    parser.add_argument("--part", choices=list(full_text.PARTS), default="", help=_("only one kind"))
    parser.add_argument(
        "--limit",
        metavar="N",
        type=up_to(full_text.MOST_ROWS),
        default=full_text.PAGE,
        help=_("rows at most (by default {n}; {most} at most)").format(n=full_text.PAGE, most=full_text.MOST_ROWS),
    )


def _said(args: Namespace) -> Output:
    if not text.match_key(args.text):
        raise Invalid(_("There is nothing to search by in this text."))
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        zone = settings.get(conn).time_zone
        found = full_text.find(conn, viewer=viewer, words=args.text, part=args.part, limit=args.limit)
    if found.left_out:
        raise Invalid(_("This took too long and was stopped. Type a rarer word, or choose where to look."))
    rows = out.records(found.rows)
    data = {"rows": rows, "total": found.total, "more": found.more}
    if not rows:
        return Output(data, _("Nobody wrote this. Try fewer words, or another part of them."))
    listed = out.table(
        {
            _("When"): [out.instant(row["written_at"], zone) for row in rows],
            _("Number"): [str(row["customer_id"]) for row in rows],
            _("Name"): [row["customer"] for row in rows],
            _("Who"): [row["who"] for row in rows],
            _("Title"): [row["title"] for row in rows],
            _("Text"): [f"{row['before']}{row['hit']}{row['after']}" for row in rows],
        },
        right=(_("Number"),),
    )
    of = _("{n} of more than {total}") if found.more else _("{n} of {total}")
    return Output(data, f"{listed}\n\n" + of.format(n=out.number(len(rows)), total=out.number(found.total)))


def _customer_options(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=number, help=_("the customer's number"))
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help=_("save a field, once or more: {fields}").format(fields=", ".join(customer.FIELDS)),
    )
    parser.add_argument("--note", metavar="TEXT", help=_("add a note"))
    parser.add_argument("--assign", metavar="USERNAME", help=_("hand the customer over; - leaves it to nobody"))


def _customer(args: Namespace) -> Output:
    values = _pairs("--set", args.set)
    viewer = viewer_of(args)
    made: list[int] = []
    with begin(viewer, write=bool(values) or args.note is not None or args.assign is not None) as conn:
        kept = settings.get(conn)
        today = clock.today(kept.time_zone)
        one = customer.get(conn, viewer=viewer, customer_id=args.id, today=today)
        command: dict[str, Any] = {"actor": viewer, "source": SOURCE}
        if values:
            saved = customer.save(conn, customer_id=one.id, version=one.version, values=values, **command)
            made += [saved.change_set_id] if saved.change_set_id else []
        if args.note is not None:
            made.append(customer.add_note(conn, customer_id=one.id, body=args.note, **command))
        if made:
            one = customer.get(conn, viewer=viewer, customer_id=one.id, today=today)
        if args.assign is not None:
            owner_id, owner = users.named(conn, viewer=viewer, username=args.assign)
            made.append(customer.assign(conn, customer_ids=[one.id], owner_id=owner_id, **command))
            one = _handed_over(conn, viewer, one, owner_id, owner, today)
    data = dataclasses.asdict(one) | {"currency": kept.currency, "change_set_ids": made}
    said = _profile(one, kept, hidden=viewer.masked)
    if made:
        said += "\n\n" + _("Saved. To take it back: {commands}").format(commands=_undo_commands(made))
    elif values:
        said += "\n\n" + _("Nothing was changed: the values stood there already.")
    return Output(data, said)


def _handed_over(
    conn: Connection, viewer: Viewer, one: customer.Customer, owner_id: int, owner: str, today: date
) -> customer.Customer:
    """The customer afterwards; as it was, with its new owner, when that is out of the viewer's sight."""
    try:
        return customer.get(conn, viewer=viewer, customer_id=one.id, today=today)
    except NotFound:
        return dataclasses.replace(one, owner_id=owner_id, owner=owner)


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    """What stands before and after the first = of each."""
    values: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            example = "--field tier=in:gold" if option == "--field" else "--set phone='138 0013 8000'"
            raise Usage(
                _("{option} takes a field, = and a value, as in {example}.").format(option=option, example=example)
            )
        if name in values:
            raise Usage(_("{option} names {field} twice.").format(option=option, field=name))
        values[name] = value
    return values


def _profile(one: customer.Customer, kept: settings.Settings, *, hidden: bool) -> str:
    withheld = _("hidden from your role")
    contact = {
        _("Company"): one.company,
        _("E-mail"): one.email,
        _("Phone"): one.phone,
        _("Address"): one.address,
    }
    known = {
        _("Age"): one.age_band,
        _("Income"): one.income_band,
        _("Home"): one.home_ownership,
        _("Marital status"): one.marital_status,
        _("Household size"): one.household_size,
        _("Household"): one.household_kind,
        _("Children"): one.children,
    }
    basket = one.revenue / (one.orders - one.other_currency_orders) if one.orders > one.other_currency_orders else None
    parts = [
        out.line(
            one.name if hidden else f"{one.name} #{one.id}",
            _(STAGE_NAMES[Stage(one.stage)]),
            _("Owner: {name}").format(name=one.owner or _("Nobody")),
            _("Archived") if one.archived_at else "",
        ),
        out.fields(
            {
                _("Orders"): out.number(one.orders),
                _("Revenue"): out.money(one.revenue, kept.currency),
                _("Average basket"): out.money(basket, kept.currency),
                _("First order"): out.day(one.first_order_on),
                _("Last order"): out.day(one.last_order_on),
                **{name: withheld if hidden else value for name, value in contact.items()},
                _("City"): one.city,
                _("Region"): one.region,
                _("Source"): one.source,
                **{name: value for name, value in known.items() if value},
            }
        ),
    ]
    if one.other_currency_orders:
        parts.append(_other_currencies(one.other_currency_orders))
    return "\n\n".join(parts)


def _other_currencies(n: int) -> str:
    return _("{n} orders in other currencies are not in the revenue.").format(n=out.number(n))


def _undo_commands(made: list[int]) -> str:
    return "; ".join(f"python -m db undo {set_id}" for set_id in reversed(made))


# --- figures ---------------------------------------------------------------------------------------------------------


def _overview_options(parser: ArgumentParser) -> None:
    parser.add_argument("--from", metavar="DAY", dest="start", type=day, help=_("first day (by default all days)"))
    parser.add_argument("--to", metavar="DAY", dest="end", type=day, help=_("last day"))
    parser.add_argument("--region", metavar="REGION", default="", help=_("one region"))


def _overview(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        kept = settings.get(conn)
        if args.region:
            _check_region(customers.regions(conn, viewer=viewer), args.region)
        shown = overview.overview(
            conn,
            viewer=viewer,
            today=clock.today(kept.time_zone),
            currency=kept.currency,
            start=args.start,
            end=args.end,
            region=args.region,
        )
        number, rules = definitions.stages_in_force(conn)
    stages = out.records(shown.stages)
    campaigns = out.records(shown.campaigns)
    data = {
        "from": shown.period.start,
        "to": shown.period.end,
        "currency": shown.currency,
        **{key: shown.figures[key].value for key in METRICS},
        "other_currency_orders": shown.other_currency_orders,
        "stages": {row["stage"]: row["customers"] for row in stages},
        "stages_version": number,
        "campaigns": campaigns,
        "waiting_since": shown.waiting_since,
    }
    return Output(data, _figures(shown, args.region, stages, campaigns, (number, rules)))


def _check_region(known: list[str], region: str) -> None:
    if region not in known:
        problem = _("There is no region “{region}”. Regions: {known}.").format(region=region, known=", ".join(known))
        raise Invalid(problem, fields={"region": problem})


def _figures(
    shown: overview.Overview,
    region: str,
    stages: list[dict[str, Any]],
    campaigns: list[dict[str, Any]],
    in_force: tuple[int, lifecycle.StageRules],
) -> str:
    number, said = in_force[0], lifecycle.said(in_force[1])
    waiting = _("changes are still being added up") if shown.waiting_since else _("up to date")
    listed = [(metric, shown.figures[key]) for key, metric in METRICS.items()]
    compared = any(figure.before is not None for _metric, figure in listed)
    parts = [
        out.line(_("Overview"), out.days(shown.period.start, shown.period.end), region or _("All regions"), waiting),
        out.table(
            {
                _("Figure"): [_(metric.name) for metric, _figure in listed],
                _("Value"): [out.figure(figure.value, metric.unit, shown.currency) for metric, figure in listed],
                _("Period before"): [
                    out.figure(figure.before, metric.unit, shown.currency) if compared else ""
                    for metric, figure in listed
                ],
            },
            right=(_("Value"), _("Period before")),
        ),
    ]
    if shown.other_currency_orders:
        parts.append(_other_currencies(shown.other_currency_orders))
    parts.append(
        out.table(
            {
                _("Stage"): [_(STAGE_NAMES[Stage(row["stage"])]) for row in stages],
                _("Customers"): [out.number(row["customers"]) for row in stages],
                _("Revenue"): [out.money(row["revenue"], shown.currency) for row in stages],
                _("Rule"): [said[Stage(row["stage"])] for row in stages],
            },
            right=(_("Customers"), _("Revenue")),
        )
    )
    parts.append(_("Stages by version {n} of the rules.").format(n=number))
    if campaigns:
        parts.append(
            out.table(
                {
                    _("Campaign"): [row["campaign"] for row in campaigns],
                    _("Days"): [out.days(row["starts_on"], row["ends_on"]) for row in campaigns],
                    _("Reached"): [out.number(row["reached"]) for row in campaigns],
                    _("Redeemers"): [out.number(row["redeemers"]) for row in campaigns],
                },
                right=(_("Reached"), _("Redeemers")),
            )
        )
    return "\n\n".join(parts)


COMMANDS = (
    Command("search", N_("find customers"), (Permission.CUSTOMERS_READ,), _search_options, _search),
    Command("said", N_("search in what was written"), (Permission.PERSONAL_READ,), _said_options, _said),
    Command(
        "customer",
        N_("one customer: profile and figures; edit, add a note, hand over"),
        (Permission.CUSTOMERS_READ, Permission.CUSTOMERS_EDIT, Permission.CUSTOMERS_ASSIGN),
        _customer_options,
        _customer,
    ),
    Command("overview", N_("the figures of a period"), (Permission.OVERVIEW_READ,), _overview_options, _overview),
)
