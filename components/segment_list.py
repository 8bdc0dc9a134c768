"""The list of segments: what narrows it (words, a folder, a tag; all in the address), and its rows by folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from components import controls, explorer_view, format, places, segment_choices, wording
from db import rules, saved_segments
from db.permissions import Viewer
from db.ready_segments import Ready
from db.rules import Group
from db.saved_segments import Segment
from db.text import reads_as, sort_key
from db.words import _

KEY = "segments"
MOST_WORDS = 100


@dataclass(frozen=True)
class Row:
    """A segment of the list: a kept one, or a ready-made one of this code."""

    name: str
    rule: Group
    code: str
    one: Segment | None = None

    @property
    def where(self) -> dict[str, str]:
        """The parameters of its screen."""
        return {"id": str(self.one.id)} if self.one else {"segment_ready": self.code}

    @property
    def written(self) -> str:
        """Its rule as JSON, for counting."""
        return rules.written(self.rule)

    @property
    def folder(self) -> str:
        """The folder it stands in, "" for none."""
        return self.one.folder if self.one else ""


@dataclass(frozen=True)
class Narrowed:
    """What the list is narrowed by."""

    words: str = ""
    folder: str = ""
    tag: str = ""

    def __bool__(self) -> bool:
        return bool(self.words or self.folder or self.tag)

    @property
    def said(self) -> str:
        """In words, "" for nothing."""
        named = {_("Name"): self.words, _("Folder"): self.folder, _("Tag"): self.tag}
        return wording.line(*(wording.labelled(name, wording.plain(value)) for name, value in named.items() if value))


NOTHING = Narrowed()


def narrowing(kept: Sequence[Segment]) -> Narrowed:
    """The box to search in, and the folders and tags that the kept segments have, where there are any."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters_segments"):
        typed: str | None = st.text_input(
            _("Name"),
            key=f"{KEY}_search",
            type="search",
            live="200ms",
            bind="query-params",
            max_chars=MOST_WORDS,
            icon=":material/search:",
            placeholder=_("A name, or its pinyin"),
            width=260,
        )
        folder = _choice("folder", _("Folder"), _("All folders"), [one.folder for one in kept if one.folder])
        tag = _choice("tag", _("Tag"), _("All tags"), [tag for one in kept for tag in one.tags])
    return Narrowed(typed or "", folder, tag)


def _choice(name: str, label: str, everything: str, given: Sequence[str]) -> str:
    """One of the values that occur, the same in capitals or not; nothing to choose where none does."""
    key = f"{KEY}_{name}"
    spelled = {value.casefold(): value for value in reversed(given)}
    counted = Counter(spelled[value.casefold()] for value in given)
    if not counted:
        controls.forget(key)
        return ""
    return controls.select(
        key,
        label,
        sorted(counted, key=sort_key),
        everything,
        lambda value: f"{value} ({format.number(counted[value])})",
    )


def rows(kept: Sequence[Segment], ready: Mapping[str, Ready], narrowed: Narrowed) -> list[Row]:
    """The kept segments that fit, by folder, those in none after them; then the ready-made ones, in none either."""
    fitting = saved_segments.narrowed(kept, words=narrowed.words, folder=narrowed.folder, tag=narrowed.tag)
    found = [Row(one.name, one.rule, f"s{one.id}", one) for one in fitting]
    found.sort(key=lambda row: (row.folder == "", sort_key(row.folder)))
    if not (narrowed.folder or narrowed.tag):
        found += [Row(one.name, one.rule, c) for c, one in ready.items() if reads_as(one.name, narrowed.words)]
    return found


def by_code(listed: Sequence[Row]) -> dict[str, tuple[str, Group]]:
    """Code → name and rule; the name with its owner where several have it."""
    often = Counter(row.name.casefold() for row in listed)

    def called(row: Row) -> str:
        return f"{row.name} · {row.one.owner}" if row.one and often[row.name.casefold()] > 1 else row.name

    return {row.code: (called(row), row.rule) for row in listed}


def nothing(narrowed: Narrowed) -> str:
    """What is said of an empty list."""
    if narrowed:
        return _("No segment of this list fits. Search for another name, or choose all folders and tags.")
    return _("No segment here yet. Build one with “New segment”, or begin with a ready-made one.")


def frame(shown: Sequence[Row], counts: Sequence[int | None], everyone: int | None, *, zone: str) -> pd.DataFrame:
    """The rows of the grid; no count, no share."""
    shared = {True: _("shared"), False: _("private")}
    return pd.DataFrame(
        {
            "name": [row.name for row in shown],
            "customers": pd.array(counts, dtype="Int64"),
            "share": [format.percent(n / everyone) if n is not None and everyone else "–" for n in counts],
            "folder": [row.folder for row in shown],
            "kind": [_("frozen") if row.one and row.one.frozen else _("live") for row in shown],
            "owner": [row.one.owner if row.one else _("ready-made") for row in shown],
            "state": [shared[row.one.shared] if row.one else "" for row in shown],
            "changed": [format.instant(row.one.updated_at, zone) if row.one else "" for row in shown],
        }
    )


def columns(shown: Sequence[Row]) -> dict[str, Any]:
    """The columns of the grid: that of folders where there are any, what is about saved ones where there are any."""
    label = st.column_config.TextColumn
    folder = {"folder": label(_("Folder"), width=85)} if any(row.folder for row in shown) else {}
    saved = {
        "kind": label(_("Members"), width=70),
        "owner": label(_("Saved by"), width=90),
        "state": label(_("Who sees it"), width=75),
        "changed": label(_("Changed"), width=128),
    }
    return {
        "name": label(_("Name"), width=160),
        "customers": st.column_config.NumberColumn(_("Customers"), format="localized", width=78),
        "share": label(_("Share of all"), width=85, alignment="right"),
        **folder,
        **(saved if any(row.one for row in shown) else {}),
    }


def card(row: Row, n: int | None, *, viewer: Viewer) -> None:
    """What a row is about: its rule in words and its count, with the way to its screen."""
    one = row.one
    with st.container(border=True):
        st.subheader(wording.plain(row.name), anchor=False)
        if one:
            marks = wording.line(one.folder, wording.listed(one.tags))
            if marks:
                st.caption(wording.plain(marks))
            if one.description:
                st.text(one.description)
        if one and one.problem:
            st.error(wording.sentence(one.problem))
        else:
            choices = segment_choices.Choices(viewer, fields=(), rule=row.rule)
            st.markdown(wording.plain(segment_choices.sentence(row.rule, choices)))
            hidden = segment_choices.hidden(row.rule, viewer)
            none = _("hidden from your role") if hidden else _("not counted: too slow")
            st.metric(_("Customers who fit"), format.number(n) if n is not None else none)
        places.link("segment", _("Open"), icon=":material/open_in_full:", **row.where)
        explorer_view.links(row.one, row.where.get("segment_ready", ""))
