"""A word of warning under a field whose value other customers have already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamlit.delta_generator import DeltaGenerator

from components import data, wording
from db import duplicates
from db.permissions import Viewer
from db.words import _, ngettext


def find(typed: Mapping[str, Any], asked: set[str], *, viewer: Viewer, but_id: int = 0) -> dict[str, duplicates.Alike]:
    """Who has the same phone, e-mail or name, of the fields `asked` about; the name counts with the company."""
    given = {c: str(typed[c] or "") for c in asked & {"phone", "email"}}
    if asked & {"name", "company"}:
        given |= {c: str(typed[c] or "") for c in ("name", "company")}
    if not any(value.strip() for value in given.values()):
        return {}
    return data.read(duplicates.find, viewer=viewer, but_id=but_id, **given)


def draw(place: DeltaGenerator, kind: str, alike: duplicates.Alike) -> None:
    """How many they are, the way to those one may see, and whose the others are."""
    counted = f"{alike.total}+" if alike.more else str(alike.total)
    said = {
        "phone": ngettext("{n} customer has this phone.", "{n} customers have this phone.", alike.total),
        "email": ngettext("{n} customer has this e-mail.", "{n} customers have this e-mail.", alike.total),
        "name": ngettext(
            "{n} customer has this name and company.", "{n} customers have this name and company.", alike.total
        ),
    }[kind].format(n=counted)
    shown = [_one(*each) for each in alike.shown]
    if alike.seen > len(shown):
        shown.append("…")
    if shown:
        said += " " + wording.listed(shown)
    if alike.owners:
        names = wording.listed(wording.plain(wording.person(name)) for name in alike.owners[:5])
        said += " " + _("Out of your sight: owned by {names}.").format(names=names)
    place.markdown(f":orange[:material/content_copy:] {said}")


def _one(customer_id: int, name: str, archived: bool) -> str:
    """A link that opens beside the form, in another tab."""
    shown = f"[{wording.plain(name) or f'#{customer_id}'}](/customer?id={customer_id})"
    return _("{name} (archived)").format(name=shown) if archived else shown
