"""The dialog that adds or edits one row below a customer, an address or a contact: problems at their fields, both sides
of a stale save to choose from. What is open stands in the session, so that it is there again after each drawing; what
is typed is kept as a draft, also when the dialog is closed without saving.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from components import controls, drafts, page, wording
from db.errors import Conflict, Invalid
from db.permissions import Viewer
from db.words import _

KEY = "customer_row"
SAVE_KEYS = "Ctrl+Enter"


@dataclass(frozen=True)
class Sheet:
    """What the dialog shows: its title, the texts (column → label), choices (column → code → name), and who is main.

    `save(row id or None, version, values)` gives the change set (None: nothing differed) and what to say.
    """

    what: str
    title: str
    labels: Mapping[str, str]
    limits: Mapping[str, int]
    main: str
    save: Callable[[int | None, int, dict[str, str | bool]], tuple[int | None, str]]
    required: tuple[str, ...] = ()
    multiline: tuple[str, ...] = ()
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def named(self, column: str) -> str:
        """What a column is called."""
        return self.main if column == "main" else self.labels[column]


def open_new(what: str, customer_id: int, **values: Any) -> None:
    """Open the empty dialog at the next drawing; `values` are what it begins with."""
    _open(what, customer_id, None, 0, values)


def open_row(what: str, customer_id: int, row: Any) -> None:
    """Open the dialog with a row (id, version and its columns), as it is now."""
    values = {name: value for name, value in row._asdict().items() if name not in ("id", "version", "Index")}
    _open(what, customer_id, int(row.id), int(row.version), values)


def _open(what: str, customer_id: int, row_id: int | None, version: int, values: Mapping[str, Any]) -> None:
    turn = st.session_state.get(f"{KEY}_turn", 0) + 1
    st.session_state[f"{KEY}_turn"] = turn
    drafts.opened(KEY)
    st.session_state[KEY] = {
        "what": what,
        "customer": customer_id,
        "row": row_id,
        "version": version,
        "opened": dict(values),
        "problems": {},
        "clash": None,
    }


def close() -> None:
    """Forget the dialog; what was typed into it stays as a draft."""
    st.session_state.pop(KEY, None)


def draw(sheet: Sheet, customer_id: int, *, viewer: Viewer, zone: str) -> None:
    """Show the dialog when it is open for this customer."""
    found = st.session_state.get(KEY)
    if found and (found["what"], found["customer"]) == (sheet.what, customer_id):
        page.dialog(sheet.title, on_dismiss=close)(_content)(sheet, viewer, zone)


def _content(sheet: Sheet, viewer: Viewer, zone: str) -> None:
    found = st.session_state.get(KEY)
    if not found or (found["clash"] and not _chosen(sheet, found)):
        return
    form = _draft_of(found)
    waiting, draft = drafts.begun(KEY, form, viewer=viewer, zone=zone)
    if waiting:
        return
    if draft:
        found["typed"] = {c: v for c, v in draft.values.items() if isinstance(v, str | bool)}
        if found["row"] is not None:  # what others saved since is merged, or both sides are shown
            found["version"] = draft.version
    typed, sent = _form(sheet, found)
    changed = {c: v for c, v in typed.items() if v != found["opened"].get(c, "")}
    if not sent:
        drafts.follow(KEY, form, changed, viewer=viewer, version=found["version"])
        return
    try:
        done, said = sheet.save(found["row"], found["version"], changed if found["row"] else typed)
    except Invalid as error:
        found["problems"] = error.fields or {"": error.message}
        st.rerun()
    except Conflict as error:
        if not error.rows:
            raise
        found |= {"clash": error, "typed": changed, "problems": {}}
        st.rerun()
    drafts.done(KEY, form, viewer=viewer)
    close()
    if done is None:
        st.toast(said)
        st.rerun()
    controls.saved(done, said)


def _draft_of(found: Mapping[str, Any]) -> str:
    """What the draft of the open dialog is called: by the row, or of a new one by its customer."""
    new = found["row"] is None
    return f"new_{found['what']}:{found['customer']}" if new else f"{found['what']}:{found['row']}"


def _form(sheet: Sheet, found: dict[str, Any]) -> tuple[dict[str, str | bool], bool]:
    """The fields; gives what stands in them, and whether it is to be saved."""
    turn = st.session_state[f"{KEY}_turn"]  # each opening and each choice has its own widgets
    start = found["opened"] | found.get("typed", {})
    problems: Mapping[str, str] = found["problems"]
    typed: dict[str, str | bool] = {}
    for column, names in sheet.choices.items():
        typed[column] = _choice(sheet.named(column), names, start.get(column), f"{KEY}_{column}_{turn}")
        _problem(problems, column)
    grid = st.grid(columns="auto", min_column_width=190)
    for column in (c for c in sheet.labels if c not in sheet.choices):
        wide = column in sheet.multiline
        label = f"{sheet.named(column)} *" if column in sheet.required else sheet.named(column)
        key, start_with = f"{KEY}_{column}_{turn}", str(start.get(column, ""))
        told = _("At most {n} characters.").format(n=f"{sheet.limits[column]:,}")
        with (st if wide else grid).container(gap="xsmall"):
            if wide:
                typed[column] = st.text_area(label, start_with, key=key, help=told, height=80)
            else:
                typed[column] = st.text_input(label, start_with, key=key, help=told)
            _problem(problems, column)
    typed["main"] = st.checkbox(sheet.main, start.get("main") is True, key=f"{KEY}_main_{turn}")
    _problem(problems, "")
    return typed, st.button(_("Save"), type="primary", key=f"{KEY}_save", shortcut=SAVE_KEYS)


def _choice(label: str, names: Mapping[str, str], chosen: str | None, key: str) -> str:
    codes = list(names)
    index = codes.index(chosen) if chosen in codes else 0
    return str(st.selectbox(label, codes, index=index, format_func=lambda code: _(names[code]), key=key))


def _problem(problems: Mapping[str, str], column: str) -> None:
    if column in problems:
        st.markdown(f":red[:material/error: {wording.plain(problems[column])}]")


def _chosen(sheet: Sheet, found: dict[str, Any]) -> bool:
    """Both sides of a stale save, column by column; the form is drawn again with the choice. False until then."""
    error: Conflict = found["clash"]
    st.warning(wording.sentence(error.message))
    kept = {row["column"]: _sides(sheet, row) for row in error.rows}
    if st.button(_("Go on with these values"), type="primary", key=f"{KEY}_clash_done"):
        for row in error.rows:
            found["opened"][row["column"]] = row["theirs"]
            if kept[row["column"]] == "theirs":
                found["typed"][row["column"]] = row["theirs"]
        found |= {"clash": None, "version": error.details["version"]}
        st.session_state[f"{KEY}_turn"] += 1
        st.rerun()
    return False


def _sides(sheet: Sheet, row: Mapping[str, Any]) -> str:
    column = row["column"]

    def named(side: str) -> str:
        return f"{_('Mine') if side == 'mine' else _('Theirs')}: {_shown(sheet, column, row[side])}"

    key = f"{KEY}_clash_{column}"
    return str(st.radio(sheet.named(column), ("mine", "theirs"), format_func=named, key=key))


def _shown(sheet: Sheet, column: str, value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    names = sheet.choices.get(column, {})
    return _(names[value]) if value in names else wording.plain(value) or "–"
