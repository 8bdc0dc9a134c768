"""Commands over what stands around a customer: contacts, addresses, consents, tags."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Connection

from db import addresses, clock, consents, contacts, customer, settings, tags
from db.around_words import ADDRESS_NAMES, CHANNEL_NAMES, NOT_ASKED, STATE_NAMES
from db.connection import begin
from db.customer import Saved
from db.customer_rows import Form
from db.errors import NotFound
from db.permissions import Permission, Viewer
from db.schema_around import CHANNELS, CONSENT_STATES
from db.terminal import output as out
from db.terminal.command import SOURCE, Command, Usage, day, number, viewer_of
from db.terminal.output import Output
from db.words import N_, _

P = Permission
MIDDAY = time(12)


@dataclass(frozen=True)
class Around:
    """Rows below a customer that one form edits: the query functions, and how they are told to people."""

    form: Form
    listed: Callable[..., pd.DataFrame]
    add: Callable[..., tuple[int, int]]
    save: Callable[..., Saved]
    delete: Callable[..., int]
    columns: Callable[[list[dict[str, Any]], bool], dict[str, list[str]]]
    nothing: str


# --- contacts and addresses ------------------------------------------------------------------------------------------


def _contact_columns(rows: list[dict[str, Any]], hidden: bool) -> dict[str, list[str]]:
    withheld = _("hidden from your role")
    return {
        _("Name"): [withheld if hidden else row["name"] for row in rows],
        _("Job title"): [row["job_title"] for row in rows],
        _("Phone"): [row["phone"] for row in rows],
        _("E-mail"): [row["email"] for row in rows],
        _("WeChat"): [row["wechat"] for row in rows],
        _("Note"): [row["note"].replace("\n", " ") for row in rows],
    }


def _address_columns(rows: list[dict[str, Any]], hidden: bool) -> dict[str, list[str]]:
    withheld = _("hidden from your role")
    return {
        _("What for"): [_(ADDRESS_NAMES[row["kind"]]) for row in rows],
        _("Recipient"): [row["recipient"] for row in rows],
        _("Phone"): [row["phone"] for row in rows],
        _("Street and number"): [withheld if hidden else row["street"].replace("\n", ", ") for row in rows],
        _("Postcode"): [row["postcode"] for row in rows],
        _("City"): [row["city"] for row in rows],
        _("Region"): [row["region"] for row in rows],
        _("Country"): [row["country"] for row in rows],
    }


CONTACTS = Around(
    contacts.FORM,
    contacts.people,
    contacts.add,
    contacts.save,
    contacts.delete,
    _contact_columns,
    N_("This customer has no contacts yet."),
)
ADDRESSES = Around(
    addresses.FORM,
    addresses.places,
    addresses.add,
    addresses.save,
    addresses.delete,
    _address_columns,
    N_("This customer has no addresses yet."),
)


def _customer_options(parser: ArgumentParser) -> None:
    parser.add_argument("customer", metavar="ID", type=number, help=_("the customer's number"))


def _row_options(parser: ArgumentParser) -> None:
    _customer_options(parser)
    parser.add_argument("row", metavar="NUMBER", type=number, help=_("its number, as the list shows it"))


def _field_options(form: Form, before: Callable[[ArgumentParser], None]) -> Callable[[ArgumentParser], None]:
    """The options of a form: one for each of its fields, none of which is needed here; the form says what is."""
    told = {
        "kind": N_("what it is for"),
        "name": N_("the full name"),
        "job_title": N_("the job title"),
        "recipient": N_("the recipient"),
        "street": N_("street and number"),
        "phone": N_("the phone number"),
        "email": N_("the e-mail address"),
        "wechat": N_("the name at WeChat"),
        "note": N_("a note"),
        "city": N_("the city"),
        "region": N_("the region"),
        "postcode": N_("the postcode"),
        "country": N_("the country"),
    }

    def options(parser: ArgumentParser) -> None:
        before(parser)
        for name, known in form.choices.items():
            parser.add_argument(f"--{_dashed(name)}", choices=known, help=_(told[name]))
        for name in form.limits:
            parser.add_argument(f"--{_dashed(name)}", metavar="TEXT", help=_(told[name]))
        parser.add_argument(
            "--main", action=argparse.BooleanOptionalAction, help=_("the main one; there is one at most")
        )

    return options


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _given(args: Namespace, form: Form) -> dict[str, str | bool]:
    """What was given of the form's fields."""
    return {name: value for name in form.fields if (value := getattr(args, name)) is not None}


