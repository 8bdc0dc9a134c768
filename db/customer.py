"""One customer: profile, figures, purchases, campaigns, notes, and the commands that change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import phonenumbers
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import BigInteger, Connection, Date, DateTime, cast, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from db import changes, clock, custom_fields, custom_values, customers, keyed, rhythm, schema, scores, text, written
from db.connection import widen
from db.custom_values import PREFIX, Field
from db.errors import Conflict, Invalid, NotFound
from db.lifecycle import stage_column
from db.permissions import NOBODY, Permission, Role, Viewer
from db.words import _

LIMITS = {"name": 200, "company": 200, "email": 254, "phone": 40, "address": 500, "city": 100, "region": 100}
"""Most characters of each field of the form; longer values are refused, not cut."""
MOST_NOTE = text.MAX_TEXT
MOST_REASON = 500
MOST_ROWS = 500
"""Rows of one list of a customer."""
OWNERS = (Role.SALES.value, Role.MANAGER.value)
"""Who can have customers: the others see all rows or none."""
FIELDS = tuple(LIMITS)
DEFAULT_PHONE_REGION = "CN"


@dataclass(frozen=True)
class Customer:
    """A customer with the figures derived from the orders; money in the company's currency."""

    id: int
    version: int
    name: str
    company: str
    email: str
    phone: str
    address: str
    city: str
    region: str
    source: str
    owner_id: int
    owner: str
    team: str
    stage: str
    age_band: str
    income_band: str
    home_ownership: str
    marital_status: str
    household_size: str
    household_kind: str
    children: str
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime
    orders: int
    revenue: Decimal
    other_currency_orders: int
    first_order_on: date | None
    last_order_on: date | None
    refreshed_at: datetime | None
    interval_days: int | None
    due_on: date | None
    r_score: int | None
    f_score: int | None
    m_score: int | None
    custom: dict[str, Any] = field(default_factory=dict)
    custom_personal: dict[str, Any] = field(default_factory=dict)

    @property
    def custom_values(self) -> dict[str, Any]:
        """The values of the custom fields by their key, as far as the viewer may see them."""
        return self.custom | self.custom_personal


@dataclass(frozen=True)
class Saved:
    """What a save did: its change set (None when nothing differed) and the columns somebody else saved meanwhile.

    A custom field stands among the columns as `custom.` and its key.
    """

    change_set_id: int | None
    changed: list[str]
    merged_with: list[str]


def get(conn: Connection, *, viewer: Viewer, customer_id: int, today: date) -> Customer:
    """The customer, archived or not. Raises NotFound, in the same words whether it is absent or another's."""
    viewer.require(Permission.CUSTOMERS_READ)
    c, m, u = schema.customers.c, schema.customer_metrics.c, schema.users.c
    d, t = schema.order_days.c, schema.teams.c
    bounds, _made = scores.bounds(conn)
    own = [c[f] for f in Customer.__annotations__ if f in c]
    query = (
        select(
            *own,
            u.name.label("owner"),
            func.coalesce(t.name, "").label("team"),
            stage_column(today).label("stage"),
            func.coalesce(m.orders, 0).label("orders"),
            func.coalesce(m.revenue, 0).label("revenue"),
            func.coalesce(m.other_currency_orders, 0).label("other_currency_orders"),
            m.first_order_on,
            m.last_order_on,
            m.refreshed_at,
            *rhythm.score_columns(today, bounds),
            d.days,
        )
        .select_from(
            schema.customers.join(schema.users, u.id == c.owner_id)
            .outerjoin(schema.teams, t.id == u.team_id)
            .outerjoin(schema.customer_metrics, m.customer_id == c.id)
            .outerjoin(schema.order_days, d.customer_id == c.id)
        )
        .where(c.id == customer_id)
    )
    found = conn.execute(query).mappings().first() if customer_id <= changes.LARGEST_ID else None
    if found is None:
        raise NotFound(_("There is no customer {id} that you may see.").format(id=customer_id))
    row = dict(found)
    every = rhythm.interval(row.pop("days"))
    return Customer(**row, interval_days=every, due_on=rhythm.due_on(row["last_order_on"], every))


