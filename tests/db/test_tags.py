"""Tags: added and removed, one whatever its case, counted for the right eyes, taken back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from db import clock, connection, customer, tags
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import Viewer
from db.undo import undo
from tests import conftest, make
from tests.pages.visits import HOSTILE


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"tags_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def added(actor: Viewer) -> int:
    return int(do(customer.add, actor, values={"name": "张三"})[0])


def of(viewer: Viewer, customer_id: int) -> list[str]:
    with begin(viewer) as conn:
        return [one.tag for one in tags.of_customer(conn, viewer=viewer, customer_id=customer_id)]


def counts(viewer: Viewer) -> dict[str, int]:
    with begin(viewer) as conn:
        found = tags.in_use(conn, viewer=viewer)
    return dict(zip(found["tag"], found["customers"].astype(int), strict=True))


def tag(actor: Viewer, customer_id: int, *words: str) -> int:
    return [int(do(tags.add, actor, customer_id=customer_id, tag=word)) for word in words][-1]


def test_a_tag_is_put_on_and_taken_off_and_both_are_taken_back(people: make.People) -> None:
    mine = added(people.ann)
    set_id = tag(people.ann, mine, "  VIP  ")
    assert of(people.ann, mine) == ["VIP"]
    done = do(undo, people.ann, change_set_id=set_id, source="screen")
    assert of(people.ann, mine) == []
    do(undo, people.ann, change_set_id=done.change_set_id, source="screen")
    assert of(people.ann, mine) == ["VIP"]
    with begin(people.ann) as conn:
        [standing] = tags.of_customer(conn, viewer=people.ann, customer_id=mine)
    gone = do(tags.remove, people.ann, customer_id=mine, tag_id=standing.id)
    assert of(people.ann, mine) == []
    do(undo, people.ann, change_set_id=gone, source="screen")
    with begin(people.ann) as conn:
        assert tags.of_customer(conn, viewer=people.ann, customer_id=mine) == [standing]


@pytest.mark.parametrize(("stands", "typed"), [("Stammkunde", "STAMMKUNDE"), ("Ärger", "ärger"), ("Ｗｅｂ", "web")])
def test_the_same_word_in_another_case_is_the_same_tag(people: make.People, stands: str, typed: str) -> None:
    one, other = added(people.ann), added(people.ann)
    tag(people.ann, one, stands)
    standing = of(people.ann, one)
    with pytest.raises(Invalid, match="already"):
        tag(people.ann, one, typed)
    tag(people.ann, other, typed)
    assert of(people.ann, other) == standing, "the spelling that stands"


def test_another_teams_spelling_is_not_told(people: make.People) -> None:
    tag(people.ann, added(people.ann), "Secret Project")
    theirs = added(people.cho)
    tag(people.cho, theirs, "SECRET project")
    assert of(people.cho, theirs) == ["SECRET project"]
    assert "Secret Project" not in counts(people.cho)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Write the tag first"),
        (" \u200b\n", "Write the tag first"),
        ("x" * 41, "41 characters are too many; at most 40"),
        ("x" * 10_000, "10,000 characters are too many"),
        ("a,b", "no comma"),
        ("老客户，新客户", "no comma"),
    ],
)
def test_what_is_no_tag_is_refused_in_words(people: make.People, typed: str, said: str) -> None:
    mine = added(people.ann)
    with pytest.raises(Invalid) as caught:
        tag(people.ann, mine, typed)
    assert said in caught.value.fields["tag"]
    assert of(people.ann, mine) == []


@pytest.mark.parametrize("typed", [*HOSTILE, "שלום עולם", "**bold** [x](http://e)", "x" * 40])
def test_whatever_is_typed_is_kept_as_text(people: make.People, typed: str) -> None:
    mine = added(people.ann)
    if len(HOSTILE.get(typed, typed)) > tags.MOST_TAG or "," in typed:
        with pytest.raises(Invalid):
            tag(people.ann, mine, typed)
    else:
        tag(people.ann, mine, typed)
        assert of(people.ann, mine) == [HOSTILE.get(typed, typed)]


def test_fifty_tags_and_no_more(people: make.People) -> None:
    mine = added(people.ann)
    tag(people.ann, mine, *(f"t{n:02}" for n in range(tags.MOST_TAGS)))
    with pytest.raises(Invalid, match="at most 50 tags"):
        tag(people.ann, mine, "one more")
    assert of(people.ann, mine) == [f"t{n:02}" for n in range(50)]


def test_another_ones_customer_is_not_there(people: make.People) -> None:
    theirs = added(people.cho)
    tag(people.cho, theirs, "theirs")
    with begin(people.cho) as conn:
        [standing] = tags.of_customer(conn, viewer=people.cho, customer_id=theirs)
    assert of(people.ann, theirs) == of(people.ann, 10**18) == of(people.ann, 10**30) == []
    for customer_id in (theirs, 10**12, 10**30):
        with pytest.raises(NotFound):
            tag(people.ann, customer_id, "mine")
    with pytest.raises(NotFound):
        do(tags.remove, people.ann, customer_id=theirs, tag_id=standing.id)
    for masked in (people.ana, people.mark):
        assert of(masked, theirs) == ["theirs"]
        with pytest.raises(Refused):
            tag(masked, theirs, "x")
    assert of(people.cho, theirs) == ["theirs"]


def test_each_viewer_counts_the_tags_of_their_own_customers(server: Server, template: str) -> None:
    name = f"tags_counted_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        assert counts(people.ann) == counts(people.root) == {}
        anns = [added(people.ann) for _n in range(3)]
        for each in anns:
            tag(people.ann, each, "vip")
        tag(people.ann, anns[0], "北方")
        tag(people.bo, added(people.bo), "VIP")
        tag(people.cho, added(people.cho), "cho")
        do(customer.archive, people.ann, customer_id=anns[2])
        assert counts(people.ann) == {"vip": 2, "北方": 1}
        assert counts(people.cho) == {"cho": 1}
        assert {k.lower(): v for k, v in counts(people.mia).items()} == {"vip": 3, "北方": 1}
        assert list(counts(people.root)) == ["北方", "cho", "vip"], "by the word, Chinese by pinyin"
        for viewer in (people.root, people.ana, people.mark):
            assert counts(viewer) == {"vip": 3, "北方": 1, "cho": 1}
        with begin(people.root) as conn:
            assert len(tags.in_use(conn, viewer=people.root, limit=2)) == 2


def test_what_stands_again_is_not_put_back_twice(people: make.People) -> None:
    mine = added(people.ann)
    tag(people.ann, mine, "again")
    with begin(people.ann) as conn:
        [standing] = tags.of_customer(conn, viewer=people.ann, customer_id=mine)
    gone = do(tags.remove, people.ann, customer_id=mine, tag_id=standing.id)
    tag(people.ann, mine, "AGAIN")
    with pytest.raises(Conflict):
        do(undo, people.ann, change_set_id=gone, source="screen")
    assert len(of(people.ann, mine)) == 1


def test_many_tags_of_many_people_are_counted_up_to_a_bound(people: make.People) -> None:
    from sqlalchemy import insert

    from db import schema

    now = clock.now()
    with connection.begin_owner() as conn:
        ids = [make.customer(conn, people.max.user_id, name=f"n {n}") for n in range(tags.MOST_COUNTED + 5)]
        stamps = {"created_at": now, "updated_at": now}
        conn.execute(insert(schema.customer_tags), [tags.row(i, "crowd") | stamps for i in ids])
    assert counts(people.max)["crowd"] == counts(people.root)["crowd"] == tags.MOST_COUNTED + 1


def test_tags_are_looked_up_by_their_keys_among_ones_own(server: Server, template: str) -> None:
    name = f"tags_standing_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        mine, put_away = added(people.ann), added(people.ann)
        hostile = "'; DROP TABLE tags; %L {x} --"
        tag(people.ann, mine, "VIP", "北方", hostile)
        tag(people.ann, put_away, "gone")
        tag(people.cho, added(people.cho), "cho's")
        do(customer.archive, people.ann, customer_id=put_away)
        keys = ("北方", "vip", "VIP", "gone", "cho's", tags.key(hostile), "nowhere", "", "\0", "vip\0", "\ud800", "vip")

        def standing(viewer: Viewer, keys: tuple[str, ...] = keys) -> dict[str, str]:
            with begin(viewer) as conn:
                return tags.standing(conn, viewer=viewer, keys=keys)

        anns = {"北方": "北方", "vip": "VIP", tags.key(hostile): hostile}
        assert standing(people.ann) == standing(people.mia) == anns, "not the archived one's, not the other team's"
        assert standing(people.cho) == {"cho's": "cho's"}
        for viewer in (people.root, people.ana, people.mark):
            assert standing(viewer) == anns | {"cho's": "cho's"}
        for viewer in (people.ann, people.cho, people.root, people.mark):
            with begin(viewer) as conn:
                assert tags.offered(conn, viewer=viewer) == {tags.key(word): word for word in counts(viewer)}
                assert tags.standing(conn, viewer=viewer, keys=()) == {}
