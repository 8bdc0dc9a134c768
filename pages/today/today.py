"""The salesperson's day: what is to be done, who has fallen quiet, with whom one has just worked."""

from __future__ import annotations

import streamlit as st

from components import controls, data, format, page, tables, task_actions, task_list, today_view, wording
from db import customers, tasks
from db import today as day
from db.permissions import NOBODY, Permission
from db.task_words import BUCKETS
from db.words import _

viewer = page.require(Permission.TASKS_READ)

PAGE = 20
settings, today = page.settings(), page.today()
owners = {i: name for i, name in data.read(customers.owners, viewer=viewer).items() if i != NOBODY}
leads = len(owners) > 1  # whoever sees the customers of several people

top = st.container()
today_view.search()
left, right = st.columns([3, 2], gap="medium")
with left:
    with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters"):
        names = {"mine": _("Mine"), "team": _("The team's") if leads else _("All at my customers")}
        usual = "team" if leads else "mine"
        whose = controls.switch("today_whose", _("Whose tasks"), list(names), names.__getitem__, default=usual)
        person = ""
        if whose == "team" and leads:
            people = {str(i): wording.person(name) for i, name in owners.items()}
            person = controls.select("today_person", _("Person"), list(people), _("Everybody"), people.__getitem__)
        bucket = controls.select("today_due", _("Due"), list(BUCKETS), _("All open"), lambda code: _(BUCKETS[code]))
    asked_for = {"viewer": viewer, "today": today, "bucket": bucket, "limit": PAGE}
    query = tasks.mine
    if whose == "team":
        query, asked_for = tasks.team, asked_for | {"assignee_id": int(person) if person else None}
    number = controls.page_number("today_page", (whose, person, bucket))
    for at in dict.fromkeys((number, 1)):  # a link may lead to a page that is no longer there
        number, shown = at, data.read(query, offset=(at - 1) * PAGE, **asked_for)
        if not shown.rows.empty:
            break
    if shown.rows.empty:
        nothing = _("Nothing is to be done here.") if bucket else _("No open tasks.")
        st.info(f"{nothing} {_('Open a customer and press “Next task”: it appears here until it is done.')}")
    asked = task_list.draw(
        shown.rows,
        prefix="today_task",
        today=today,
        zone=settings.time_zone,
        may_edit=viewer.can(Permission.TASKS_EDIT),
        with_customer=True,
        grouped=True,
    )
    total = shown.totals[bucket] if bucket else sum(n for name, n in shown.totals.items() if name != "done")
    if total:
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.caption(tables.position((number - 1) * PAGE, len(shown.rows), total), width="content")
            controls.turner("today_page", number, -(-total // PAGE))

with top:
    context = wording.line(format.full_day(today), task_list.counts(shown.totals) or _("nothing to do"))
    page.heading(today_view.greeting(page.name(), settings.time_zone), context)

with right:
    whom = int(person) if person else None
    silent = data.read(day.quiet, viewer=viewer, today=today, zone=settings.time_zone, owner_id=whom)
    named = wording.person(owners[whom]) if whom in owners else ""
    today_view.quiet(silent, of=named, currency=settings.currency, today=today, days=day.QUIET_DAYS)
    today_view.recent(data.read(day.recent, viewer=viewer), zone=settings.time_zone)

if asked:
    task_actions.perform(asked, viewer=viewer, today=today, screen="today")