def purchases(
    conn: Connection, *, viewer: Viewer, customer_id: int, offset: int = 0, limit: int = 20
) -> tuple[pd.DataFrame, int]:
    """Orders, newest first, and how many in all.

    Columns: id, placed_at, placed_on, reference, store, lines, currency, amount, discount.
    """
    viewer.require(Permission.CUSTOMERS_READ)
    o = schema.orders.c
    columns = (o.id, o.placed_at, o.placed_on, o.reference, o.store, o.lines, o.currency, o.amount, o.discount)
    mine = select(*columns).where(o.customer_id == customer_id)
    total = conn.scalar(select(func.count()).select_from(schema.orders).where(o.customer_id == customer_id)) or 0
    page = mine.order_by(o.placed_at.desc(), o.id.desc()).offset(max(0, offset)).limit(max(1, min(limit, MOST_ROWS)))
    rows = conn.execute(page)
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys())), total


def order_lines(conn: Connection, *, viewer: Viewer, customer_id: int, order_id: int, limit: int = 500) -> pd.DataFrame:
    """The lines of one order (product, category, brand, package, quantity, amount, discount), dearest first."""
    viewer.require(Permission.CUSTOMERS_READ)
    i, p = schema.order_items.c, schema.products.c
    discount = (i.retail_discount + i.coupon_discount + i.coupon_match_discount).label("discount")
    rows = conn.execute(
        select(p.name.label("product"), p.category, p.brand, p.package, i.quantity, i.amount, discount)
        .select_from(schema.order_items.join(schema.products, p.id == i.product_id))
        .where(i.customer_id == customer_id, i.order_id == order_id)
        .order_by(i.amount.desc(), i.id)
        .limit(limit)
    )
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))


def top_categories(
    conn: Connection, *, viewer: Viewer, customer_id: int, currency: str, limit: int = 8
) -> pd.DataFrame:
    """The product categories this customer spent most on, by the orders in one currency: category, orders, amount."""
    viewer.require(Permission.CUSTOMERS_READ)
    i, p, o = schema.order_items.c, schema.products.c, schema.orders.c
    amount = func.sum(i.amount).label("amount")
    rows = conn.execute(
        select(p.category, func.count(i.order_id.distinct()).label("orders"), amount)
        .select_from(
            schema.order_items.join(schema.products, p.id == i.product_id).join(
                schema.orders, (o.customer_id == i.customer_id) & (o.id == i.order_id)
            )
        )
        .where(i.customer_id == customer_id, p.category != "", o.currency == currency)
        .group_by(p.category)
        .order_by(amount.desc(), p.category)
        .limit(limit)
    )
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))


def monthly(conn: Connection, *, viewer: Viewer, customer_id: int, currency: str) -> pd.DataFrame:
    """Orders and revenue per calendar month in one currency: month (its first day), orders, revenue."""
    viewer.require(Permission.CUSTOMERS_READ)
    o = schema.orders.c
    # A day without a zone: date_trunc would take a date for midnight in the session's.
    month = cast(func.date_trunc("month", cast(o.placed_on, DateTime)), Date).label("month")
    rows = conn.execute(
        select(month, func.count().label("orders"), func.sum(o.amount).label("revenue"))
        .where(o.customer_id == customer_id, o.currency == currency)
        .group_by(month)
        .order_by(month)
    )
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))


