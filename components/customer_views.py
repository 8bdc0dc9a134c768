"""Views of the customer list: kept ones are opened, the present one is kept, updated, shared or deleted.

Which view is open stands in the address as `customers_view`; what it is narrowed by stands there too, as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from components import (
    controls,
    customer_filters,
    data,
    list_columns,
    own_filters,
    page,
    view_clash,
    view_words,
    wording,
)
from components.customer_filters import KEY, Asked, Choices
from components.view_words import read
from db import saved_views, view_params
from db.column_names import shown
from db.customer_filters import BEFORE, WITHIN
from db.errors import Conflict, NotFound
from db.permissions import Viewer
from db.saved_views import View
from db.words import _

PARAMETER = f"{KEY}_view"
_OPENED = f"{PARAMETER}_opened"


def choices(viewer: Viewer, *, stages: Mapping[str, str], currency: str) -> Choices:
    """What the list can be narrowed by, with the tags and segments of all views, which are told in words."""
    asked = _asked(viewer)
    named = [tag for params in asked for tag in params.get("tags", "").split(",") if tag]
    of_views = [params["segment"] for params in asked if params.get("segment")]
    return customer_filters.choices(viewer, stages=stages, currency=currency, named=named, segments_named=of_views)


def _asked(viewer: Viewer) -> list[Mapping[str, str]]:
    """The parameters of all views, and of what somebody is about to make of the open one."""
    asked: list[Mapping[str, str]] = [each.params for each in data.read(saved_views.listed, viewer=viewer)]
    one = _addressed(viewer)
    if one:
        clash = view_clash.found(one)
        asked += [one.params, (clash.values.get("params") or {}) if clash else {}]
        asked += [view_clash.opened(one).params] if one.mine else []
    return asked


# --- opening ---------------------------------------------------------------------------------------------------------


def follow(viewer: Viewer, known: Choices, *, sorts: Mapping[str, str]) -> View | None:
    """The view that the address names. Before the controls are drawn: one that is new there fills them.

    A link with filters beside the view shows these: it says how somebody saw the list, who had changed them.
    """
    written = st.query_params.get(PARAMETER)
    if written is None:
        st.session_state.pop(_OPENED, None)
        return None
    found = _addressed(viewer)
    if found is None or found.archived_at is not None:
        with st.container(horizontal=True, vertical_alignment="center", key=f"{PARAMETER}_gone"):
            st.warning(_("The view of this link is not there any more, or is not shared with you."))
            st.button(_("Hide"), type="tertiary", key=f"{PARAMETER}_hide", on_click=_leave)
        return None
    if st.session_state.get(_OPENED) != written:
        st.session_state[_OPENED] = written
        view_clash.forget()
        others = {name for name in st.query_params if name.startswith(f"{KEY}_")} - {PARAMETER, f"{KEY}_page"}
        if not others:
            customer_filters.hold([held(read(found, known, sorts=sorts).params)])
    return found


def held(params: Mapping[str, str]) -> dict[str, Any]:
    """What all controls of the list hold under these parameters."""
    found: dict[str, Any] = {f"{KEY}_search": params.get("search", ""), f"{KEY}_descending": "descending" in params}
    for name in ("owner", "team", "stage", "region", "source", "ordered", "contacted", "archived", "segment"):
        found[controls.key_of(f"{KEY}_{name}")] = params.get(name, "")
    found[controls.key_of(f"{KEY}_sort")] = params.get("sort", "name")
    found[controls.key_of(f"{KEY}_tags")] = [tag for tag in params.get("tags", "").split(",") if tag]
    for name in ("revenue_from", "revenue_to"):
        found[controls.key_of(f"{KEY}_{name}")] = int(params[name]) if name in params else None
    for name in ("ordered", "contacted"):
        if params.get(name) in (WITHIN, BEFORE):
            days = params.get(f"{name}_days", customer_filters.USUAL_DAYS[name])
            found[controls.key_of(f"{KEY}_{name}_days")] = int(days)
    of = view_params.OF_FIELD
    own = {name.removeprefix(of): value for name, value in params.items() if name.startswith(of)}
    return found | {controls.key_of(own_filters.NAME): own}


def _addressed(viewer: Viewer) -> View | None:
    """The view that the address names, if there is one that the viewer may see."""
    written = st.query_params.get(PARAMETER, "")
    if not (written.isascii() and written.isdecimal() and len(written) < 19):
        return None
    try:
        return data.read(saved_views.get, viewer=viewer, view_id=int(written))
    except NotFound:
        return None


def _open(view_id: int, holding: Mapping[str, Any]) -> None:
    st.session_state[_OPENED] = st.query_params[PARAMETER] = str(view_id)
    view_clash.forget()
    customer_filters.hold([holding])


def _leave(holding: Mapping[str, Any] | None = None) -> None:
    st.session_state.pop(_OPENED, None)
    st.query_params.pop(PARAMETER, None)
    if holding is not None:
        customer_filters.hold([holding])


# --- the views of a list ---------------------------------------------------------------------------------------------


def draw(
    viewer: Viewer, known: Choices, asked: Asked, view: View | None, *, sorts: Mapping[str, str]
) -> tuple[str, ...]:
    """The views, the columns and what there is to say of the open view; gives the columns to show."""
    reading = read(view, known, sorts=sorts) if view else None
    opened = view_clash.opened(view) if view and view.mine else view
    of_view = f"{opened.id}_{opened.version}" if opened else ""
    with asked.last:
        columns = list_columns.choose(viewer, of_view=of_view, columns=opened.columns if opened else None)
    now = view_params.params_of(asked.filters, asked.sort, asked.descending)
    changed, left = False, list(reading.left_out) if reading else []
    if view and reading:
        offered = list_columns.offered(viewer)
        left += [_("a column") for name in view.columns or () if name not in offered]
        changed = _sorted(now) != _sorted(reading.params)
        changed = changed or (view.columns is not None and columns != shown(view.columns, offered))
    label = _("Views")
    if view:
        label = wording.plain(view.name) + (f" · {_('changed')}" if changed else "")
    with asked.first, st.popover(label, icon=":material/bookmarks:", key=f"kehu_views_{of_view}"):
        _listed(viewer, known, view, sorts=sorts)
        if view and opened and view.mine:
            _manage(viewer, view, opened, now, columns, changed=changed or bool(left))
        _keep(viewer, now, columns)
        _deleted(viewer)
    clash = view_clash.found(view) if view else None
    if view and clash:
        with asked.below:
            _both_sides(viewer, view, clash, known, sorts=sorts)
    if left:
        said = _("Not among what you can filter by, so left out of this view: {what}.")
        asked.below.warning(wording.sentence(said.format(what=wording.listed(dict.fromkeys(left)))))
    return columns


def _sorted(params: Mapping[str, str]) -> dict[str, str]:
    return {n: ",".join(sorted(value.split(","))) if n == "tags" else value for n, value in params.items()}


def _listed(viewer: Viewer, known: Choices, view: View | None, *, sorts: Mapping[str, str]) -> None:
    views = data.read(saved_views.listed, viewer=viewer)
    groups: dict[str, list[View]] = {_("Mine"): [], _("My team's"): [], _("Shared with everybody"): []}
    mine, team, shared = groups.values()
    for each in views:
        (mine if each.owner_id == viewer.user_id else team if each.visibility == "team" else shared).append(each)
    if not views:
        st.caption(_("No views yet. A view keeps search, filters, order and, if you like, columns under a name."))
    for name, group in groups.items():
        if group:
            st.caption(name)
        for each in group:
            by = "" if each.owner_id == viewer.user_id else f" · {wording.plain(wording.person(each.owner))}"
            st.button(
                wording.plain(each.name) + by,
                icon=":material/check:" if view and each.id == view.id else _ICONS[each.visibility],
                type="tertiary",
                key=f"{PARAMETER}_open_{each.id}",
                on_click=_open,
                args=(each.id, held(read(each, known, sorts=sorts).params)),
            )
    if view:
        st.button(
            _("Everybody, without a view"),
            icon=":material/close:",
            type="tertiary",
            key=f"{PARAMETER}_leave",
            on_click=_leave,
            args=(held({}),),
        )


_ICONS = {"private": ":material/bookmark:", "team": ":material/group:", "shared": ":material/public:"}


def _manage(
    viewer: Viewer, view: View, opened: View, now: dict[str, str], columns: tuple[str, ...], *, changed: bool
) -> None:
    """What its owner does with the open view; the form is that of the view as it was `opened`."""
    st.divider()
    of = f"{opened.id}_{opened.version}"
    if changed and st.button(_("Update view"), icon=":material/save:", type="primary", key=f"{PARAMETER}_update"):
        own: dict[str, Any] = {} if opened.columns is None else {"columns": list(columns)}
        _save(viewer, view, {"params": now} | own, _("View updated."))
    with st.expander(_("Name and sharing"), icon=":material/edit:", key=f"{PARAMETER}_details_{of}"):
        given = _form(viewer, of, view=opened, send=_("Save"))
        if given is not None:
            given["columns"] = list(columns) if given["columns"] else None
            before = view_clash.contents(opened)
            _save(viewer, view, {c: v for c, v in given.items() if v != before[c]}, _("View changed."))
    if st.button(_("Delete view"), icon=":material/delete:", key=f"{PARAMETER}_delete"):
        with page.guard():
            set_id = data.write(saved_views.archive, actor=viewer, view_id=view.id, screen="customers")
            _leave()
            controls.saved(set_id, _("View “{name}” deleted.").format(name=wording.plain(view.name)))


def _save(viewer: Viewer, view: View, values: dict[str, Any], done: str, *, over: int | None = None) -> None:
    """Save what was changed since the view was opened; or `over` the version whose values stood beside one's own."""
    opened = view_clash.opened(view)
    seen: dict[str, Any] = {"version": opened.version, "opened": view_clash.contents(opened)}
    with page.guard():
        try:
            set_id = data.write(
                saved_views.save,
                actor=viewer,
                view_id=view.id,
                values=values,
                screen="customers",
                **(seen if over is None else {"version": over}),
            )
        except Conflict as error:
            if not error.rows:
                raise
            view_clash.remember(view, error, values, done)
            st.rerun()
        merged = [] if over is not None else view_clash.merged(view, values)
        view_clash.saved()
        if merged:
            names = wording.listed(_column_names()[column] for column in merged)
            done += " " + _("Meanwhile somebody else changed {fields}; both are kept.").format(fields=names)
        if set_id:
            controls.saved(set_id, done)


