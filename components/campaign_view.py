"""Campaigns as people read them: states, rates with intervals, the figures of one beside another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from components import charts, format, tables, wording
from db.metrics import CAMPAIGN_METRICS
from db.words import _

Interval = tuple[float, float]


def state(code: str) -> str:
    """Planned, running or ended, in words."""
    return {"planned": _("planned"), "running": _("running"), "ended": _("ended")}[code]


def change(value: float | None) -> str:
    """'+6.5%' against the time before; "not known" where the data does not hold both."""
    return _("not known") if value is None else f"{value * 100:+.1f}%"


def revenue(one: Any, currency: str) -> str:
    """The revenue in the window, marked where orders are not known for all of it."""
    return format.money(one.revenue, currency) + ("" if one.complete else "*")


def incomplete(found: Sequence[Any]) -> None:
    """What the mark on a revenue means, where there is one."""
    if any(not one.complete and one.reached for one in found):
        st.caption(_("\\* Orders are not known for the whole window: it is not over, or began before the data."))


def pick(found: Sequence[Any], intervals: Sequence[Interval], *, currency: str) -> tables.Picked:
    """The league: one row for each campaign, of which one may be clicked."""
    name = {key: _(metric.name) for key, metric in CAMPAIGN_METRICS.items()}
    shown = pd.DataFrame(
        {
            "campaign": [wording.campaign(one.name) for one in found],
            "kind": [one.kind for one in found],
            "days": [format.days(one.starts_on, one.ends_on) for one in found],
            "state": [state(one.state) for one in found],
            "reached": [one.reached for one in found],
            "redeemers": [one.redeemers for one in found],
            "redemptions": [one.redemptions for one in found],
            "rate": [
                tables.rate(one.redeemers, one.reached, interval)
                for one, interval in zip(found, intervals, strict=True)
            ],
            "revenue": [revenue(one, currency) for one in found],
            "per_head": [format.money(one.per_head, currency) for one in found],
            "change": [change(one.change) for one in found],
        }
    )
    number, label = st.column_config.NumberColumn, st.column_config.TextColumn
    columns = {
        "campaign": label(_("Campaign"), width=110, pinned=True),
        "kind": label(_("Type"), width=50),
        "state": label(_("State"), width=70),
        "reached": number(name["reached"], format="localized", width=75),
        "redeemers": number(name["redeemers"], format="localized", width=85),
        "redemptions": number(name["redemptions"], format="localized", width=95),
        "rate": label(_("Rate (95% interval)"), width=150, alignment="right"),
        "revenue": label(name["campaign_revenue"], width=140, alignment="right"),
        "per_head": label(name["per_head"], width=120, alignment="right"),
        "change": label(name["against_before"], width=105, alignment="right"),
        "days": label(_("Days"), width=190),
    }
    height = tables.height(len(found), 14)
    return tables.pick_row(shown, columns, key="campaigns_list", widths=(7, 4), height=height)


def figures(one: Any, interval: Interval, *, currency: str) -> None:
    """The cards of one campaign, each with its definition."""
    rate = one.redeemers / one.reached if one.reached else None
    low, high = interval
    cards = {
        "reached": (format.number(one.reached), ""),
        "buyers": (format.number(one.buyers), _of(one.buyers, one.reached)),
        "promoted_buyers": (format.number(one.promoted_buyers), _of(one.promoted_buyers, one.reached)),
        "redeemers": (format.number(one.redeemers), ""),
        "redemptions": (format.number(one.redemptions), ""),
        "redemption_rate": (
            format.percent(rate),
            f"{low * 100:.1f}–{high * 100:.1f}%" if one.reached else "",
        ),
        "campaign_revenue": (
            format.short(one.revenue, "money", currency) + ("" if one.complete else "*"),
            _("Exactly: {value}").format(value=format.money(one.revenue, currency)),
        ),
        "per_head": (format.short(one.per_head, "money", currency), ""),
        "against_before": (change(one.change), ""),
    }
    with st.grid(columns="auto", min_column_width=172, gap="small"):
        for key, (value, more) in cards.items():
            metric = CAMPAIGN_METRICS[key]
            told = _(metric.formula) + (f"\n\n{more}" if more and key == "campaign_revenue" else "")
            beside = more if key in ("buyers", "promoted_buyers", "redemption_rate") and more else None
            st.metric(
                _(metric.name),
                value,
                beside,
                delta_color="off",
                delta_arrow="off",
                help=told,
                border=True,
                height="stretch",
            )


def versus(one: Any, other: Any, intervals: tuple[Interval, Interval], *, currency: str) -> None:
    """The same figures of two campaigns, line by line."""
    both = (one, other)
    name = {key: _(metric.name) for key, metric in CAMPAIGN_METRICS.items()}
    rows = {
        name["reached"]: [format.number(c.reached) for c in both],
        name["buyers"]: [format.number(c.buyers) for c in both],
        name["promoted_buyers"]: [format.number(c.promoted_buyers) for c in both],
        name["redeemers"]: [format.number(c.redeemers) for c in both],
        name["redemptions"]: [format.number(c.redemptions) for c in both],
        name["redemption_rate"]: [
            tables.rate(c.redeemers, c.reached, interval) for c, interval in zip(both, intervals, strict=True)
        ],
        name["campaign_revenue"]: [revenue(c, currency) for c in both],
        name["per_head"]: [format.money(c.per_head, currency) for c in both],
        name["against_before"]: [change(c.change) for c in both],
    }
    heads = [wording.campaign(c.name) for c in both]
    frame = pd.DataFrame([[label, *cells] for label, cells in rows.items()], columns=["", *heads])
    tables.small(frame, right=heads)
    for head, c in zip(heads, both, strict=True):
        st.caption(wording.line(wording.plain(head), format.days(c.starts_on, c.ends_on)))
    (low, high), (other_low, other_high) = intervals
    if low > other_high or other_low > high:
        st.caption(_("The intervals of the redemption rates do not overlap: the difference is unlikely to be chance."))
    else:
        st.caption(_("The intervals of the redemption rates overlap: the difference may be chance."))


def by_slice(rows: pd.DataFrame, intervals: Sequence[Interval], *, key: str) -> None:
    """Redemption rates of the slices as dots with whiskers; `rows` as db.funnel.steps gives them."""
    names = [slice_name(value) for value in rows["slice"]]
    redeemers = rows["redeemed"] + rows["unmatched"]
    charts.whiskers(
        [f"{name} · {format.number(n)}" for name, n in zip(names, rows["received"], strict=True)],
        [part / whole if whole else 0.0 for part, whole in zip(redeemers, rows["received"], strict=True)],
        intervals,
        [
            tables.rate(int(part), int(whole), interval)
            for part, whole, interval in zip(redeemers, rows["received"], intervals, strict=True)
        ],
        key=key,
        alt=_("Redemption rate with its interval"),
    )


def products(sold: pd.DataFrame, *, most: int, currency: str) -> None:
    """Promoted products with buyers and amount, as db.campaigns.products gives them."""
    if sold.empty:
        st.caption(_("No promoted product was bought."))
        return
    cells = {
        _("Product"): [str(name).title() for name in sold["product"]],
        _("Category"): [str(name).title() for name in sold["category"]],
        _("Buyers"): [format.number(n) for n in sold["buyers"]],
        _("Amount"): [format.money(v, currency) for v in sold["amount"]],
    }
    tables.small(pd.DataFrame(cells), right=(_("Buyers"), _("Amount")))
    if len(sold) == most:
        st.caption(_("The first {n}.").format(n=most))


def slice_name(value: str) -> str:
    """The value that a slice stands for."""
    return wording.translated(value) if value else _("not known")


def _of(part: int, whole: int) -> str:
    return format.percent(part / whole) if whole else ""