def campaigns(conn: Connection, *, viewer: Viewer, customer_id: int, limit: int = 100) -> pd.DataFrame:
    """Campaigns the customer received, newest first.

    Columns: campaign, kind, starts_on, ends_on, redemptions, first_redeemed_on, received_on.
    """
    viewer.require(Permission.CAMPAIGNS_READ)
    m, c = schema.campaign_members.c, schema.campaigns.c
    rows = conn.execute(
        select(
            c.name.label("campaign"), c.kind, c.starts_on, c.ends_on, m.redemptions, m.first_redeemed_on, m.received_on
        )
        .select_from(schema.campaign_members.join(schema.campaigns, c.id == m.campaign_id))
        .where(m.customer_id == customer_id)
        .order_by(c.starts_on.desc(), c.id.desc())
        .limit(limit)
    )
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))


def notes(conn: Connection, *, viewer: Viewer, customer_id: int, limit: int = 100) -> pd.DataFrame:
    """Notes, newest first: id, author_id, author, body ('' for masked roles), created_at, updated_at, version."""
    viewer.require(Permission.CUSTOMERS_READ)
    n, u = schema.notes.c, schema.users.c
    rows = conn.execute(
        select(n.id, n.author_id, u.name.label("author"), n.body, n.created_at, n.updated_at, n.version)
        .select_from(schema.notes.join(schema.users, u.id == n.author_id))
        .where(n.customer_id == customer_id)
        .order_by(n.created_at.desc(), n.id.desc())
        .limit(limit)
    )
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))


def assignees(conn: Connection, *, viewer: Viewer) -> dict[int, str]:
    """Everybody a customer can be handed over to: id → name of the active salespeople and managers."""
    viewer.require(Permission.CUSTOMERS_ASSIGN)
    u = schema.users.c
    query = select(u.id, u.name).where(u.active, u.role.in_(("sales", "manager"))).order_by(u.name)
    return {user_id: name for user_id, name in conn.execute(query)}


# --- commands --------------------------------------------------------------------------------------------------------


def add(
    conn: Connection, *, actor: Viewer, values: Mapping[str, Any], source: str = "screen", screen: str = ""
) -> tuple[int, int]:
    """Create a customer of one's own (an administrator's belongs to nobody yet); gives (customer id, change set id).

    `values` may hold custom fields as `custom.` and their key; required ones must be there.
    Raises Invalid (by field), Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    fields = custom_fields.in_use(conn, viewer=actor)
    core, own = _parted(values)
    missing = {key: None for key, each in fields.items() if each.required and key not in own}
    row, typed = _both(core, ("name",), fields, own | missing, None)
    row |= keyed.gathered(schema.customers, _columns(fields, typed), {})
    owner_id = actor.user_id if actor.scoped else NOBODY
    set_id = _start(conn, actor, "customer.add", source, screen)
    [customer_id] = changes.insert(
        conn, set_id, "customers", [row | customers.keys(row) | {"owner_id": owner_id, "source": source}]
    )
    return customer_id, set_id


def save(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    version: int,
    values: Mapping[str, Any],
    source: str = "screen",
    screen: str = "",
) -> Saved:
    """Save a form that was opened at `version`.

    `values` may hold the whole form, custom fields as `custom.` and their key: a field that stands as it was when the
    form was opened is not the editor's. When
    others saved meanwhile and changed none of the editor's fields the two are merged, and `merged_with` says which
    columns they changed; otherwise Conflict shows both sides (column, mine, theirs) and nothing is saved.
    Raises Invalid (by field), NotFound, Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    core, own = _parted(values)
    given = _cleaned(core)
    row = _locked(conn, customer_id)
    before = row | _changed_since(conn, customer_id, int(row["version"]) - version)
    now, opened = _flat(row), _flat(before)
    fields = custom_fields.in_use(conn, viewer=actor) if own else {}
    # What was loaded before there were rules may stay; what is typed now is checked.
    typed = {c: v for c, v in given.items() if v != opened[c]}
    fine, theirs_too = _both(
        typed, ("name",) if "name" in typed else (), fields, own, before["custom"] | before["custom_personal"]
    )
    fine |= {PREFIX + key: value for key, value in theirs_too.items()}
    patch = {c: v for c, v in fine.items() if v not in (opened.get(c), now.get(c))}
    theirs = sorted(c for c in opened.keys() | now.keys() if opened.get(c) != now.get(c) and not _apart(c))
    clash = [c for c in theirs if c in patch]
    if clash:
        raise Conflict(
            _("Somebody saved this customer while you were editing. Choose which values to keep."),
            rows=[{"column": c, "mine": patch[c], "theirs": now.get(c)} for c in clash],
            version=row["version"],
        )
    if not patch:
        return Saved(None, [], theirs)
    stored = {c: v for c, v in patch.items() if not c.startswith(PREFIX)}
    typed_custom = {c.removeprefix(PREFIX): v for c, v in patch.items() if c.startswith(PREFIX)}
    stored |= keyed.gathered(schema.customers, _columns(fields, typed_custom), row)
    derived = {c: v for c, v in customers.keys({**row, **stored}).items() if row[c] != v}
    set_id = _start(conn, actor, "customer.save", source, screen)
    changes.update(conn, set_id, "customers", [{"id": customer_id, **stored, **derived}])
    return Saved(set_id, sorted(patch), theirs)


