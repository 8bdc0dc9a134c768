"""Commands over campaigns: campaigns, funnel."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from analytics.intervals import wilson
from db import campaigns, clock, funnel, settings
from db.campaigns import Campaign, State
from db.connection import begin
from db.funnel import Step
from db.metrics import CAMPAIGN_METRICS, N_
from db.permissions import Permission
from db.terminal import output as out
from db.terminal.command import Command, no_options, number, viewer_of
from db.terminal.output import Output
from db.words import _

CUTS = {"age": "age_band", "income": "income_band", "region": "region"}


def _campaigns(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        kept = settings.get(conn)
        found, more = campaigns.league(conn, viewer=viewer, today=clock.today(kept.time_zone))
    data = {"rows": [_row(one) for one in found], "currency": kept.currency, "more": more}
    if not found:
        return Output(data, _("There is no campaign yet."))
    states = {State.PLANNED: _("planned"), State.RUNNING: _("running"), State.ENDED: _("ended")}
    name = {key: _(metric.name) for key, metric in CAMPAIGN_METRICS.items()}
    listed = out.table(
        {
            _("Number"): [str(one.id) for one in found],
            _("Campaign"): [one.name for one in found],
            _("Type"): [one.kind for one in found],
            _("Days"): [out.days(one.starts_on, one.ends_on) for one in found],
            _("State"): [states[one.state] for one in found],
            name["reached"]: [out.number(one.reached) for one in found],
            name["redeemers"]: [out.number(one.redeemers) for one in found],
            name["redemptions"]: [out.number(one.redemptions) for one in found],
            name["redemption_rate"]: [_rate(one) for one in found],
            name["campaign_revenue"]: [_revenue(one, kept.currency) for one in found],
            name["per_head"]: [out.money(one.per_head, kept.currency) for one in found],
            name["against_before"]: [_change(one) for one in found],
        },
        right=(_("Number"), *(name[key] for key in name if key not in ("buyers", "promoted_buyers"))),
    )
    parts = [listed]
    if any(not one.complete and one.reached for one in found):
        parts.append(_("* Orders are not known for the whole window."))
    return Output(data, "\n\n".join(parts))


def _row(one: Campaign) -> dict[str, Any]:
    low, high = wilson(one.redeemers, one.reached) if one.reached else (None, None)
    return {
        "id": one.id,
        "campaign": one.name,
        "type": one.kind,
        "starts_on": one.starts_on,
        "ends_on": one.ends_on,
        "state": one.state.value,
        "reached": one.reached,
        "buyers": one.buyers,
        "promoted_buyers": one.promoted_buyers,
        "redeemers": one.redeemers,
        "redemptions": one.redemptions,
        "redemption_rate": one.redeemers / one.reached if one.reached else None,
        "interval": [low, high],
        "orders": one.orders,
        "revenue": one.revenue,
        "per_head": one.per_head,
        "revenue_before": one.revenue_before if one.comparable else None,
        "against_before": one.change,
        "complete": one.complete,
    }


def _rate(one: Campaign) -> str:
    if not one.reached:
        return _("not known")
    low, high = wilson(one.redeemers, one.reached)
    return f"{out.percent(one.redeemers / one.reached)} ({low * 100:.1f}–{high * 100:.1f}%)"


def _revenue(one: Campaign, currency: str) -> str:
    return out.money(one.revenue, currency) + ("" if one.complete else "*")


def _change(one: Campaign) -> str:
    return _("not known") if one.change is None else f"{one.change * 100:+.1f}%"


def _funnel_options(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=number, help=_("the campaign's number"))
    parser.add_argument("--by", choices=CUTS, default="", help=_("cut by age, income or region"))


def _funnel(args: Namespace) -> Output:
    viewer = viewer_of(args)
    by = CUTS.get(args.by, "")
    with begin(viewer) as conn:
        today = clock.today(settings.get(conn).time_zone)
        one = campaigns.get(conn, viewer=viewer, campaign_id=args.id, today=today)
        rows = out.records(funnel.steps(conn, viewer=viewer, campaign_id=one.id, by=by))
    data = {"id": one.id, "campaign": one.name, "by": args.by or None, "rows": rows}
    names = {
        Step.RECEIVED: _("Received"),
        Step.BOUGHT: _("Bought in the window"),
        Step.PROMOTED: _("Bought promoted"),
        Step.REDEEMED: _("Redeemed"),
    }
    columns = {step: [out.number(row[step]) + _of(row[step], row[Step.RECEIVED]) for row in rows] for step in Step}
    head = {_("Slice"): [row["slice"] or _("not known") for row in rows]} if by else {}
    unmatched = {_("Redeemed only"): [out.number(row["unmatched"]) for row in rows]}
    listed = out.table(
        head | {names[step]: cells for step, cells in columns.items()} | unmatched,
        right=(*names.values(), _("Redeemed only")),
    )
    title = out.line(f"{one.name} #{one.id}", out.days(one.starts_on, one.ends_on))
    told = _("Redeemed only: without a recorded purchase of a promoted product; not in the last step.")
    return Output(data, "\n\n".join([title, listed, told]))


def _of(part: int, whole: int) -> str:
    return f" ({out.percent(part / whole)})" if whole else ""


COMMANDS = (
    Command("campaigns", N_("how each campaign did"), (Permission.CAMPAIGNS_READ,), no_options, _campaigns),
    Command("funnel", N_("from received to redeemed"), (Permission.CAMPAIGNS_READ,), _funnel_options, _funnel),
)
