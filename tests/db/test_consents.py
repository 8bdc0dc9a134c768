"""Consents: the newest of a channel holds, nothing is erased, and everybody sees what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db import clock, consents, customer
from db.connection import begin
from db.consents import Consent
from db.embedded import Server
from db.errors import Invalid, NotFound, Refused
from db.permissions import Viewer
from db.undo import undo
from tests import conftest, make

MAY = datetime(2026, 5, 1, 8, tzinfo=UTC)
NOBODY_ASKED = dict.fromkeys(("phone", "sms", "wechat", "mail", "post"), Consent())


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"consents_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


@pytest.fixture
def mine(people: make.People) -> int:
    return int(do(customer.add, people.ann, values={"name": "张三"})[0])


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def record(actor: Viewer, customer_id: int, channel: str, state: str, **values: Any) -> int:
    given = {"how": "by a form", **values}
    return int(do(consents.record, actor, customer_id=customer_id, channel=channel, state=state, **given))


def current(viewer: Viewer, customer_id: int) -> dict[str, Consent]:
    with begin(viewer) as conn:
        return dict(consents.current(conn, viewer=viewer, customer_id=customer_id))


def states(viewer: Viewer, customer_id: int) -> dict[str, str]:
    return {channel: consent.state for channel, consent in current(viewer, customer_id).items() if consent.state}


def history(viewer: Viewer, customer_id: int) -> list[tuple[Any, ...]]:
    with begin(viewer) as conn:
        rows = consents.history(conn, viewer=viewer, customer_id=customer_id)
    return [(row.channel, row.state, row.source, row.author) for row in rows.itertuples()]


def test_the_newest_of_a_channel_holds(people: make.People, mine: int) -> None:
    assert current(people.ann, mine) == NOBODY_ASKED
    assert history(people.ann, mine) == []
    record(people.ann, mine, "mail", "given", happened_at=MAY, how="  signed\u200b the form\n in the store ")
    record(people.ann, mine, "phone", "refused", happened_at=MAY + timedelta(days=1))
    record(people.mia, mine, "mail", "withdrawn", happened_at=MAY + timedelta(days=2), how="wrote to us")
    # Written down later, but of an earlier day: it changes nothing of what holds.
    record(people.ann, mine, "mail", "given", happened_at=MAY + timedelta(days=1), how="found in the archive")
    assert current(people.ann, mine) == NOBODY_ASKED | {
        "mail": Consent("withdrawn", "wrote to us", MAY + timedelta(days=2)),
        "phone": Consent("refused", "by a form", MAY + timedelta(days=1)),
    }
    assert history(people.ann, mine) == [
        ("mail", "withdrawn", "wrote to us", "Mia"),
        ("mail", "given", "found in the archive", "Ann"),
        ("phone", "refused", "by a form", "Ann"),
        ("mail", "given", "signed the form in the store", "Ann"),
    ]


def test_of_two_of_one_moment_the_later_written_holds_and_undo_brings_the_other_back(
    people: make.People, mine: int
) -> None:
    record(people.ann, mine, "sms", "given")
    refused = record(people.ann, mine, "sms", "refused")
    assert states(people.ann, mine) == {"sms": "refused"}
    taken_back = do(undo, people.ann, change_set_id=refused, source="screen")
    assert states(people.ann, mine) == {"sms": "given"}
    do(undo, people.ann, change_set_id=taken_back.change_set_id, source="screen")
    assert states(people.ann, mine) == {"sms": "refused"}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"channel": "fax"}, "channel"),
        ({"state": "maybe"}, "state"),
        ({"state": ""}, "state"),
        ({"how": " \u200b\n"}, "how"),
        ({"how": "x" * 501}, "how"),
        ({"happened_at": clock.now() + timedelta(seconds=1)}, "happened_at"),
    ],
)
def test_what_cannot_be_kept_is_said_at_its_field(
    people: make.People, mine: int, values: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        record(people.ann, mine, **{"channel": "mail", "state": "given", **values})
    assert list(caught.value.fields) == [field]
    assert current(people.ann, mine) == NOBODY_ASKED


def test_masked_roles_see_states_and_no_source(people: make.People, mine: int) -> None:
    record(people.ann, mine, "mail", "given", how="zekret", happened_at=MAY)
    for viewer in (people.ana, people.mark):
        assert current(viewer, mine)["mail"] == Consent("given", "", MAY)
        assert history(viewer, mine) == [("mail", "given", "", "Ann")]
        with pytest.raises(Refused):
            record(viewer, mine, "mail", "refused")


def test_nobody_records_or_sees_for_another_ones_customer(people: make.People, mine: int) -> None:
    made = record(people.ann, mine, "mail", "given", how="zekret")
    for actor in (people.cho, people.max):
        assert current(actor, mine) == NOBODY_ASKED
        assert history(actor, mine) == []
        with pytest.raises(NotFound):
            record(actor, mine, "mail", "refused")
        with pytest.raises((NotFound, Refused)):
            do(undo, actor, change_set_id=made, source="screen")
    with pytest.raises(NotFound):
        record(people.ann, 10**30, "mail", "refused")
    assert states(people.ann, mine) == {"mail": "given"}