def _list(what: Around) -> Callable[[Namespace], Output]:
    def run(args: Namespace) -> Output:
        viewer = viewer_of(args)
        with begin(viewer) as conn:
            _there(conn, viewer, args.customer)
            rows = out.records(what.listed(conn, viewer=viewer, customer_id=args.customer))
        if not rows:
            return Output({"rows": rows}, _(what.nothing))
        listed = {_("Number"): [str(row["id"]) for row in rows]} | what.columns(rows, viewer.masked)
        listed[_("Main")] = [_("yes") if row["main"] else "" for row in rows]
        return Output({"rows": rows}, out.table(listed, right=(_("Number"),)))

    return run


def _add(what: Around) -> Callable[[Namespace], Output]:
    def run(args: Namespace) -> Output:
        viewer = viewer_of(args)
        with begin(viewer, write=True) as conn:
            values = _given(args, what.form)
            row_id, done = what.add(conn, actor=viewer, customer_id=args.customer, values=values, source=SOURCE)
        return Output({"id": row_id, "change_set_id": done}, _undo(done))

    return run


def _change(what: Around, row: str) -> Callable[[Namespace], Output]:
    """The command that changes one; `row` is what what.save calls its number."""

    def run(args: Namespace) -> Output:
        values = _given(args, what.form)
        if not values:
            raise Usage(_("Say what to change: {options}.").format(options=_options(what.form)))
        viewer = viewer_of(args)
        with begin(viewer, write=True) as conn:
            viewer.require(P.CUSTOMERS_EDIT)
            _there(conn, viewer, args.customer)
            rows = out.records(what.listed(conn, viewer=viewer, customer_id=args.customer))
            version = next((each["version"] for each in rows if each["id"] == args.row), None)
            if version is None:
                raise _gone(args.row)
            done = what.save(
                conn,
                actor=viewer,
                customer_id=args.customer,
                version=version,
                values=values,
                source=SOURCE,
                **{row: args.row},
            ).change_set_id
        if done is None:
            return Output({"change_set_id": None}, _("Nothing was changed: the values stood there already."))
        return Output({"change_set_id": done}, _undo(done))

    return run


def _remove(what: Around, row: str) -> Callable[[Namespace], Output]:
    def run(args: Namespace) -> Output:
        viewer = viewer_of(args)
        with begin(viewer, write=True) as conn:
            viewer.require(P.CUSTOMERS_EDIT)
            _there(conn, viewer, args.customer)
            if args.row not in set(what.listed(conn, viewer=viewer, customer_id=args.customer)["id"]):
                raise _gone(args.row)
            done = what.delete(conn, actor=viewer, customer_id=args.customer, source=SOURCE, **{row: args.row})
        return Output({"change_set_id": done}, _undo(done))

    return run


def _options(form: Form) -> str:
    return ", ".join(f"--{_dashed(name)}" for name in form.fields)


def _there(conn: Connection, viewer: Viewer, customer_id: int) -> None:
    """NotFound rather than an empty list."""
    today = clock.today(settings.get(conn).time_zone)
    customer.get(conn, viewer=viewer, customer_id=customer_id, today=today)


def _gone(row_id: int) -> NotFound:
    return NotFound(_("This customer has none with the number {id}; the list shows them.").format(id=row_id))


def _undo(set_id: int) -> str:
    return _("Saved. To take it back: {commands}").format(commands=f"python -m db undo {set_id}")


# --- consents --------------------------------------------------------------------------------------------------------


def _consents(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        zone = settings.get(conn).time_zone
        _there(conn, viewer, args.customer)
        now = consents.current(conn, viewer=viewer, customer_id=args.customer)
        said = out.records(consents.history(conn, viewer=viewer, customer_id=args.customer))
    data = {
        "now": {
            channel: {"state": one.state, "source": one.source, "happened_at": one.happened_at}
            for channel, one in now.items()
        },
        "rows": said,
    }
    states = [STATE_NAMES.get(one.state, NOT_ASKED) for one in now.values()]
    listed = out.table(
        {
            _("Channel"): [_(CHANNEL_NAMES[channel]) for channel in now],
            _("Consent"): [_(state) for state in states],
            _("Since"): [out.instant(one.happened_at, zone) for one in now.values()],
            _("How you know"): [
                _("hidden from your role") if viewer.masked and one.state else one.source for one in now.values()
            ],
        }
    )
    return Output(data, listed)


def _record_options(parser: ArgumentParser) -> None:
    _customer_options(parser)
    parser.add_argument("channel", metavar="CHANNEL", choices=CHANNELS, help=", ".join(CHANNELS))
    parser.add_argument("state", metavar="STATE", choices=CONSENT_STATES, help=", ".join(CONSENT_STATES))
    parser.add_argument("--how", metavar="TEXT", default="", help=_("how you know: a form, a call, a letter; needed"))
    parser.add_argument("--day", metavar="DAY", type=day, help=_("the day, at midday (by default now)"))


def _record(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer, write=True) as conn:
        zone = ZoneInfo(settings.get(conn).time_zone)
        at = datetime.combine(args.day, MIDDAY, zone) if args.day else None
        done = consents.record(
            conn,
            actor=viewer,
            customer_id=args.customer,
            channel=args.channel,
            state=args.state,
            how=args.how,
            happened_at=at,
            source=SOURCE,
        )
    return Output({"change_set_id": done}, _undo(done))


# --- tags ------------------------------------------------------------------------------------------------------------


def _tags_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "customer", metavar="ID", type=number, nargs="?", help=_("the customer's number; without it all tags in use")
    )


