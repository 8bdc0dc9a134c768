"""Fields that the company keeps of its customers beside those that Kehu has: add, change, order, archive."""

from __future__ import annotations

from typing import Any

import streamlit as st

from components import controls, data, field_form, page, wording
from db import custom_fields
from db.custom_fields import MOST_FIELDS
from db.custom_values import Field
from db.errors import Invalid
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.FIELDS_EDIT)
actions = page.heading(_("Fields"), _("What you keep of every customer beside the fields that Kehu has"))


@page.dialog(_("Add a field"))
def add() -> None:
    """The form of a new field."""
    sent = field_form.new(custom_fields.key_of)
    if sent is None:
        return
    values, places = sent
    try:
        _id, done = data.write(custom_fields.add, actor=viewer, values=values, screen="fields")
    except Invalid as error:
        field_form.explain(places, error)
    else:
        controls.saved(done, _("Field added."))


def carry_out(field: Field, asked: tuple[str, Any], others: list[Field]) -> None:
    """Save, move or archive."""
    this: dict[str, Any] = {"actor": viewer, "screen": "fields"}
    match asked:
        case ("save", values):
            done = data.write(custom_fields.save, field_id=field.id, version=field.version, values=values, **this)
            if done is None:
                st.info(_("Nothing had changed, so nothing was saved."))
                return
            controls.saved(done, _("Field saved."))
        case ("move", after):
            order = [f.id for f in others]
            order.insert(order.index(after) + 1 if after else 0, field.id)
            done = data.write(custom_fields.reorder, field_ids=order, **this)
            controls.saved(done, _("Fields ordered."))
        case ("archive", archived):
            done = data.write(custom_fields.archive, field_id=field.id, archived=archived, **this)
            controls.saved(done, _("Archived.") if archived else _("Put back into the forms."))


@page.fragment
def listing() -> None:
    """All fields, and the card of the one that was clicked."""
    fields = data.read(custom_fields.every, viewer=viewer)
    if not fields:
        st.info(_("No fields of your own yet. Add the first one with the button above."))
        return
    picked = field_form.pick(fields)
    with picked.below:
        used = sum(not field.archived for field in fields)
        counted = _("{n} of at most {most} fields in use").format(n=used, most=MOST_FIELDS)
        hint = _("Click a row to see the field.") if picked.row is None else ""
        st.caption(wording.line(counted, hint))
    if picked.row is None:
        return
    field = fields[picked.row]
    others = [f for f in fields if f.id != field.id and not f.archived]
    with picked.beside:
        asked = field_form.card(field, others)
        if asked is None:
            return
        try:
            carry_out(field, asked, others)
        except Invalid as error:
            field_form.refused(field, error)


if actions.button(_("Add a field"), icon=":material/add:", type="primary", key="fields_add"):
    add()
listing()
