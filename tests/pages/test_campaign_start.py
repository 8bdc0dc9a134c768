"""Starting a campaign from a segment's screen, and the campaign's screen afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from db import clock, connection, consents, customer, saved_segments, schema
from db.connection import begin
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import click, database, drawn, go, said, signed_in, sound, where, words
from worker import tasks

OSLO = json.dumps({"all": [{"field": "city", "op": "in", "value": ["Oslo"]}]})
KEY = "campaign_start"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Twelve in Oslo: one without a phone, one said no, the others agreed to calls; each third bought today."""
    with database(server, template) as made:
        for n in range(12):
            with begin(made.ann, write=True) as conn:
                values = {"name": f"Client {n}", "city": "Oslo"} | ({"phone": "+4791234567"} if n else {})
                one = customer.add(conn, actor=made.ann, values=values)[0]
                state = "refused" if n == 1 else "given"
                consents.record(conn, actor=made.ann, customer_id=one, channel="phone", state=state, how="form")
            if n % 3 == 0:
                with connection.begin_owner() as conn:
                    make.order(conn, one, clock.today())
                    touched = {"customer_id": one, "touched_at": clock.now()}
                    conn.execute(schema.touched_customers.insert().values(**touched))
        tasks.drain()
        yield made


def turn(app: AppTest) -> int:
    return int(app.session_state[f"{KEY}_turn"]) if f"{KEY}_turn" in app.session_state else 0


def form(app: AppTest, **typed: object) -> AppTest:
    """Open the dialog and fill it in. AppTest forgets an open dialog in the next run: it is opened again."""
    app = sound(click(app, KEY))
    for name, value in typed.items():
        [field] = [w for w in [*app.text_input, *app.number_input] if w.key == f"{KEY}_{turn(app)}_{name}"]
        field.set_value(value)
    app.button(key=KEY).click()
    return sound(app.run())


def go_on(app: AppTest) -> AppTest:
    app.button(key=KEY).click()
    [start] = [b for b in app.button if b.key and b.key.startswith(KEY) and b.key.endswith("_go")]
    start.click()
    return app.run()


def test_a_marketer_starts_one_and_sees_what_it_brought_about(people: make.People) -> None:
    with begin(people.mark, write=True) as conn:
        segment, _set = saved_segments.save(conn, actor=people.mark, name="In Oslo", rule=OSLO, shared=True)
    app = form(signed_in(people.mark, "segment", id=str(segment)), name="Calls <b>*1*", held=50)
    told = words(app)
    assert "5 of 12 will receive it." in told
    for reason in ("1 said no", "1 has no phone", "5 are held out at random"):
        assert reason in told
    assert "Client " not in told, "names are hidden from marketers"
    app = sound(go_on(app))
    assert where(app) == "campaign"
    assert "Started: 5 customers receive it." in said(app)
    told = words(app)
    assert "Calls <b>*1*" in told
    assert "by Mark" in told
    assert "Of 12 customers:" in told
    assert not drawn(app, "campaign_export"), "marketers export nothing"
    tasks.drain()
    number = started("Calls <b>*1*")
    told = words(sound(signed_in(people.mark, "campaign", id=str(number))))
    assert "Difference:" in told
    assert "percentage points" in told
    # Her manager exports the list; the segment names the campaign.
    app = sound(signed_in(people.mia, "campaign", id=str(number)))
    assert drawn(app, "campaign_export")
    assert "Of 12 customers:" not in words(app), "counted among all that Mark sees"
    app = sound(click(app, "campaign_export"))
    told = words(sound(go(app, "segment", id=str(segment))))
    assert "Campaigns started from it:" in told


def started(name: str) -> int:
    with connection.begin_owner() as conn:
        found = conn.scalar(select(schema.campaigns.c.id).where(schema.campaigns.c.name == name))
    assert found
    return int(found)


def test_what_is_wrong_is_said_and_nothing_is_started(people: make.People) -> None:
    app = go_on(form(signed_in(people.mia, "segment", segment_rule=OSLO), name=""))
    assert where(app) == "segment"
    with connection.begin_owner() as conn:
        kept = set(conn.scalars(select(schema.campaigns.c.name)))
    assert "" not in kept
    nobody = json.dumps({"all": [{"field": "city", "op": "in", "value": ["Rome"]}]})
    app = sound(click(signed_in(people.mia, "segment", segment_rule=nobody), KEY))
    assert "There is nobody to start a campaign with." in words(app)


@pytest.mark.parametrize("who", ["ann", "ana"])
def test_others_have_no_button(people: make.People, who: str) -> None:
    viewer: Viewer = getattr(people, who)
    assert not drawn(sound(signed_in(viewer, "segment", segment_rule=OSLO)), KEY)


def test_it_speaks_chinese(people: make.People) -> None:
    app = sound(signed_in(people.root, "segment", language="zh_CN", segment_rule=OSLO))
    assert app.button(key=KEY).label == "发起营销活动"
