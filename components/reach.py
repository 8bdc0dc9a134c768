"""The people and places of a customer as cards: whom to call or write to, where to send things."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import streamlit as st

from components import controls, data, row_form, tables, wording
from components.row_form import Sheet
from db import addresses, contacts, text
from db.around_words import (
    ADDRESS_LIMITS,
    ADDRESS_NAMES,
    CONTACT_LIMITS,
    MOST_ADDRESSES,
    MOST_CONTACTS,
)
from db.permissions import Permission, Viewer
from db.words import _


def people(customer_id: int, viewer: Viewer, *, zone: str) -> None:
    """The contact people, each with the ways to reach them."""
    found = data.read(contacts.people, viewer=viewer, customer_id=customer_id)
    may_write = viewer.can(Permission.CUSTOMERS_EDIT)
    title = _("Contacts")
    if _heading(title, len(found), MOST_CONTACTS, _("Add contact"), "customer_contact_add", may_write=may_write):
        row_form.open_new("contact", customer_id, main=found.empty)
    if found.empty:
        st.caption(_("Nobody yet. Add whom to talk to there."))
    for row in tables.each(found):
        with st.container(border=True, gap="xsmall", key=f"customer_contact_card_{row.id}"):
            gone = _top("contact", row, _("Main contact"), customer_id, may_write=may_write, hidden=viewer.masked)
            _person(row)
            if gone:
                done = data.write(
                    contacts.delete, actor=viewer, customer_id=customer_id, contact_id=int(row.id), screen="customer"
                )
                controls.saved(done, _("Contact deleted."))
    if may_write:
        row_form.draw(_contact_sheet(customer_id, viewer), customer_id, viewer=viewer, zone=zone)


def places(customer_id: int, viewer: Viewer, *, zone: str) -> None:
    """The addresses."""
    found = data.read(addresses.places, viewer=viewer, customer_id=customer_id)
    may_write = viewer.can(Permission.CUSTOMERS_EDIT)
    title = _("Addresses")
    if _heading(title, len(found), MOST_ADDRESSES, _("Add address"), "customer_address_add", may_write=may_write):
        row_form.open_new("address", customer_id, main=found.empty, kind="delivery")
    if found.empty:
        st.caption(_("No address yet. Add where to deliver or to send bills to."))
    for row in tables.each(found):
        with st.container(border=True, gap="xsmall", key=f"customer_address_card_{row.id}"):
            gone = _top("address", row, _("Main address"), customer_id, may_write=may_write, hidden=viewer.masked)
            _address(row, hidden=viewer.masked)
            if gone:
                done = data.write(
                    addresses.delete, actor=viewer, customer_id=customer_id, address_id=int(row.id), screen="customer"
                )
                controls.saved(done, _("Address deleted."))
    if may_write:
        row_form.draw(_address_sheet(customer_id, viewer), customer_id, viewer=viewer, zone=zone)


def contact_labels() -> dict[str, str]:
    """The fields of a contact in their order, with what they are called."""
    return {
        "name": _("Full name"),
        "job_title": _("Job title"),
        "phone": _("Phone"),
        "email": _("E-mail"),
        "wechat": _("WeChat"),
        "note": _("Note"),
    }


def address_labels() -> dict[str, str]:
    """The fields of an address in their order, with what they are called."""
    return {
        "kind": _("What for"),
        "recipient": _("Recipient"),
        "phone": _("Phone"),
        "street": _("Street and number"),
        "postcode": _("Postcode"),
        "city": _("City"),
        "region": _("Region"),
        "country": _("Country"),
    }


def _heading(title: str, n: int, most: int, label: str, key: str, *, may_write: bool) -> bool:
    """What stands below, how many, and the button that adds one; True when it is pressed."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{title}**" + (f" · {n}" if n else ""), width="content")
        if not may_write:
            return False
        if n >= most:
            st.caption(_("{n} are the most that a customer can have.").format(n=most), width="content")
            return False
        return st.button(label, icon=":material/add:", key=key, type="tertiary")


