"""Changes in words: what the command was, where it came from, and each value before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from components import custom_fields_view, segment_choices, wording
from components.signin import role_name
from db.around_words import ADDRESS_NAMES, CHANNEL_NAMES, STATE_NAMES
from db.custom_values import TYPE_NAMES, Field
from db.errors import Conflict
from db.event_words import DIRECTION_NAMES, KIND_NAMES, OUTCOMES
from db.permissions import NOBODY, Viewer
from db.task_words import PRIORITY_NAMES, TASK_KIND_NAMES
from db.words import _

CODES: Mapping[str, Mapping[str, str]] = {
    "channel": CHANNEL_NAMES,
    "direction": DIRECTION_NAMES,
    "kind": {**TASK_KIND_NAMES, **KIND_NAMES, **ADDRESS_NAMES},
    "outcome": OUTCOMES,
    "priority": PRIORITY_NAMES,
    "state": STATE_NAMES,
}
"""Column → what its codes are called."""


def title(command: str, undoes_id: Any) -> str:
    """The command as people call it; an undo says so."""
    names = {
        "customer.add": _("Customer added"),
        "customer.save": _("Customer edited"),
        "customer.assign": _("Customer handed over"),
        "customer.archive": _("Customer archived"),
        "customer.restore": _("Customer put back on the lists"),
        "tag.add": _("Tag added"),
        "tag.remove": _("Tag removed"),
        "note.add": _("Note added"),
        "note.delete": _("Note deleted"),
        "call.log": _("Call logged"),
        "mail.log": _("E-mail logged"),
        "meeting.log": _("Meeting logged"),
        "message.log": _("Message logged"),
        "interaction.delete": _("Deleted from the timeline"),
        "task.add": _("Task added"),
        "task.save": _("Task edited"),
        "task.finish": _("Task finished"),
        "task.reopen": _("Task opened again"),
        "task.postpone": _("Task put on another day"),
        "task.delete": _("Task deleted"),
        "contact.add": _("Contact added"),
        "contact.save": _("Contact edited"),
        "contact.delete": _("Contact deleted"),
        "address.add": _("Address added"),
        "address.save": _("Address edited"),
        "address.delete": _("Address deleted"),
        "consent.record": _("Consent recorded"),
        "attachment.add": _("File added"),
        "attachment.delete": _("File deleted"),
        "campaign.start": _("Campaign started"),
        "segment.add": _("Segment saved"),
        "segment.save": _("Segment changed"),
        "segment.archive": _("Segment archived"),
        "segment.freeze": _("Customers frozen as a segment"),
        "segment.restore": _("Segment put back on the list"),
        "clusters.add": _("Clusters saved"),
        "clusters.archive": _("Clusters taken off the list"),
        "view.add": _("View saved"),
        "view.save": _("View changed"),
        "view.archive": _("View deleted"),
        "view.restore": _("View put back"),
        "board.add": _("Board begun"),
        "board.save": _("Board changed"),
        "board.archive": _("Board deleted"),
        "board.restore": _("Board put back"),
        "board.keep": _("Chart kept on a board"),
        "board.card": _("Card changed"),
        "board.move": _("Card moved"),
        "board.remove": _("Card removed"),
        "field.add": _("Field added"),
        "field.save": _("Field changed"),
        "definition.save": _("Rules put into force"),
        "field.archive": _("Field archived"),
        "field.restore": _("Field put back into the forms"),
        "field.order": _("Fields ordered"),
        "users.add": _("User added"),
        "users.change": _("User changed"),
        "users.deactivate": _("User deactivated"),
        "demo.load": _("Demo data loaded"),
        "bench.load": _("Bench data loaded"),
    }
    name = names.get(command, command)
    return _("Undo of: {name}").format(name=name) if _there(undoes_id) else name


def source(name: str) -> str:
    """Where a change came from."""
    names = {
        "screen": _("on the screen"),
        "terminal": _("in the terminal"),
        "worker": _("by a background job"),
        "import": _("by an import"),
        "rule": _("by a rule"),
        "demo": _("with the demo data"),
        "api": _("through the interface for programs"),
    }
    return names.get(name, name)


def column(name: str, table: str = "") -> str:
    """A column as people call it; some of one name are called otherwise in another table."""
    names = {
        "name": _("Name"),
        "company": _("Company"),
        "email": _("E-mail"),
        "phone": _("Phone"),
        "address": _("Address"),
        "city": _("City"),
        "region": _("Region"),
        "owner_id": _("Owner"),
        "archived_at": _("Archived"),
        "body": _("Note"),
        "tag": _("Tag"),
        "kind": _("Kind"),
        "direction": _("Who began"),
        "outcome": _("How it went"),
        "minutes": _("Minutes"),
        "subject": _("About"),
        "happened_on": _("Day"),
        "title": _("Task"),
        "due_on": _("Due"),
        "due_time": _("Time"),
        "priority": _("Priority"),
        "assignee_id": _("Who does it"),
        "author_id": _("From whom"),
        "done_at": _("Done"),
        "done_by_id": _("Done by"),
        "role": _("Role"),
        "active": _("May sign in"),
        "team_id": _("Team"),
        "username": _("User name"),
        "rule": _("Rule"),
        "description": _("What it is for"),
        "params": _("Filters"),
        "params_personal": _("Search and personal filters"),
        "columns": _("Columns"),
        "visibility": _("Who sees it"),
        "job_title": _("Job title"),
        "wechat": _("WeChat"),
        "note": _("Note"),
        "recipient": _("Recipient"),
        "street": _("Street and number"),
        "postcode": _("Postcode"),
        "country": _("Country"),
        "channel": _("Channel"),
        "state": _("Consent"),
        "happened_at": _("When"),
        "media_type": _("Kind of file"),
        "bytes": _("Bytes"),
        "name_zh": _("Chinese name"),
        "choices": _("Choices"),
        "required": _("Required"),
        "help": _("Help text"),
        "position": _("Place"),
        "type": _("Type"),
        "key": _("Key"),
        "personal": _("Personal"),
        "chart": _("Chart"),
        "wide": _("A whole row"),
    }
    apart = {
        ("contacts", "main"): _("Main contact"),
        ("addresses", "main"): _("Main address"),
        ("board_cards", "params"): _("What it shows"),
        ("board_cards", "title"): _("Title"),
        ("addresses", "kind"): _("What for"),
        ("consents", "source"): _("How you know"),
    }
    return apart.get((table, name), names.get(name, name))


def value(name: str, raw: Any, viewer: Viewer, people: Mapping[int, str]) -> str:
    """A value of a column as text; a dash for nothing. Never markup: st.text draws it."""
    if name in ("archived_at", "done_at"):
        return _("yes") if _there(raw) else _("no")
    if not _there(raw) or raw == "":
        return "–"
    if name in ("owner_id", "assignee_id", "author_id", "done_by_id"):
        return wording.person({NOBODY: "", **people}.get(int(raw), f"#{int(raw)}"))
    if isinstance(raw, dict | list):
        if name == "choices":
            return wording.listed(str(each) for each in raw) or "–"
        written = json.dumps(raw, ensure_ascii=False)
        return segment_choices.told(written, viewer) if name == "rule" else written
    return {True: _("yes"), False: _("no")}[raw] if isinstance(raw, bool) else _word(name, raw)


def _word(name: str, raw: Any) -> str:
    """A code as people call it where it is one."""
    if name == "role":
        return role_name(str(raw))
    if raw in (coded := CODES.get(name, {})):
        return _(coded[raw])
    if name == "type" and raw in TYPE_NAMES:
        return _(TYPE_NAMES[raw])
    words = {"shared": _("shared"), "private": _("private"), "team": _("for the team")} if name == "visibility" else {}
    return words.get(raw, str(raw))


def draw(lines: Sequence[dict[str, Any]], *, viewer: Viewer, people: Mapping[int, str], most: int = 20) -> None:
    """One line for each value: what it was, what it became. More than `most` are counted, not hidden silently.

    `people` are the names of owners by their id.
    """
    _each(lines, "before", "after", viewer, people, most)


def conflict(error: Conflict, *, viewer: Viewer, people: Mapping[int, str], most: int = 20) -> None:
    """Why an undo was refused, and the values that stand in its way: what the change made of them, what they are."""
    st.warning(wording.sentence(error.message), icon=":material/info:")
    conflict_lines(error.rows, viewer=viewer, people=people, most=most)


def conflict_lines(
    rows: Sequence[dict[str, Any]], *, viewer: Viewer, people: Mapping[int, str], most: int = 20
) -> None:
    """The values in the way of an undo, a line each: what the change made of them, what they are."""
    _each([row for row in rows if row["column"]], "after", "now", viewer, people, most)


def _each(
    lines: Sequence[dict[str, Any]], one: str, other: str, viewer: Viewer, people: Mapping[int, str], most: int
) -> None:
    custom: Mapping[str, Field] = {}
    if any("." in line["column"] for line in lines[:most]):
        custom = custom_fields_view.named(viewer)
    for line in lines[:most]:
        name = line["column"]
        if "." in name:  # of a custom field, by its key
            key = name.partition(".")[2]
            field = custom.get(key)
            called = field.label if field else key
            was, became = (custom_fields_view.told(field, line[side]) or "–" for side in (one, other))
        else:
            called = column(name, line.get("table", ""))
            was, became = (value(name, line[side], viewer, people) for side in (one, other))
        st.text(_("{name}: {before} → {after}").format(name=called, before=was, after=became))
    if len(lines) > most:
        st.caption(_("and {n} more values").format(n=len(lines) - most))


def _there(raw: Any) -> bool:
    return raw is not None and not pd.isna(raw)
