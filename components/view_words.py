"""What a view of the customer list asks for: held against what there is to ask for, and told in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components import controls, customer_filters, own_filters, wording
from components.customer_filters import Choices
from db import view_params
from db.customer_filters import MOST_DAYS, MOST_FILTER_TAGS, MOST_REVENUE, RECENCY, Filters
from db.saved_views import View
from db.words import _


@dataclass(frozen=True)
class Reading:
    """What of a view's parameters there is for this reader, and in words what was left out."""

    params: Mapping[str, str]
    left_out: Sequence[str]


def read(view: View, known: Choices, *, sorts: Mapping[str, str]) -> Reading:
    """Hold a view's parameters against what there is. What is unknown is left out and said, never silently."""
    kept = fitting(view.params, known, sorts=sorts)
    left: list[str] = []
    for name, value in view.params.items():
        if kept.get(name) != value and name.startswith(view_params.OF_FIELD):
            left.append(_called(name, known))
        elif kept.get(name) != value:
            gone = ", ".join(tag for tag in value.split(",") if tag not in known.tags) if name == "tags" else value
            left.append(f"{_called(name, known)}: {wording.translated(gone)}")
    return Reading(kept, (*left, *(f"{_called(name, known)} ({_('hidden from your role')})" for name in view.withheld)))


def fitting(params: Mapping[str, str], known: Choices, *, sorts: Mapping[str, str]) -> dict[str, str]:
    """Those of the parameters, and of their values, that there are for this reader."""
    fits = {name: _fitting(name, value, known, sorts) for name, value in params.items()}
    return {name: value for name, value in fits.items() if value}


def told(column: str, value: Any, known: Choices, *, sorts: Mapping[str, str], names: Mapping[str, str]) -> str:
    """The value of a view's column in words; `names` are those of the list's columns."""
    if column == "visibility":
        return reach()[value]
    if column == "columns":
        if value is None:
            return _("those that the reader has chosen")
        return wording.listed(wording.plain(names[name]) for name in value if name in names) or _("none")
    if column == "name":
        return wording.plain(value)
    return wording.plain(_params(fitting(value, known, sorts=sorts), known, sorts=sorts))


def reach() -> dict[str, str]:
    """Who sees a view."""
    return {"private": _("Only me"), "team": _("My team"), "shared": _("Everybody")}


def _params(params: Mapping[str, str], known: Choices, *, sorts: Mapping[str, str]) -> str:
    def number(name: str) -> int | None:
        return int(params[name]) if name in params else None

    texts = {name: params.get(name, "") for name in ("region", "stage", "source", "segment", "ordered", "contacted")}
    days = {name: int(value) for name, value in params.items() if name in ("ordered_days", "contacted_days")}
    own = {k.removeprefix(view_params.OF_FIELD): v for k, v in params.items() if k.startswith(view_params.OF_FIELD)}
    rest: dict[str, Any] = {**texts, **days}
    filters = Filters(
        search=params.get(view_params.SEARCH, ""),
        owner_id=number("owner"),
        team_id=number("team"),
        tags=tuple(tag for tag in params.get("tags", "").split(",") if tag),
        revenue_from=number("revenue_from"),
        revenue_to=number("revenue_to"),
        archived="archived" in params,
        own=tuple(own.items()),
        **rest,
    )
    order = f"{_('Sort by')}: {sorts[params.get('sort', 'name')]}"
    falling = _("Descending") if "descending" in params else ""
    return wording.line(customer_filters.sentence(filters, known), order, falling)


def _fitting(name: str, value: str, known: Choices, sorts: Mapping[str, str]) -> str:
    """The value, or what of it there is; '' for nothing."""
    listed: dict[str, Sequence[str] | Mapping[str, str]] = {
        "owner": known.owners,
        "team": known.teams if len(known.teams) > 1 else (),
        "stage": known.stages,
        "region": known.regions,
        "source": known.sources,
        "ordered": RECENCY,
        "contacted": RECENCY,
        "archived": ("yes",),
        "descending": ("true",),
        "sort": sorts,
    }
    if name in listed:
        return value if value in listed[name] else ""
    if name == "segment":
        return value  # also where it is not there: without it the view would show everybody
    if name == "tags":
        return ",".join([tag for tag in value.split(",") if tag in known.tags][:MOST_FILTER_TAGS])
    if name.startswith(view_params.OF_FIELD):
        return value if own_filters.fits(name.removeprefix(view_params.OF_FIELD), value, known.own) else ""
    if name.startswith("revenue_") or name.endswith("_days"):
        return value if controls.whole(value, MOST_DAYS if name.endswith("_days") else MOST_REVENUE) is not None else ""
    return value if name == view_params.SEARCH else ""


def _called(name: str, known: Choices) -> str:
    own = {**known.own, **known.withheld}.get(name.removeprefix(view_params.OF_FIELD))
    if own and name.startswith(view_params.OF_FIELD):
        return own.label
    names = {
        "search": _("Search"),
        "owner": _("Owner"),
        "team": _("Team"),
        "stage": _("Stage"),
        "region": _("Region"),
        "source": _("Source"),
        "tags": _("Tags"),
        "segment": _("Segment"),
        "sort": _("Sort by"),
    }
    return names.get(name, _("Filter"))