def _top(what: str, row: Any, main: str, customer_id: int, *, may_write: bool, hidden: bool) -> bool:
    """Who or what it is, and the buttons beside: Edit opens the form, Delete gives True."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
            if what == "address":
                called = _(ADDRESS_NAMES[row.kind])
            else:
                called = _("hidden from your role") if hidden else wording.plain(row.name)
            st.markdown(f"**{called}**", width="content")
            if row.main:
                st.badge(main)
        if not may_write:
            return False
        with st.container(horizontal=True, gap="small", width="content"):
            if st.button(_("Edit"), icon=":material/edit:", key=f"customer_{what}_edit_{row.id}", type="tertiary"):
                row_form.open_row(what, customer_id, row)
            return st.button(
                _("Delete"), icon=":material/delete:", key=f"customer_{what}_delete_{row.id}", type="tertiary"
            )


def _person(row: Any) -> None:
    if row.job_title:
        st.caption(wording.plain(row.job_title))
    if row.phone or row.email or row.wechat:
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            if row.phone:
                st.link_button(wording.plain(row.phone), f"tel:+{text.digits(row.phone)}", icon=":material/call:")
            if row.email:
                st.link_button(wording.plain(row.email), f"mailto:{quote(row.email, safe='@')}", icon=":material/mail:")
            if row.wechat:
                st.caption(f":material/chat: {_('WeChat')} {wording.plain(row.wechat)}", width="content")
    if row.note:
        st.text(row.note)


def _address(row: Any, *, hidden: bool) -> None:
    if hidden:
        st.caption(_("hidden from your role"))
    for line in (row.recipient, row.street, " ".join(filter(None, (row.postcode, row.city)))):
        if line:
            st.text(line)
    rest = [wording.translated(row.region), row.country]
    if any(rest):
        st.text(wording.listed(filter(None, rest)))
    if row.phone:
        with st.container(horizontal=True):
            st.link_button(wording.plain(row.phone), f"tel:+{text.digits(row.phone)}", icon=":material/call:")


def _contact_sheet(customer_id: int, viewer: Viewer) -> Sheet:
    def save(row_id: int | None, version: int, values: dict[str, str | bool]) -> tuple[int | None, str]:
        given: dict[str, Any] = {"actor": viewer, "customer_id": customer_id, "values": values, "screen": "customer"}
        if row_id is None:
            return data.write(contacts.add, **given)[1], _("Contact added.")
        done = data.write(contacts.save, contact_id=row_id, version=version, **given)
        return done.change_set_id, _told(done, contact_labels() | {"main": _("Main contact")})

    return Sheet(
        "contact",
        _("Contact"),
        contact_labels(),
        CONTACT_LIMITS,
        _("Main contact"),
        save,
        required=("name",),
        multiline=("note",),
    )


def _address_sheet(customer_id: int, viewer: Viewer) -> Sheet:
    def save(row_id: int | None, version: int, values: dict[str, str | bool]) -> tuple[int | None, str]:
        given: dict[str, Any] = {"actor": viewer, "customer_id": customer_id, "values": values, "screen": "customer"}
        if row_id is None:
            return data.write(addresses.add, **given)[1], _("Address added.")
        done = data.write(addresses.save, address_id=row_id, version=version, **given)
        return done.change_set_id, _told(done, address_labels() | {"main": _("Main address")})

    return Sheet(
        "address",
        _("Address"),
        address_labels(),
        ADDRESS_LIMITS,
        _("Main address"),
        save,
        required=("street",),
        multiline=("street",),
        choices={"kind": ADDRESS_NAMES},
    )


def _told(done: Any, names: dict[str, str]) -> str:
    """What a save did, in a sentence: which fields, and which others somebody else changed meanwhile."""
    if done.change_set_id is None:
        return _("Nothing had changed, so nothing was saved.")
    said = _("Saved: {fields}.").format(fields=wording.listed(names[c] for c in done.changed))
    if done.merged_with:
        theirs = wording.listed(names[c] for c in done.merged_with)
        said += " " + _("Meanwhile somebody else changed {fields}; both are kept.").format(fields=theirs)
    return said