def _both_sides(
    viewer: Viewer, view: View, clash: view_clash.Clash, known: Choices, *, sorts: Mapping[str, str]
) -> None:
    """What one wanted to save and what somebody else has saved; one of them is kept."""
    names = list_columns.offered(viewer)

    def told(row: Mapping[str, Any], side: str) -> str:
        return view_words.told(row["column"], row[side], known, sorts=sorts, names=names)

    sides = [(_column_names()[row["column"]], told(row, "mine"), told(row, "theirs")) for row in clash.error.rows]
    theirs = held(read(view, known, sorts=sorts).params)
    if view_clash.draw(clash, sides, take_theirs=_open, args=(view.id, theirs)):
        _save(viewer, view, dict(clash.values), clash.done, over=clash.error.details["version"])


def _column_names() -> dict[str, str]:
    return {"name": _("Name"), "visibility": _("Who sees it"), "params": _("Filters"), "columns": _("Columns")}


def _deleted(viewer: Viewer) -> None:
    """One's own views that were deleted, each to be had back."""
    gone = data.read(saved_views.aside, viewer=viewer).deleted
    if not gone:
        return
    with st.expander(_("Deleted lately"), icon=":material/history:", key=f"{PARAMETER}_deleted"):
        st.caption(_("Your last {n} deleted views; a click restores one.").format(n=saved_views.MOST_DELETED))
        for each in gone:
            key, icon = f"{PARAMETER}_restore_{each.id}", ":material/restore_from_trash:"
            if st.button(wording.plain(each.name), icon=icon, type="tertiary", key=key, help=_("Restore")):
                with page.guard():
                    set_id = data.write(
                        saved_views.archive, actor=viewer, view_id=each.id, archived=False, screen="customers"
                    )
                    controls.saved(set_id, _("View “{name}” restored.").format(name=wording.plain(each.name)))