def _tags(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        if args.customer is not None:
            _there(conn, viewer, args.customer)
            held = [one.tag for one in tags.of_customer(conn, viewer=viewer, customer_id=args.customer)]
            rows: list[dict[str, Any]] = [{"tag": tag, "customers": None} for tag in held]
        else:
            rows = out.records(tags.in_use(conn, viewer=viewer))
    if not rows:
        nothing = _("No customer has a tag yet") if args.customer is None else _("This customer has no tags yet.")
        return Output({"rows": rows}, nothing)
    if args.customer is not None:
        return Output({"rows": rows}, "\n".join(row["tag"] for row in rows))
    counted = [_counted(int(row["customers"])) for row in rows]
    listed = {_("Tag"): [row["tag"] for row in rows], _("Customers"): counted}
    return Output({"rows": rows}, out.table(listed, right=(_("Customers"),)))


def _counted(n: int) -> str:
    return f"{out.number(tags.MOST_COUNTED)}+" if n > tags.MOST_COUNTED else out.number(n)


def _tag_options(parser: ArgumentParser) -> None:
    _customer_options(parser)
    parser.add_argument("tag", metavar="TAG", help=_("the tag, in whatever case"))


def _tag(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer, write=True) as conn:
        done = tags.add(conn, actor=viewer, customer_id=args.customer, tag=args.tag, source=SOURCE)
    return Output({"change_set_id": done}, _undo(done))


def _untag(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer, write=True) as conn:
        viewer.require(P.CUSTOMERS_EDIT)
        _there(conn, viewer, args.customer)
        held = tags.of_customer(conn, viewer=viewer, customer_id=args.customer)
        wanted = next((one.id for one in held if tags.key(one.tag) == tags.key(args.tag)), None)
        if wanted is None:
            raise NotFound(_("This customer does not have the tag “{tag}”.").format(tag=args.tag))
        done = tags.remove(conn, actor=viewer, customer_id=args.customer, tag_id=wanted, source=SOURCE)
    return Output({"change_set_id": done}, _undo(done))


READ, EDIT = (P.CUSTOMERS_READ,), (P.CUSTOMERS_EDIT,)
COMMANDS = (
    Command("contacts list", N_("whom to talk to at a customer"), READ, _customer_options, _list(CONTACTS)),
    Command(
        "contacts add", N_("add a contact"), EDIT, _field_options(contacts.FORM, _customer_options), _add(CONTACTS)
    ),
    Command(
        "contacts change",
        N_("change a contact"),
        EDIT,
        _field_options(contacts.FORM, _row_options),
        _change(CONTACTS, "contact_id"),
    ),
    Command("contacts remove", N_("delete a contact"), EDIT, _row_options, _remove(CONTACTS, "contact_id")),
    Command("addresses list", N_("where a customer is"), READ, _customer_options, _list(ADDRESSES)),
    Command(
        "addresses add", N_("add an address"), EDIT, _field_options(addresses.FORM, _customer_options), _add(ADDRESSES)
    ),
    Command(
        "addresses change",
        N_("change an address"),
        EDIT,
        _field_options(addresses.FORM, _row_options),
        _change(ADDRESSES, "address_id"),
    ),
    Command("addresses remove", N_("delete an address"), EDIT, _row_options, _remove(ADDRESSES, "address_id")),
    Command("consents list", N_("whether a customer may be called or written to"), READ, _customer_options, _consents),
    Command("consents record", N_("keep what a customer said"), EDIT, _record_options, _record),
    Command("tags list", N_("the tags of a customer, or all in use"), READ, _tags_options, _tags),
    Command("tags add", N_("put a tag on a customer"), EDIT, _tag_options, _tag),
    Command("tags remove", N_("take a tag off a customer"), EDIT, _tag_options, _untag),
)
