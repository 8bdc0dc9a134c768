"""The parts of the customer page: each takes its rows and draws them, and gives back what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from components import charts, controls, format, history_lines, tables, undo_bar, undo_since_view, wording
from db.permissions import Permission, Viewer
from db.words import _


def months(monthly: pd.DataFrame, *, currency: str) -> None:
    """Revenue by month, as a line."""
    if len(monthly) < 2:
        return
    values = [float(v) for v in monthly["revenue"]]
    with st.container(border=True):
        st.markdown("**" + _("Revenue · {currency} · by month").format(currency=currency) + "**")
        charts.over_time(
            list(monthly["month"]),
            values,
            [format.money(v, currency) for v in monthly["revenue"]],
            before=[],
            before_texts=[],
            bucket="month",
            name=_("Revenue"),
            key="customer_months",
        )


def categories(top: pd.DataFrame, *, currency: str) -> None:
    """What the customer spends most on."""
    if top.empty:
        return
    with st.container(border=True):
        st.markdown("**" + _("Categories · {currency} · most spent first").format(currency=currency) + "**")
        charts.bars(
            [str(c).title() for c in top["category"]],
            [float(v) for v in top["amount"]],
            [format.money(v, currency) for v in top["amount"]],
            key="customer_categories",
            alt=_("Categories by amount spent"),
        )


def orders(rows: pd.DataFrame, total: int, *, number: int, page_size: int, zone: str) -> tables.Picked:
    """The orders, newest first, with paging; one may be clicked."""
    shown = pd.DataFrame(
        {
            "placed": [format.instant(at, zone) for at in rows["placed_at"]],
            "store": rows["store"],
            "lines": rows["lines"],
            "amount": rows["amount"].astype(float),
            "discount": rows["discount"].astype(float),
            "currency": rows["currency"],
        }
    )
    columns = {
        "placed": st.column_config.TextColumn(_("Placed")),
        "store": st.column_config.TextColumn(_("Store"), width="small"),
        "lines": st.column_config.NumberColumn(_("Lines"), format="localized", width="small"),
        "amount": st.column_config.NumberColumn(_("Amount"), format="%,.2f", width="small"),
        "discount": st.column_config.NumberColumn(_("Discount"), format="%,.2f", width="small"),
        "currency": st.column_config.TextColumn(_("Currency"), width="small"),
    }
    picked = tables.pick_row(shown, columns, key="customer_orders", widths=(6, 5))
    with picked.below, st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(tables.position((number - 1) * page_size, len(rows), total), width="content")
        if picked.row is None:
            st.caption(_("Click a row to see its lines."), width="content")
        controls.turner("customer_orders_page", number, -(-total // page_size))
    return picked


def lines(rows: pd.DataFrame, *, most: int) -> None:
    """The lines of one order."""
    st.markdown("**" + _("Lines of this order") + "**")
    tables.small(
        pd.DataFrame(
            {
                _("Product"): [str(p).title() for p in rows["product"]],
                _("Package"): rows["package"],
                _("Quantity"): [format.number(q) for q in rows["quantity"]],
                _("Amount"): [format.number(a) for a in rows["amount"]],
                _("Discount"): [format.number(d) for d in rows["discount"]],
            }
        ),
        right=(_("Quantity"), _("Amount"), _("Discount")),
    )
    if len(rows) == most:
        st.caption(_("The first {n} lines are shown.").format(n=most))


def campaigns(rows: pd.DataFrame) -> None:
    """Campaigns received, and whether a coupon was redeemed."""
    if rows.empty:
        st.info(_("No campaign has reached this customer."))
        return
    redeemed = [
        _("{n} times, first on {day}").format(n=r.redemptions, day=format.day(r.first_redeemed_on))
        if r.redemptions
        else _("not redeemed")
        for r in _each(rows)
    ]
    tables.small(
        pd.DataFrame(
            {
                _("Campaign"): [wording.campaign(c) for c in rows["campaign"]],
                _("Days"): [format.days(r.starts_on, r.ends_on) for r in _each(rows)],
                _("Redeemed"): redeemed,
            }
        )
    )


def notes(rows: pd.DataFrame, *, zone: str, may_write: bool, hidden: bool) -> int | None:
    """The notes, newest first; gives the id of the one to delete."""
    asked: int | None = None
    if rows.empty:
        st.caption(_("No notes yet."))
    for row in _each(rows):
        with st.container(border=True, gap="small"):
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                author = wording.plain(wording.person(row.author))
                st.caption(f"{author} · {format.instant(row.created_at, zone)}", width="content")
                if may_write and st.button(
                    _("Delete"), icon=":material/delete:", key=f"customer_note_delete_{row.id}", type="tertiary"
                ):
                    asked = int(row.id)
            st.text(_("hidden from your role") if hidden else row.body)
    return asked


def history(rows: pd.DataFrame, *, viewer: Viewer, people: Mapping[int, str], zone: str, customer_id: int) -> None:
    """Who changed what and when, each with its undo, and that of all after it. `people` are owners' names by id."""
    asked: int | None = None
    if rows.empty:
        st.caption(_("No changes yet."))
    for at, row in enumerate(_each(rows)):
        with st.container(border=True, gap="small"):
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.markdown("**" + history_lines.title(row.command, row.undoes_id) + "**", width="content")
                with st.container(horizontal=True, width="content", vertical_alignment="center"):
                    if at:  # the newest has nothing after it
                        undo_since_view.button(int(row.id), customer_id, viewer)
                    if pd.notna(row.undone_by):
                        st.caption(_("undone"), width="content")
                    elif _undoable(row, viewer) and _undo_button(int(row.id)):
                        asked = int(row.id)
            actor, where = wording.plain(wording.actor(row.actor)), history_lines.source(row.source)
            st.caption(f"{actor} · {format.instant(row.made_at, zone)} · {where} · #{row.id}")
            history_lines.draw(_lines(row.details), viewer=viewer, people=people)
    if asked:
        undo_bar.take_back(asked, viewer=viewer, screen="customer", people=people)


def _each(rows: pd.DataFrame) -> Iterator[Any]:
    """The rows as named tuples; their fields have the types that the query's docstring gives."""
    yield from rows.itertuples()


def _undoable(row: Any, viewer: Viewer) -> bool:
    """What the viewer has the right to do they may take back; a load is more than this customer's."""
    allowed = viewer.can(Permission.CHANGES_UNDO) and viewer.can(Permission(row.permission))
    return allowed and row.source != "demo"


def _undo_button(change_set_id: int) -> bool:
    return st.button(_("Undo"), icon=":material/undo:", key=f"customer_undo_{change_set_id}")


def _lines(details: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for detail in details for line in detail["lines"] if line["column"]]