def _keep(viewer: Viewer, now: dict[str, str], columns: tuple[str, ...]) -> None:
    with st.expander(_("Save as view"), icon=":material/bookmark_add:", key=f"{PARAMETER}_add"):
        given = _form(viewer, "new", send=_("Save view"))
        if given is None:
            return
        given |= {"params": now, "columns": list(columns) if given["columns"] else None}
        with page.guard():
            view_id, set_id = data.write(saved_views.add, actor=viewer, **given, screen="customers")
            st.session_state[_OPENED] = st.query_params[PARAMETER] = str(view_id)
            controls.saved(set_id, _("View “{name}” saved.").format(name=wording.plain(given["name"])))


def _form(viewer: Viewer, of: str, *, send: str, view: View | None = None) -> dict[str, Any] | None:
    """Name, who sees it, whether it has columns of its own; gives them when they are sent."""
    reach = view_words.reach()
    others = view is not None and (view.visibility == "team" or view.owner_id != viewer.user_id)
    if not (others or data.read(saved_views.aside, viewer=viewer).has_team):
        del reach["team"]
    with st.form(f"{PARAMETER}_form_{of}", border=False):
        given = {
            "name": st.text_input(
                _("Name") + " *",
                view.name if view else "",
                max_chars=saved_views.MOST_NAME,
                key=f"{PARAMETER}_name_{of}",
            ),
            "visibility": st.selectbox(
                _("Who sees it"),
                list(reach),
                list(reach).index(view.visibility) if view else 0,
                format_func=reach.__getitem__,
                key=f"{PARAMETER}_reach_{of}",
                help=_("Everybody sees their own customers in it. Only you and administrators change it."),
            ),
            "columns": st.toggle(
                _("With the columns shown now"),
                bool(view and view.columns is not None),
                key=f"{PARAMETER}_columns_{of}",
                help=_("Otherwise everybody sees the columns that they have chosen."),
            ),
        }
        return given if st.form_submit_button(send, type="primary", key=f"{PARAMETER}_send_{of}") else None
