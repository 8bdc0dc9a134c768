"""The list of segments narrowed by words, a folder and a tag, all of which stand in the address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from db import saved_segments
from db.connection import begin
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import HOSTILE, database, grid, pick, said, signed_in, sound

RULE = json.dumps({"all": [{"field": "orders", "op": ">", "value": 2}]})


def keep(viewer: Viewer, name: str, **values: Any) -> int:
    with begin(viewer, write=True) as conn:
        return saved_segments.save(conn, actor=viewer, name=name, rule=RULE, **values)[0]


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann keeps four segments, two of them in a folder; Bo shares one in another and keeps one to himself."""
    with database(server, template) as made:
        keep(made.ann, "Zebra", folder="Spring", tags=("VIP", "mail"))
        keep(made.ann, "重要客户", folder="Spring", tags=("vip",))
        keep(made.ann, "Café guests", tags=("mail",))
        keep(made.ann, "单次购买")
        keep(made.bo, "Of Bo", folder="展会", tags=("fair",), shared=True)
        keep(made.bo, "Of Bo alone", folder="Secret", tags=("concealed",))
        yield made


def opened(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "segments", **params))


def names(app: AppTest) -> list[str]:
    if not app.dataframe:
        return []
    return [name for name in grid(app, "segments_list")["name"] if not name.startswith("Stage: ")]


def test_folders_stand_together_and_those_in_none_after_them(people: make.People) -> None:
    app = opened(people.ann)
    rows = grid(app, "segments_list")
    assert names(app) == ["Zebra", "重要客户", "Of Bo", "Café guests", "单次购买"]
    assert list(rows["folder"])[:5] == ["Spring", "Spring", "展会", "", ""]
    assert "Secret" not in said(app)
    assert "concealed" not in said(app)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("zhongyao", ["重要客户"]),
        ("zykh", ["重要客户"]),
        ("重要", ["重要客户"]),
        ("重 客", ["重要客户"]),
        ("danci", ["单次购买"]),
        ("CAFE", ["Café guests"]),
        ("guests café", ["Café guests"]),
        ("of bo", ["Of Bo"]),
        ("nobody", []),
        ("%%", []),
        ("' OR 1=1 --", []),
    ],
)
def test_a_name_is_found_in_chinese_pinyin_and_latin(people: make.People, words: str, found: list[str]) -> None:
    app = opened(people.ann, segments_search=words)
    assert names(app) == found
    assert found or "No segment of this list fits." in said(app)


def test_words_look_through_all_groups_of_ready_made_ones(people: make.People) -> None:
    app = opened(people.ann, segments_kind="ready", segments_search="champions")
    assert names(app) == ["RFM: Champions"]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"segments_folder": "Spring"}, ["Zebra", "重要客户"]),
        ({"segments_folder": "展会"}, ["Of Bo"]),
        ({"segments_tag": "mail"}, ["Zebra", "Café guests"]),
        ({"segments_tag": "VIP"}, ["Zebra", "重要客户"]),
        ({"segments_tag": "mail", "segments_folder": "Spring"}, ["Zebra"]),
        ({"segments_folder": "Spring", "segments_search": "zhong"}, ["重要客户"]),
        ({"segments_kind": "shared", "segments_tag": "fair"}, ["Of Bo"]),
    ],
)
def test_folder_and_tag_stand_in_the_address(people: make.People, params: dict[str, str], found: list[str]) -> None:
    app = opened(people.ann, **params)
    assert names(app) == found
    assert all(grid(app, "segments_list")["name"].isin(found)), "no ready-made one has a folder or a tag"


@pytest.mark.parametrize("key", ["segments_folder", "segments_tag"])
@pytest.mark.parametrize("typed", [*HOSTILE, "Secret", "concealed"])
def test_what_is_not_there_counts_as_all(people: make.People, key: str, typed: Any) -> None:
    asked = typed[0] if isinstance(typed, tuple) else typed
    app = opened(people.ann, **{key: asked})
    assert len(names(app)) == 5
    assert key not in app.query_params


def test_the_card_tells_folder_and_tags(people: make.People) -> None:
    app = pick(opened(people.ann, segments_folder="Spring"), "segments_list", 0)
    assert "Spring · mail, VIP" in said(app)


def test_hostile_folders_and_tags_are_text(people: make.People) -> None:
    keep(people.ana, "Odd", folder="**bold** <img src=x>", tags=("[a](http://b)",))
    app = sound(pick(opened(people.ana, segments_kind="mine"), "segments_list", 0))
    assert "**bold** <img src=x> · [a](http://b)" in said(app)