def assign(
    conn: Connection,
    *,
    actor: Viewer,
    customer_ids: list[int],
    owner_id: int,
    source: str = "screen",
    screen: str = "",
    reason: str = "",
) -> int:
    """Hand customers over to another owner (0: nobody); gives the change set id.

    The actor must see all of them, and does not see more afterwards. Raises Refused, Invalid, NotFound.
    """
    actor.require(Permission.CUSTOMERS_ASSIGN)
    if not customer_ids:
        raise Invalid(_("No customer is chosen."))
    why = text.clean(reason)
    if len(why) > MOST_REASON:
        problem = _("{n} characters are too many; at most {most}.").format(n=f"{len(why):,}", most=MOST_REASON)
        raise Invalid(_("The reason is too long."), fields={"reason": problem})
    check_owner(conn, owner_id, nobody=not actor.scoped or NOBODY in actor.owner_ids)
    c = schema.customers.c
    # One array, not a parameter for each: a statement has at most 65,535.
    wanted = func.unnest(literal(sorted(set(customer_ids)), ARRAY(BigInteger))).column_valued("wanted")
    seen = select(c.id).where(c.id.in_(select(wanted))).order_by(c.id).with_for_update()
    visible = conn.scalars(seen).all()
    if len(visible) != len(set(customer_ids)):
        raise NotFound(
            _("{n} of these customers are not there or not yours. Nothing was handed over.").format(
                n=len(set(customer_ids)) - len(visible)
            )
        )
    set_id = changes.start(
        conn,
        actor=actor,
        command="customer.assign",
        permission=Permission.CUSTOMERS_ASSIGN,
        source=source,
        screen=screen,
        reason=why,
    )
    if actor.scoped:
        widen(conn, actor, owner_id)
    changes.update(conn, set_id, "customers", [{"id": i, "owner_id": owner_id} for i in visible])
    if actor.scoped:
        widen(conn, actor, actor.user_id)  # back to the actor's own scope
    return set_id


def check_owner(conn: Connection, owner_id: int, *, nobody: bool) -> None:
    """Raise Invalid unless customers can be handed over to this user; to nobody only with `nobody`."""
    u = schema.users.c
    if owner_id != NOBODY and not conn.scalar(select(u.id).where(u.id == owner_id, u.active, u.role.in_(OWNERS))):
        raise Invalid(
            _("Customers belong to an active salesperson or manager."),
            fields={"owner_id": _("Choose an active salesperson or manager.")},
        )
    if owner_id == NOBODY and not nobody:
        raise Invalid(
            _("Only a manager can leave a customer without an owner."), fields={"owner_id": _("Choose a person.")}
        )


