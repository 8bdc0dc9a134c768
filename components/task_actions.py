"""What one can do with a task, from wherever it is listed: written, said, and offered to be taken back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import streamlit as st

from components import controls, data, format, page, task_form, wording
from components.task_list import Asked
from db import tasks
from db.errors import Conflict, Invalid
from db.permissions import Viewer
from db.words import _


def perform(asked: Asked, *, viewer: Viewer, today: date, screen: str) -> None:
    """Do what was asked for with a task, and draw the screen anew."""
    action, task = asked
    one: dict[str, Any] = {"actor": viewer, "customer_id": task["customer_id"], "task_id": task["id"], "screen": screen}
    title = wording.plain(task["title"])
    match action:
        case "finish":
            controls.saved(data.write(tasks.finish, **one), _("Done: {title}").format(title=title))
        case "reopen":
            controls.saved(data.write(tasks.reopen, **one), _("Open again: {title}").format(title=title))
        case "delete":
            controls.saved(data.write(tasks.delete, **one), _("Task deleted: {title}").format(title=title))
        case "tomorrow" | "next_week":
            day = task_form.day_of(action, today)
            said = _("Moved to {day}: {title}").format(day=format.day(day), title=title)
            controls.saved(data.write(tasks.postpone, due_on=day, **one), said)
        case "edit":
            _edit(task, one, viewer=viewer, prefix=f"{screen}_task")


def _edit(task: Mapping[str, Any], one: Mapping[str, Any], *, viewer: Viewer, prefix: str) -> None:
    @page.dialog(_("Edit task"))
    def editing() -> None:
        people = data.read(tasks.assignees, viewer=viewer, customer_id=task["customer_id"])
        changed = task_form.edit(task, people, prefix=prefix)
        if changed is None:
            return
        try:
            done = data.write(tasks.save, version=task["version"], values=changed, **one)
        except (Invalid, Conflict) as error:
            task_form.explain(error)
            return
        if done is None:
            st.info(_("Nothing had changed, so nothing was saved."))
            return
        controls.saved(done, _("Task saved."))

    editing()
