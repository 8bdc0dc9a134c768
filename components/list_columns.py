"""The columns of the customer list: what there is to choose from, the choice itself, and how each is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from components import custom_fields_view, data, exports, wording
from db import custom_fields, customer_columns, preferences
from db.column_names import COLUMNS, MOST_COLUMNS, USUAL, WITHHELD, shown
from db.custom_values import PREFIX, Field
from db.customer_filters import Filters
from db.permissions import Permission, Viewer
from db.words import _, language

KEY = "customers_columns"
BESIDE = ("source", "created_at", "tags")
"""What stands in no row of the list itself, as custom fields do not; it is read for the rows in sight."""


def offered(viewer: Viewer) -> dict[str, str]:
    """Column → its name, of all that this viewer may see."""
    plain = {name: _(called) for name, called in COLUMNS.items() if not (viewer.masked and name in WITHHELD)}
    return plain | {PREFIX + key: field.label for key, field in fields(viewer).items()}


def fields(viewer: Viewer) -> dict[str, Field]:
    """Key → custom field in use, of those that this viewer may see."""
    found = data.read(custom_fields.in_use, viewer=viewer)
    return {key: field for key, field in found.items() if not (field.personal and viewer.masked)}


def usual(viewer: Viewer, columns: Sequence[str]) -> bool:
    """Whether these are the columns that nobody chose: an export then has all there are."""
    return tuple(columns) == tuple(name for name in USUAL if not (viewer.masked and name in WITHHELD))


def own(viewer: Viewer, columns: Sequence[str]) -> dict[str, Field]:
    """Those of `fields` that stand among these columns; nothing is asked where there is none."""
    return fields(viewer) if any(name.startswith(PREFIX) for name in columns) else {}


def export(viewer: Viewer, filters: Filters, columns: Sequence[str]) -> None:
    """The button that exports the list as it is narrowed, with the columns that were chosen, for who may."""
    if viewer.can(Permission.CUSTOMERS_EXPORT):
        chosen = {} if usual(viewer, columns) else {"columns": list(columns)}
        exports.button("customers", {"filters": vars(filters)} | chosen, viewer=viewer, key="customers_export")


def choose(viewer: Viewer, *, of_view: str, columns: Sequence[str] | None) -> tuple[str, ...]:
    """The choice, folded; gives the columns to show. `of_view` names the open view ('' without one) and its version.

    With `columns` of a view's own the choice begins with these and is kept nowhere until the view is updated; else it
    is the user's, kept for all their lists.
    """
    known = offered(viewer)
    key = f"{KEY}_{of_view if columns is not None else ''}_{language()}"
    if key not in st.session_state:
        kept = (
            data.read(preferences.get, viewer=viewer, key=preferences.CUSTOMER_COLUMNS) if columns is None else columns
        )
        st.session_state[key] = list(shown(kept, known))
        st.session_state[f"{key}_kept"] = st.session_state[key]
    else:  # what was archived, or withheld, since
        st.session_state[key] = [name for name in st.session_state[key] if name in known]
    with st.popover(_("Columns"), icon=":material/view_column:", key=KEY):
        chosen: list[str] = st.multiselect(
            _("Columns after the name, in this order"),
            list(known),
            format_func=lambda name: wording.plain(known[name]),
            key=key,
            max_selections=MOST_COLUMNS,
            placeholder=_("The name alone"),
        )
        st.caption(
            _("For all your lists; the export has them too, after the number.")
            if columns is None
            else _("Of this view; your own choice stays as it is. The export has them too, after the number.")
        )
        standing = list(shown(None, known))
        if chosen != standing:
            st.button(_("As usual"), key=f"{KEY}_usual", on_click=_hold, args=(key, standing))
    if columns is None and chosen != st.session_state[f"{key}_kept"]:
        st.session_state[f"{key}_kept"] = list(chosen)
        kept_as = None if chosen == standing else list(chosen)
        data.write(preferences.choose, actor=viewer, key=preferences.CUSTOMER_COLUMNS, value=kept_as)
    return tuple(chosen)


def _hold(key: str, columns: list[str]) -> None:
    st.session_state[key] = columns


def beside(viewer: Viewer, columns: Sequence[str], ids: Sequence[int]) -> pd.DataFrame | None:
    """What these columns need that the rows do not have; None when they need nothing."""
    if not any(name in BESIDE or name.startswith(PREFIX) for name in columns):
        return None
    return data.read(customer_columns.beside, viewer=viewer, customer_ids=tuple(ids))


def values(
    rows: pd.DataFrame,
    columns: Sequence[str],
    *,
    more: pd.DataFrame | None,
    own: Mapping[str, Field],
    stages: Mapping[str, str],
    zone: str,
) -> pd.DataFrame:
    """The rows as the grid shows them: the name, then these columns."""
    found: dict[str, Any] = {"name": rows["name"]}
    if more is not None:
        more = pd.DataFrame({"id": rows["id"]}).merge(more, on="id", how="left")
    for name in columns:
        if name.startswith(PREFIX):
            assert more is not None
            found[name] = _custom(more["custom"], name.removeprefix(PREFIX), own)
        elif name in BESIDE:
            assert more is not None
            found[name] = _beside(name, more[name], zone)
        else:
            found[name] = _plain(name, rows[name], stages)
    return pd.DataFrame(found)


def _plain(name: str, column: pd.Series, stages: Mapping[str, str]) -> Any:
    match name:
        case "stage":
            return [stages[stage] for stage in column]
        case "region":
            return [wording.translated(region) for region in column]
        case "owner":
            return [wording.person(owner) for owner in column]
        case "revenue":
            return column.astype(float)
        case "last_order_on":
            return pd.to_datetime(column)
    return column


def _beside(name: str, column: pd.Series, zone: str) -> Any:
    if name == "created_at":
        return pd.to_datetime(column, utc=True).dt.tz_convert(ZoneInfo(zone)).dt.tz_localize(None)
    if name == "tags":
        return [wording.listed(tags) if isinstance(tags, list) else "" for tags in column]
    return [wording.translated(source) if isinstance(source, str) else "" for source in column]


def _custom(column: pd.Series, key: str, own: Mapping[str, Field]) -> Any:
    field = own[key]
    held = [values.get(key) if isinstance(values, dict) else None for values in column]
    if field.type == "number":
        return pd.to_numeric(pd.Series(held, dtype=object), errors="coerce")
    if field.type == "date":
        return pd.to_datetime(pd.Series(held, dtype=object), errors="coerce")
    return [custom_fields_view.told(field, value) for value in held]


def drawn(columns: Sequence[str], *, own: Mapping[str, Field], currency: str) -> dict[str, Any]:
    """Column → how the grid draws it; the name first."""
    found: dict[str, Any] = {"name": st.column_config.TextColumn(_("Name"), width=150)}
    for name in columns:
        label = own[name.removeprefix(PREFIX)].label if name.startswith(PREFIX) else _(COLUMNS[name])
        kind = own[name.removeprefix(PREFIX)].type if name.startswith(PREFIX) else name
        if kind == "revenue":
            label = _("Revenue ({currency})").format(currency=currency)
            found[name] = st.column_config.NumberColumn(label, format="%,.2f", width=110)
        elif kind in ("orders", "number"):
            width = 70 if kind == "orders" else 100
            found[name] = st.column_config.NumberColumn(label, format="localized", width=width)
        elif kind in ("last_order_on", "created_at", "date"):
            found[name] = st.column_config.DateColumn(label, format="YYYY-MM-DD", width=100)
        else:
            found[name] = st.column_config.TextColumn(label, width=_WIDTHS.get(name, 130))
    return found


_WIDTHS = {"stage": 80, "phone": 140, "email": 180, "company": 150, "region": 90, "city": 90, "owner": 110, "tags": 150}
