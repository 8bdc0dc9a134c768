"""Campaigns started from a list: who is left out and who is held out, what it brought about, and taking it back."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from db import (
    addresses,
    campaign_start,
    campaigns,
    clock,
    connection,
    consents,
    contacts,
    derived,
    exports,
    held,
    saved_segments,
    schema,
    segment_members,
    segments,
    started_campaigns,
)
from db.campaign_start import Reach
from db.connection import begin
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import WORKER, Viewer
from db.undo import undo
from tests import make

TODAY = date(2026, 11, 20)
LATER = TODAY + timedelta(days=9)
EVERYONE = '{"all":[]}'
NORTH = '{"all":[{"field":"region","op":"in","value":["North"]}]}'


@dataclass(frozen=True)
class Data:
    people: make.People
    ids: dict[str, int]


# Owner, the customer's own columns, and what they said to calls, the last one last.
WHO: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "agreed": ("ann", {"phone": "+8613800138000", "email": "a@example.com"}, ("refused", "given")),
    "again": ("bo", {"phone": "+8613800138001"}, ("given",)),
    "no": ("ann", {"phone": "+8613800138002"}, ("given", "refused")),
    "withdrawn": ("cho", {"phone": "+8613800138003"}, ("given", "withdrawn")),
    "no phone": ("ann", {"email": "b@example.com"}, ("given",)),
    "no and no phone": ("ann", {}, ("refused",)),
    "colleague": ("mia", {"company": "X"}, ("given",)),  # by the phone of a contact person
    "unasked": ("cho", {"phone": "+8613800138004", "address": "1 Road"}, ()),
    "archived": ("ann", {"phone": "+8613800138005"}, ("given",)),
}


@pytest.fixture
def data(clone: str) -> Data:
    people = make.people()
    ids = {}
    with connection.begin_owner() as conn:
        for n, (name, (owner, columns, _said)) in enumerate(WHO.items()):
            region = "North" if n % 2 else "South"
            ids[name] = make.customer(conn, getattr(people, owner).user_id, name=name, region=region, **columns)
    with begin(people.root, write=True) as conn:
        for name, (_owner, _columns, said) in WHO.items():
            for n, state in enumerate(said):
                at = clock.now() - timedelta(days=9 - n)
                values: dict[str, Any] = {"channel": "phone", "state": state, "how": "form", "happened_at": at}
                consents.record(conn, actor=people.root, customer_id=ids[name], **values)
        person = {"name": "Li", "phone": "+8613800138009", "wechat": "li"}
        contacts.add(conn, actor=people.root, customer_id=ids["colleague"], values=person)
        place = {"kind": "home", "street": "2 Street", "city": "Xi'an"}
        addresses.add(conn, actor=people.root, customer_id=ids["no phone"], values=place)
    with connection.begin_owner() as conn:
        conn.execute(
            update(schema.customers).where(schema.customers.c.id == ids["archived"]).values(archived_at=clock.now())
        )
    return Data(people, ids)


def reach(viewer: Viewer, rule: str = EVERYONE, channel: str = "phone", percent: int = 0, **more: Any) -> Reach:
    with begin(viewer) as conn:
        asked = {"rule": rule, "channel": channel, "percent": percent, "unasked": False, "today": TODAY} | more
        return campaign_start.reach(conn, viewer=viewer, **asked)


def start(viewer: Viewer, ids: Any, **more: Any) -> campaign_start.Begun:
    values = {"name": "Autumn", "kind": "list", "channel": "phone", "starts_on": TODAY, "ends_on": LATER}
    with begin(viewer, write=True) as conn:
        return campaign_start.start(conn, actor=viewer, ids=ids, today=TODAY, **(values | more))


def found(table: Any, campaign_id: int) -> set[int]:
    with connection.begin_owner() as conn:
        return set(conn.scalars(select(table.c.customer_id).where(table.c.campaign_id == campaign_id)))


def named(data: Data, *names: str) -> set[int]:
    return {data.ids[name] for name in names}


# --- who receives it -------------------------------------------------------------------------------------------------


def test_who_said_no_has_no_address_or_was_never_asked_is_left_out_and_counted(data: Data) -> None:
    root = data.people.root
    # 8 who are not archived: 3 said no last, one of them without a phone; one has none; one was never asked.
    assert reach(root) == Reach(8, refused=3, unreachable=1, unasked=1, held_out=0)
    assert reach(root).received == 3
    assert reach(root, unasked=True) == Reach(8, 3, 1, 0, 0)
    begun = start(root, data.ids.values())
    assert begun.reach == reach(root)
    assert found(schema.campaign_members, begun.campaign_id) == named(data, "agreed", "again", "colleague")
    assert found(schema.campaign_held_out, begun.campaign_id) == set()
    more = start(root, data.ids.values(), name="B", unasked=True)
    assert found(schema.campaign_members, more.campaign_id) == named(data, "agreed", "again", "colleague", "unasked")


@pytest.mark.parametrize(
    ("channel", "who"),
    [
        ("mail", {"agreed", "no phone"}),
        ("wechat", {"colleague"}),
        ("post", {"unasked", "no phone"}),
        ("sms", {"agreed", "again", "no", "withdrawn", "colleague", "unasked"}),
    ],
)
def test_each_channel_has_its_own_addresses_and_consents(data: Data, channel: str, who: set[str]) -> None:
    begun = start(data.people.root, data.ids.values(), channel=channel, unasked=True)
    assert found(schema.campaign_members, begun.campaign_id) == named(data, *who)
    with begin(data.people.root) as conn:
        asked = {"campaign_id": begun.campaign_id, "today": TODAY}
        rows = list(started_campaigns.export(conn, viewer=data.people.root, **asked))
    assert {row["id"] for row in rows} == named(data, *who)
    assert all(row["reached_by"] for row in rows), "whom the start finds an address for has one in the file"
    written = {row["name"]: row["reached_by"] for row in rows}
    if channel == "post":
        assert written == {"unasked": "1 Road", "no phone": "2 Street, Xi'an"}
    if channel == "wechat":
        assert written == {"colleague": "li"}


def test_a_marketer_starts_it_with_everybody_and_a_manager_with_whom_they_see(data: Data) -> None:
    people = data.people
    assert reach(people.mark) == reach(people.root)
    begun = start(people.mark, data.ids.values())
    assert found(schema.campaign_members, begun.campaign_id) == named(data, "agreed", "again", "colleague")
    # Mia's team is Ann, Bo and herself; who is out of her sight is left out, whoever asks for them.
    assert reach(people.mia) == Reach(6, 2, 1, 0, 0)
    own = start(people.mia, data.ids.values(), name="Own", unasked=True)
    assert own.reach == Reach(6, 2, 1, 0, 0)
    assert found(schema.campaign_members, own.campaign_id) == named(data, "agreed", "again", "colleague")
    theirs = start(people.max, data.ids.values(), name="Max", unasked=True)
    assert found(schema.campaign_members, theirs.campaign_id) == named(data, "unasked")


# --- who is held out -------------------------------------------------------------------------------------------------


def crowd(viewer: Viewer, n: int, **columns: str) -> list[int]:
    with connection.begin_owner() as conn:
        now = clock.now()
        row = {"owner_id": viewer.user_id, "name": "x", "phone": "+8613800138000", "created_at": now, "updated_at": now}
        made = insert(schema.customers).returning(schema.customers.c.id)
        return list(conn.scalars(made, [row | columns for _n in range(n)]))


def test_the_held_out_are_as_many_as_asked_and_anybody_can_work_out_who(clone: str) -> None:
    people = make.people()
    ids = crowd(people.mia, 1_000)
    assert reach(people.mia, percent=10, unasked=True) == Reach(1_000, 0, 0, 0, 100)
    one = start(people.mia, ids, percent=10, unasked=True, expected=900)
    two = start(people.mia, ids, name="Two", percent=10, unasked=True)
    picked = []
    for begun in (one, two):
        members, out = (
            found(table, begun.campaign_id) for table in (schema.campaign_members, schema.campaign_held_out)
        )
        assert (len(members), len(out), members & out) == (900, 100, set())

        def drawn(i: int, of: int = begun.campaign_id) -> str:
            return hashlib.md5(f"{i}:{of}".encode(), usedforsecurity=False).hexdigest()

        assert out == set(sorted(ids, key=drawn)[:100])
        picked.append(out)
    # Another campaign has others: of 100 among 1,000 about 10 are the same.
    assert len(picked[0] & picked[1]) < 30
    # And they are not the first ones: halves of the list are held out about alike.
    assert 30 < len(picked[0] & set(ids[:500])) < 70


def test_the_held_out_have_not_received_it_in_any_count(clone: str) -> None:
    people = make.people()
    ids = crowd(people.mia, 20)
    with connection.begin_owner() as conn:
        for i in ids[:10]:
            make.order(conn, i, TODAY + timedelta(days=1))
    begun = start(people.mia, ids, percent=50, unasked=True)
    out, members = (found(t, begun.campaign_id) for t in (schema.campaign_held_out, schema.campaign_members))
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
    with begin(people.mia) as conn:
        one = campaigns.get(conn, viewer=people.mia, campaign_id=begun.campaign_id, today=TODAY)
        known = started_campaigns.get(conn, viewer=people.mia, campaign_id=begun.campaign_id)
    assert one.reached == 10
    assert one.buyers == len(members & set(ids[:10]))
    assert known is not None
    assert (known.received.customers, known.held_out.customers) == (10, 10)
    assert (known.received.buyers, known.held_out.buyers) == (one.buyers, len(out & set(ids[:10])))
    assert (known.channel, known.by, known.percent, known.segment, known.reach) == (
        ("phone", "Mia", 50, None, Reach(20, 0, 0, 0, 10))
    )

    def fitting(condition: dict[str, Any], today: date = TODAY) -> set[int]:
        with begin(people.mia) as conn:
            rule = json.dumps({"all": [condition]})
            ids = segments.who(conn, viewer=people.mia, rule=rule, today=today, limit=100)
            assert segments.count(conn, viewer=people.mia, rule=rule, today=today) == len(ids)
            return set(ids)

    def asked(field: str, op: str = "any of", **span: Any) -> dict[str, Any]:
        return {"field": field, "op": op, "value": {"of": [begun.campaign_id], **span}}

    bought = set(ids[:10])

    def both() -> None:
        assert fitting(asked("received")) == members
        assert fitting(asked("received", "none of")) == out
        assert fitting(asked("held_out")) == out
        assert fitting(asked("held_out", "none of")) == members
        assert fitting(asked("converted")) == members & bought
        assert fitting(asked("converted", "none of")) == set(ids) - members | members - bought
        # Received on the 20th: within the last 3 days of the 22nd, not within those of the 23rd.
        soon, late = TODAY + timedelta(days=2), TODAY + timedelta(days=3)
        assert fitting(asked("received", last_days=3), soon) == members
        assert fitting(asked("received", "none of", last_days=3), soon) == out
        assert fitting(asked("received", "none of", last_days=3), late) == set(ids)
        # An order of the 21st, on which day nobody received it.
        assert fitting(asked("converted", **{"from": "2026-11-21", "to": "2026-11-21"})) == members & bought
        assert fitting(asked("converted", **{"from": "2026-11-22"})) == set()
        assert fitting(asked("converted", to="2026-11-20")) == set()
        assert fitting({"field": "received_count", "op": "=", "value": {"count": 0}}) == out

    both()
    assert held.load()
    try:
        both()
    finally:
        held.drop()


def test_bought_after_a_campaign_is_bought_from_its_first_to_its_last_day(clone: str) -> None:
    people = make.people()
    ids = crowd(people.mia, 5)
    days = (TODAY - timedelta(days=1), TODAY, LATER, LATER + timedelta(days=1))
    with connection.begin_owner() as conn:
        for i, day in zip(ids, days, strict=False):
            make.order(conn, i, day)
    begun = start(people.mia, ids, unasked=True)
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
    rule = json.dumps({"all": [{"field": "converted", "op": "any of", "value": [begun.campaign_id]}]})
    with begin(people.mia) as conn:
        assert segments.who(conn, viewer=people.mia, rule=rule, today=TODAY, limit=9) == (ids[1], ids[2])
        names = segments.names(conn, viewer=people.mia, rule=rule)
        known = started_campaigns.get(conn, viewer=people.mia, campaign_id=begun.campaign_id)
    assert segments.called(names)("converted", begun.campaign_id) == "Autumn"
    assert known is not None
    assert (known.received.customers, known.received.buyers) == (5, 2)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_only_marketers_managers_and_administrators_start_campaigns(data: Data) -> None:
    people = data.people
    for viewer in (people.ann, people.ana, WORKER):
        with pytest.raises(Refused):
            reach(viewer)
        with pytest.raises(Refused):
            start(viewer, data.ids.values())
    # As if the check of the permission had been forgotten: the database knows who they are.
    row = "INSERT INTO campaigns (name, kind, starts_on, ends_on, owner_id, created_at, updated_at) VALUES "
    mine = row + "('x', 'x', '2026-1-1', '2026-1-1', :me, '2026-1-1', '2026-1-1')"
    for viewer in (people.ann, people.ana):
        with pytest.raises(Refused), begin(viewer, write=True) as conn:
            conn.execute(text(mine), {"me": viewer.user_id})
        with begin(viewer, write=True) as conn:
            assert conn.scalar(select(func.begin_campaign_batch(clock.now()))) is None
            counted = "SELECT received FROM start_campaign(1, '{1}', 'phone', true, '2026-1-1')"
            assert conn.scalar(text(counted)) in (0, None)
        with begin(viewer) as conn:
            asked = text("SELECT chosen FROM campaign_reach(:ids, 'phone', true, 0)")
            assert conn.scalar(asked, {"ids": list(data.ids.values())}) == 0


def test_nobody_touches_the_campaign_of_another_or_one_that_was_loaded(data: Data) -> None:
    people = data.people
    begun = start(people.mark, data.ids.values(), unasked=True)
    with connection.begin_owner() as conn:
        now = clock.now()
        stamps = {"starts_on": TODAY, "ends_on": TODAY, "created_at": now, "updated_at": now}
        conn.execute(insert(schema.campaigns).values(name="Loaded", kind="A", **stamps))
        batch = conn.scalar(select(schema.campaigns.c.batch_id).where(schema.campaigns.c.id == begun.campaign_id))
    for viewer in (people.mia, people.ann, people.ana):
        with begin(viewer, write=True) as conn:
            for statement in ("UPDATE campaigns SET kind = 'y'", "DELETE FROM campaigns"):
                assert conn.exec_driver_sql(statement).rowcount == 0
            assert conn.scalar(select(func.withdraw_campaign(batch, clock.now()))) is None
            again = func.start_campaign(begun.campaign_id, list(data.ids.values()), "phone", True, clock.now())
            assert conn.execute(select(again.table_valued("received"))).scalar() in (0, None)
    with pytest.raises(Refused), begin(people.mia, write=True) as conn:
        conn.exec_driver_sql(
            "INSERT INTO campaign_members (customer_id, campaign_id, received_on) VALUES (1, 1, 'now')"
        )
    with pytest.raises(Refused), begin(people.mark, write=True) as conn:
        conn.exec_driver_sql("DELETE FROM public.campaign_held_out")
    with pytest.raises(Refused), begin(people.mark, write=True) as conn:
        conn.execute(text("UPDATE campaigns SET owner_id = :them"), {"them": people.mia.user_id})
    # In one's own name, but not under the load of another.
    forged = (
        "INSERT INTO change_sets (actor_id, made_at, command, permission, source, batch_id) "
        "VALUES (:me, '2026-1-1', 'campaign.start', 'campaigns:edit', 'screen', :batch)"
    )
    other = start(people.mia, data.ids.values(), name="Mia", unasked=True)
    with connection.begin_owner() as conn:
        theirs = conn.scalar(select(schema.campaigns.c.batch_id).where(schema.campaigns.c.id == other.campaign_id))
    with pytest.raises(Refused), begin(people.mark, write=True) as conn:
        conn.execute(text(forged), {"me": people.mark.user_id, "batch": theirs})
    # Members come once.
    with begin(people.mark, write=True) as conn:
        again = func.start_campaign(begun.campaign_id, list(data.ids.values()), "phone", True, clock.now())
        assert conn.execute(select(again.table_valued("received"))).scalar() == 0


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"kind": ""}, "kind"),
        ({"kind": "x" * 41}, "kind"),
        ({"channel": "pigeon"}, "channel"),
        ({"channel": ""}, "channel"),
        ({"percent": 51}, "percent"),
        ({"percent": -1}, "percent"),
        ({"starts_on": TODAY - timedelta(days=1)}, "starts_on"),
        ({"ends_on": TODAY - timedelta(days=1)}, "ends_on"),
        ({"ends_on": TODAY + timedelta(days=731)}, "ends_on"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(data: Data, given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        start(data.people.root, data.ids.values(), **given)
    assert list(caught.value.fields) == [field]


def test_nobody_too_many_and_a_number_that_changed_start_nothing(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    root = data.people.root
    nobody = '{"any":[]}'
    with pytest.raises(Invalid, match="nobody to start"):
        reach(root, nobody)
    with pytest.raises(Invalid, match="nobody to start"):
        start(root, [])
    with pytest.raises(Invalid, match="None of them would receive it"):
        start(root, named(data, "no", "no phone", "archived"))
    with pytest.raises(Conflict, match="Meanwhile 3 would receive it, and not 4"):
        start(root, data.ids.values(), expected=4)
    monkeypatch.setattr(campaign_start, "MOST_MEMBERS", 7)
    for act in (lambda: reach(root), lambda: start(root, data.ids.values())):
        with pytest.raises(Invalid, match="at most 7 customers"):
            act()
    with connection.begin_owner() as conn:
        assert [make.count(conn, t) for t in ("campaigns", "campaign_members", "batches")] == [0, 0, 0]


def test_hostile_names_are_names(data: Data) -> None:
    name = "'); DROP TABLE campaigns; --\x00\u202e<b>%s{0}"
    begun = start(data.people.mark, data.ids.values(), name=name, kind="{x}")
    with begin(data.people.root) as conn:
        one = campaigns.get(conn, viewer=data.people.root, campaign_id=begun.campaign_id, today=TODAY)
    assert one.name == "'); DROP TABLE campaigns; --<b>%s{0}"


def test_two_who_start_the_same_name_one_is_told(data: Data) -> None:
    first, second = data.people.mark, data.people.mia
    told: list[str] = []
    with begin(first, write=True) as conn:
        values = {"name": "Autumn", "kind": "list", "channel": "phone", "starts_on": TODAY, "ends_on": LATER}
        ids = list(data.ids.values())
        campaign_start.start(conn, actor=first, ids=ids, today=TODAY, **values)

        def other() -> None:
            try:
                start(second, ids)
            except Invalid as error:
                told.append(error.fields["name"])

        waiting = threading.Thread(target=other)
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive(), "it waits for the name"
    waiting.join(20)
    assert told == ["There is a campaign of this name already. Choose another name."]
    with connection.begin_owner() as conn:
        assert make.count(conn, "campaigns") == 1


def test_a_start_that_is_cut_off_leaves_nothing(data: Data) -> None:
    """The connection dies after everything was written and before the commit."""
    root = data.people.root
    with pytest.raises(Exception, match=r"terminat|closed|does not answer"), begin(root, write=True) as conn:
        values = {"name": "Autumn", "kind": "list", "channel": "phone", "starts_on": TODAY, "ends_on": LATER}
        campaign_start.start(conn, actor=root, ids=list(data.ids.values()), today=TODAY, **values)
        assert make.count(conn, "campaign_members") == 3
        me = conn.scalar(text("SELECT pg_backend_pid()"))
        with connection.begin_owner() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:me)"), {"me": me})
        conn.exec_driver_sql("SELECT 1")
    with connection.begin_owner() as conn:
        tables = ("campaigns", "campaign_members", "campaign_held_out", "batches", "touched_customers")
        assert [make.count(conn, t) for t in tables] == [0, 0, 0, 0, 0]


# --- taking it back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["mark", "mia", "root"])
def test_an_undo_takes_the_whole_campaign_back(data: Data, who: str) -> None:
    viewer: Viewer = getattr(data.people, who)
    begun = start(viewer, data.ids.values(), percent=50, unasked=True)
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
    with begin(viewer, write=True) as conn:
        done = undo(conn, actor=viewer, change_set_id=begun.change_set_id, source="screen")
    with connection.begin_owner() as conn:
        tables = ("campaigns", "campaign_members", "campaign_held_out")
        assert [make.count(conn, t) for t in tables] == [0, 0, 0]
        assert conn.scalar(select(func.count()).select_from(schema.touched_customers)), "their figures are made anew"
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
        assert make.count(conn, "campaign_sums") == 0
    # It cannot be brought back; the name is free.
    with pytest.raises(Invalid, match="Start it again"), begin(viewer, write=True) as conn:
        undo(conn, actor=viewer, change_set_id=done.change_set_id, source="screen")
    start(viewer, data.ids.values())


def test_an_administrator_takes_back_anybodys_and_a_manager_no_one_elses(data: Data) -> None:
    begun = start(data.people.mark, data.ids.values())
    for viewer in (data.people.mia, data.people.ann, data.people.ana):
        with pytest.raises(NotFound), begin(viewer, write=True) as conn:
            undo(conn, actor=viewer, change_set_id=begun.change_set_id, source="screen")
    with begin(data.people.root, write=True) as conn:
        undo(conn, actor=data.people.root, change_set_id=begun.change_set_id, source="screen")
    with connection.begin_owner() as conn:
        assert make.count(conn, "campaign_members") == 0


@pytest.mark.parametrize("who", ["mark", "root"])
def test_a_campaign_in_which_somebody_redeemed_stays(data: Data, who: str) -> None:
    viewer: Viewer = getattr(data.people, who)
    begun = start(viewer, data.ids.values())
    with connection.begin_owner() as conn:
        m = schema.campaign_members
        of = (m.c.customer_id == data.ids["agreed"],)
        conn.execute(update(m).where(*of).values(redemptions=1, first_redeemed_on=TODAY))
    with pytest.raises(Conflict, match="1 customer has redeemed"), begin(viewer, write=True) as conn:
        undo(conn, actor=viewer, change_set_id=begun.change_set_id, source="screen", leave_conflicts=True)
    assert len(found(schema.campaign_members, begun.campaign_id)) == 3


# --- the segment it is of --------------------------------------------------------------------------------------------


def test_a_segment_names_the_campaigns_started_from_it_to_those_who_see_it(data: Data) -> None:
    mark, mia = data.people.mark, data.people.mia
    with begin(mark, write=True) as conn:
        segment_id, made = saved_segments.save(conn, actor=mark, name="North", rule=NORTH)
    begun = start(mark, data.ids.values(), segment_id=segment_id)
    with begin(mark) as conn:
        assert started_campaigns.of_segment(conn, viewer=mark, segment_id=segment_id) == {begun.campaign_id: "Autumn"}
        known = started_campaigns.get(conn, viewer=mark, campaign_id=begun.campaign_id)
        assert known is not None
        assert (known.segment_id, known.segment) == (segment_id, "North")
    # A private one: others see the campaign, and neither its segment nor that there is one.
    with begin(mia) as conn:
        assert started_campaigns.of_segment(conn, viewer=mia, segment_id=segment_id) == {}
        known = started_campaigns.get(conn, viewer=mia, campaign_id=begun.campaign_id)
        assert known is not None
        assert (known.segment_id, known.segment) == (None, None)
    with pytest.raises(NotFound):
        start(mia, data.ids.values(), name="Mine", segment_id=segment_id)
    # Its making cannot be taken back as long as the campaign stands; archiving it can be done.
    with pytest.raises(Conflict, match="the campaigns “Autumn”"), begin(mark, write=True) as conn:
        undo(conn, actor=mark, change_set_id=made, source="screen")
    with begin(mark, write=True) as conn:
        saved_segments.archive(conn, actor=mark, segment_id=segment_id)
    with begin(mark) as conn:
        assert started_campaigns.of_segment(conn, viewer=mark, segment_id=segment_id) == {begun.campaign_id: "Autumn"}


def test_kept_segments_hear_of_it(data: Data) -> None:
    """Who receives a campaign joins the segments that ask for it, and leaves them when it is taken back."""
    mark = data.people.mark
    begun = start(mark, data.ids.values(), percent=50)
    rule = json.dumps({"all": [{"field": "held_out", "op": "any of", "value": [begun.campaign_id]}]})
    with begin(mark, write=True) as conn:
        segment_id, _set = saved_segments.save(conn, actor=mark, name="Out", rule=rule)
    with begin(WORKER, write=True) as conn:
        segment_members.evaluate(conn, segment_id)
    assert len(members(segment_id)) == 2
    with begin(mark, write=True) as conn:
        undo(conn, actor=mark, change_set_id=begun.change_set_id, source="screen")
    with begin(WORKER, write=True) as conn:
        segment_members.refresh(conn)
    assert members(segment_id) == set()


def members(segment_id: int) -> set[int]:
    m = schema.segment_members.c
    with connection.begin_owner() as conn:
        return set(conn.scalars(select(m.customer_id).where(m.segment_id == segment_id)))


# --- the list --------------------------------------------------------------------------------------------------------


def test_the_list_is_for_who_may_export_and_leaves_out_who_has_said_no_since(data: Data) -> None:
    people = data.people
    begun = start(people.mark, data.ids.values())
    params = {"campaign": begun.campaign_id}

    def listed(viewer: Viewer) -> dict[str, str]:
        with begin(viewer) as conn:
            asked: dict[str, Any] = {"kind": "campaign", "params": params, "today": TODAY}
            rows = list(exports.rows(conn, viewer=viewer, **asked))
            return {row["name"]: row["reached_by"] for row in rows}

    assert listed(people.mia) == {
        "agreed": "+8613800138000",
        "again": "+8613800138001",
        "colleague": "+86 138 0013 8009",
    }
    assert listed(people.ann) == {"agreed": "+8613800138000"}
    assert set(listed(people.ana).values()) == {""}
    with pytest.raises(Refused):
        listed(people.mark)
    with begin(people.root, write=True) as conn:
        said = {"channel": "phone", "state": "withdrawn", "how": "call"}
        consents.record(conn, actor=people.root, customer_id=data.ids["again"], **said)
    assert set(listed(people.root)) == {"agreed", "colleague"}
    for campaign in (0, 2**70, -1, "1", None, {}):
        with pytest.raises((NotFound, Invalid)), begin(people.root) as conn:
            exports.check(conn, viewer=people.root, kind="campaign", params={"campaign": campaign}, today=TODAY)


def test_a_salesperson_is_told_of_their_own_customers_alone(data: Data) -> None:
    begun = start(data.people.mark, data.ids.values(), unasked=True)
    with begin(data.people.ann) as conn:
        known = started_campaigns.get(conn, viewer=data.people.ann, campaign_id=begun.campaign_id)
        assert known is not None
        assert (known.received.customers, known.reach) == (1, None)
        assert started_campaigns.get(conn, viewer=data.people.ann, campaign_id=0) is None
