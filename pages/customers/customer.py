"""Everything about one customer, on one page, safe to edit."""

from __future__ import annotations

from functools import partial

import streamlit as st

from components import (
    consent_view,
    controls,
    customer_actions,
    customer_edit,
    customer_form,
    customer_parts,
    customer_tags,
    customer_talks,
    customer_tasks,
    data,
    lifecycle_view,
    next_task,
    page,
    profile,
    wording,
)
from db import campaigns, customer
from db.metrics import STAGE_NAMES, Stage
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.CUSTOMERS_READ)

settings, today = page.settings(), page.today()
asked = st.query_params.get("id", "")
profile.top(viewer, asked, fresh=wording.freshness(data.read(campaigns.waiting_since, viewer=viewer)))
if not (asked.isascii() and asked.isdecimal()) or len(asked) > 18:
    st.info(_("No customer is chosen. Open one from the list."))
    st.stop()

found = data.read(customer.get, viewer=viewer, customer_id=int(asked), today=today)
may_edit = viewer.can(Permission.CUSTOMERS_EDIT)
about = lifecycle_view.stage_said(viewer, found.stage, settings.time_zone)
profile.header(found, _(STAGE_NAMES[Stage(found.stage)]), about=about, sight=viewer.can(Permission.USERS_MANAGE))
consents = consent_view.marks(found.id, viewer)
customer_tags.draw(found.id, viewer=viewer, screen="customer")

people = data.read(customer.assignees, viewer=viewer) if viewer.can(Permission.CUSTOMERS_ASSIGN) else {}
if may_edit:
    task = partial(customer_tasks.form, viewer=viewer, customer_id=found.id, today=today)
    talk = partial(customer_talks.form, viewer=viewer, customer_id=found.id, today=today, zone=settings.time_zone)
    match customer_actions.bar(found, people=people, talk=talk, task=task):
        case ("edit", _nothing):
            customer_form.opened(found.id, found.version)
            st.rerun()
        case ("task", values):
            customer_tasks.add(values, viewer=viewer, customer_id=found.id)
        case ("assign", owner_id):
            done = data.write(
                customer.assign, actor=viewer, customer_ids=[found.id], owner_id=owner_id, screen="customer"
            )
            name = wording.plain(wording.person(people[owner_id]))
            controls.saved(done, _("Handed over to {name}.").format(name=name), leave_to="customers")
        case ("archive", archived):
            done = data.write(
                customer.archive, actor=viewer, customer_id=found.id, archived=archived, screen="customer"
            )
            controls.saved(done, _("Archived.") if archived else _("Put back on the lists."))
    next_task.draw(found.id, viewer=viewer, today=today)

if may_edit and customer_form.is_open(found.id):
    customer_edit.edit(viewer, found, settings.time_zone)

profile.figures(found, currency=settings.currency, today=today, rhythm=True)
customer_parts.draw(customer_parts.Opened(found, viewer, settings, people, consents))
