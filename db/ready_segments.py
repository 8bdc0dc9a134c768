"""The segments that everybody has: rules like any other, in groups, each declared here once.

The stages are the lifecycle, from prospect to lost; db/lifecycle.py has their rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db import rfm
from db.fields import DECILES
from db.metrics import N_, STAGE_NAMES, Stage
from db.rules import Group, parse
from db.words import _

GROUPS: Mapping[str, str] = {
    "stages": N_("Stages"),
    "occasions": N_("Occasions"),
    "classes": N_("RFM classes"),
    "value_classes": N_("RFM, eight classes"),
    "value": N_("Value"),
}
LATELY_DAYS = 30
AHEAD_DAYS = 7
QUIET = 2
"""A customer's own intervals without an order, from which they are quiet for too long."""


@dataclass(frozen=True)
class Ready:
    """One of them; `group` is a key of GROUPS."""

    name: str
    group: str
    rule: Group


def _is(field: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"field": field, "op": op} | ({} if value is None else {"value": value})


def every() -> dict[str, Ready]:
    """Code → the segment, its name in the reader's language; by group."""

    def made(group: str, name: str, *leaves: dict[str, Any]) -> Ready:
        return Ready(name, group, parse({"all": list(leaves)}))

    top = len(DECILES)
    return {
        **{
            f"stage_{s.value}": made(
                "stages", _("Stage: {name}").format(name=_(STAGE_NAMES[s])), _is("stage", "in", [s.value])
            )
            for s in Stage
        },
        "entered": made(
            "occasions",
            _("Entered in the last {n} days").format(n=LATELY_DAYS),
            _is("created_on", "in the last", LATELY_DAYS),
        ),
        "newcomers": made(
            "occasions",
            _("First order in the last {n} days").format(n=LATELY_DAYS),
            _is("first_order_on", "in the last", LATELY_DAYS),
        ),
        "new_month": made("occasions", _("New this month"), _is("created_on", "during", "this month")),
        "first_month": made("occasions", _("First order this month"), _is("first_order_on", "during", "this month")),
        "anniversary": made(
            "occasions",
            _("Anniversary of the first order in the next {n} days").format(n=AHEAD_DAYS),
            _is("first_order_on", "anniversary in the next", AHEAD_DAYS),
        ),
        "due": made(
            "occasions",
            _("Next purchase due in the next {n} days").format(n=AHEAD_DAYS),
            _is("next_due_on", "in the next", AHEAD_DAYS),
        ),
        "quiet": made("occasions", _("Quiet for too long, by their own rhythm"), _is("rhythm", ">=", QUIET)),
        **{
            code: made("classes", _("RFM: {name}").format(name=_(name)), _is("rfm_class", "in", [code]))
            for code, name in rfm.CLASSES.items()
        },
        **{
            code: made("value_classes", _(name), _is("rfm_value", "in", [code]))
            for code, name in rfm.VALUE_CLASSES.items()
        },
        "recent": made("value", _("The most recent fifth"), _is("r_score", "in", ["5"])),
        "frequent": made("value", _("The most frequent fifth"), _is("f_score", "in", ["5"])),
        "valuable": made("value", _("The most valuable fifth"), _is("m_score", "in", ["5"])),
        **{
            f"decile_{n}": made("value", _decile(n, top), _is("value_decile", "in", [str(n)]))
            for n in range(top, 0, -1)
        },
    }


def _decile(n: int, top: int) -> str:
    if n == top:
        return _("Value: the top 10%")
    return _("Value: tenth {n} of 10").format(n=n)