def archive(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    archived: bool = True,
    source: str = "screen",
    screen: str = "",
) -> int:
    """Take a customer off the lists, or put it back; gives the change set id. Nothing is deleted.

    Raises Invalid when it stands there already, NotFound, Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    now = _locked(conn, customer_id)
    if archived and now["archived_at"] is not None:
        raise Invalid(_("This customer is archived already."))
    if not archived and now["archived_at"] is None:
        raise Invalid(_("This customer is not archived."))
    set_id = _start(conn, actor, "customer.archive" if archived else "customer.restore", source, screen)
    when = clock.now() if archived else None
    changes.update(conn, set_id, "customers", [{"id": customer_id, "archived_at": when}])
    return set_id


def add_note(
    conn: Connection, *, actor: Viewer, customer_id: int, body: str, source: str = "screen", screen: str = ""
) -> int:
    """Add a note; gives the change set id."""
    actor.require(Permission.CUSTOMERS_EDIT)
    _locked(conn, customer_id)
    set_id = _start(conn, actor, "note.add", source, screen)
    row = {"customer_id": customer_id, "author_id": actor.user_id, "body": checked_note(body)}
    changes.insert(conn, set_id, "notes", [row | written.keys("notes")(row)])
    return set_id


def delete_note(
    conn: Connection, *, actor: Viewer, customer_id: int, note_id: int, source: str = "screen", screen: str = ""
) -> int:
    """Delete a note (undo brings it back with its id); gives the change set id."""
    actor.require(Permission.CUSTOMERS_EDIT)
    set_id = _start(conn, actor, "note.delete", source, screen)
    changes.delete(conn, set_id, "notes", [{"customer_id": customer_id, "id": note_id}])
    return set_id


def checked_note(body: str) -> str:
    """The note as it is stored. Raises Invalid when it is empty or too long."""
    note = text.clean(body, multiline=True)
    if not note:
        raise Invalid(_("The note is empty."), fields={"body": _("Write something first.")})
    if len(note) > MOST_NOTE:
        problem = _("{n} characters are too many; at most {most}.").format(n=f"{len(note):,}", most=f"{MOST_NOTE:,}")
        raise Invalid(_("The note is too long."), fields={"body": problem})
    return note


def checked(values: Mapping[str, str], *, required: tuple[str, ...] = ()) -> dict[str, str]:
    """The form's values as they are stored: cleaned, phone and e-mail in their canonical form.

    Raises Invalid with a sentence for each field that cannot be accepted.
    """
    row = _cleaned(values)
    problems: dict[str, str] = {}
    for c, v in row.items():
        if len(v) > LIMITS[c]:
            problems[c] = _("{n} characters are too many; at most {most}.").format(n=f"{len(v):,}", most=LIMITS[c])
    problems |= {c: _("This must not be empty.") for c in required if not row.get(c)}
    if row.get("email") and "email" not in problems:
        try:
            row["email"] = validate_email(row["email"], check_deliverability=False).normalized
        except EmailNotValidError:
            problems["email"] = _("This is not an e-mail address. Example: name@example.com")
    if row.get("phone") and "phone" not in problems:
        try:
            row["phone"] = canonical_phone(row["phone"])
        except ValueError:
            problems["phone"] = _("This is not a phone number. Example: 138 0013 8000 or +1 202 555 0143")
    if problems:
        raise Invalid(_("Some fields need another look."), fields=problems)
    return row


def problems(
    values: Mapping[str, Any], *, fields: Mapping[str, Field], opened: Mapping[str, Any] | None
) -> dict[str, str]:
    """What is wrong with what has been typed so far, a sentence for each field; nothing is read or written.

    `opened` is what the custom fields held when the form was opened, None for a customer who is new.
    """
    core, own = _parted(values)
    try:
        _both(core, ("name",) if "name" in core else (), fields, own, opened)
    except Invalid as error:
        return error.fields
    return {}


def _parted(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The customer's own columns, and custom fields by their key."""
    own = {c.removeprefix(PREFIX): v for c, v in values.items() if c.startswith(PREFIX)}
    return {c: v for c, v in values.items() if not c.startswith(PREFIX)}, own


