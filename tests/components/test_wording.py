"""How sentences and names stand beside one another in each language."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components import wording
from db import words


@pytest.fixture(autouse=True)
def given_back() -> Iterator[None]:
    yield
    words.use(None)


@pytest.mark.parametrize(
    ("language", "sentences", "shown"),
    [
        ("en", ("Ann has it.", "", "So do others."), "Ann has it. So do others."),
        ("zh_CN", ("由林静负责。", "管理员也能看到。"), "由林静负责。管理员也能看到。"),
        ("zh_CN", ("Coast的经理也能看到。",), "Coast 的经理也能看到。"),
        ("zh_CN", ("共3位客户。", ""), "共 3 位客户。"),
    ],
)
def test_sentences_run_on_as_their_language_is_set(language: str, sentences: tuple[str, ...], shown: str) -> None:
    words.use(language)
    assert wording.run_on(*sentences) == shown


def test_a_label_has_the_colon_of_the_language() -> None:
    words.use("zh_CN")
    assert wording.labelled("我的", "Rome") == "我的：Rome"
    words.use("en")
    assert wording.labelled("Mine", "Rome") == "Mine: Rome"