def _both(
    core: Mapping[str, str],
    required: tuple[str, ...],
    fields: Mapping[str, Field],
    own: Mapping[str, Any],
    opened: Mapping[str, Any] | None,
) -> tuple[dict[str, str], dict[str, Any]]:
    """Columns and custom fields as they are stored; one Invalid names what is wrong with any of them.

    `opened` is what the custom fields held when the form was opened; None for a customer who is new.
    """
    problems: dict[str, str] = {}
    row: dict[str, str] = {}
    typed: dict[str, Any] = {}
    try:
        row = checked(core, required=required)
    except Invalid as error:
        if not error.fields:
            raise
        problems |= error.fields
    try:
        typed = custom_values.checked(fields, own) if opened is None else custom_values.changed(fields, own, opened)
    except Invalid as error:
        problems |= {PREFIX + key: sentence for key, sentence in error.fields.items()}
    if problems:
        raise Invalid(_("Some fields need another look."), fields=problems)
    return row, typed


def _columns(fields: Mapping[str, Field], typed: Mapping[str, Any]) -> dict[str, Any]:
    """Values of custom fields under the names that db/keyed.py gathers."""
    return {f"{fields[key].column}.{key}": value for key, value in typed.items()}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with each custom field as `custom.` and its key, whichever column holds it."""
    spread = keyed.spread(schema.customers, row)
    return {PREFIX + c.partition(".")[2] if "." in c else c: value for c, value in spread.items()}


def _cleaned(values: Mapping[str, str]) -> dict[str, str]:
    unknown = set(values) - set(FIELDS)
    if unknown:
        raise Invalid(_("Unknown field: {name}.").format(name=", ".join(sorted(unknown))))
    return {c: text.clean(v, multiline=c == "address") for c, v in values.items()}


def canonical_phone(value: str) -> str:
    """International form ('+86 138 0013 8000'). Raises ValueError for what cannot be a number anywhere."""
    try:
        number = phonenumbers.parse(value, DEFAULT_PHONE_REGION)
    except phonenumbers.NumberParseException as error:
        raise ValueError(str(error)) from error
    if not phonenumbers.is_possible_number(number):
        raise ValueError("not a possible number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _start(conn: Connection, actor: Viewer, command: str, source: str, screen: str) -> int:
    return changes.start(
        conn, actor=actor, command=command, permission=Permission.CUSTOMERS_EDIT, source=source, screen=screen
    )


def _locked(conn: Connection, customer_id: int) -> dict[str, Any]:
    """The row as it is now, locked until the commit."""
    query = select(schema.customers).where(schema.customers.c.id == customer_id).with_for_update()
    found = conn.execute(query).mappings().first() if customer_id <= changes.LARGEST_ID else None
    if found is None:
        raise NotFound(_("There is no customer {id} that you may see.").format(id=customer_id))
    return dict(found)


def _changed_since(conn: Connection, customer_id: int, versions: int) -> dict[str, Any]:
    """What the columns held `versions` updates ago, of those that were changed since.

    Every update raises the version by one and records one row.
    """
    if versions < 0:
        raise Invalid(_("The form is newer than the customer. Reload the page."))
    if versions == 0:
        return {}
    h = schema.changes.c
    last = conn.execute(
        select(h.before, h.before_personal)
        .where(h.customer_id == customer_id, h.table_name == "customers", h.action == "update")
        .order_by(h.id.desc())
        .limit(versions)
    )
    found: dict[str, Any] = {}
    for before, personal in last:
        found |= before | personal  # newest first: the earliest value stays
    return {c: changes.from_json(schema.customers, c, v) for c, v in found.items() if not _apart(c)}


def _apart(column: str) -> bool:
    """True for columns that nobody edits: they follow from others."""
    return bool(schema.customers.c[keyed.base(column)].info.get("derived")) or column in changes.KEPT
