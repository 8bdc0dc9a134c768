"""Notes and talks: what was written is found, shown as it stands, by those who may read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from db import attachments, connection, customer, interactions, tasks
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import HOSTILE, REFUSAL, body, database, signed_in, sound

NOTE = "合同已經寄出。 :red[客戶] **要求** <b>折扣</b>"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    with database(server, template) as made:
        with connection.begin(made.ann, write=True) as conn:
            own = {
                "actor": made.ann,
                "customer_id": customer.add(conn, actor=made.ann, values={"name": "明月 *餐饮*"})[0],
            }
            customer.add_note(conn, body=NOTE, **own)
            interactions.log(conn, kind="meeting", subject="续约", body="谈合同条款", **own)
            tasks.add(conn, title="寄合同", **own)
            attachments.add(conn, name="合同.txt", content=b"text", **own)
        yield made


def opened(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "said", **params))


def test_what_was_written_is_found_and_shown_as_it_stands(people: make.People) -> None:
    app = opened(people.ann)
    app = sound(app.text_input(key="said_words").set_value("合同").run())
    shown = body(app)
    assert "1–4 of 4" in shown
    assert shown.count(":primary-background[合同]") == 4
    assert "\\*\\*要求\\*\\*" in shown
    assert "\\:red\\[客戶\\]" in shown
    narrowed = body(opened(people.ann, said_words="合同", said_part="talks"))
    assert "1–1 of 1" in narrowed
    assert "续约" in narrowed


def test_nothing_is_said_to_be_found(people: make.People) -> None:
    for viewer, words in (
        (people.ann, "鲸"),
        (people.bo, "合同"),
        (people.cho, "合同"),
        *((people.ann, w) for w in HOSTILE),
    ):
        assert "Nobody wrote this." in body(opened(viewer, said_words=words)), words


def test_masked_roles_have_no_such_screen(people: make.People) -> None:
    for viewer in (people.ana, people.mark):
        assert REFUSAL in body(signed_in(viewer, "said", said_words="合同"))


def test_it_speaks_chinese(people: make.People) -> None:
    shown = body(sound(signed_in(people.ann, "said", language="zh_CN", said_words="合同")))
    assert "沟通记录" in shown
    assert "会面" in shown


def test_the_timeline_of_a_customer_is_narrowed(people: make.People) -> None:
    customer_id = 1
    app = sound(signed_in(people.ann, "customer", id=str(customer_id), customer_words="条款"))
    shown = body(app)
    assert "谈合同条款" in shown
    assert "合同已經寄出" not in shown
    none = body(sound(signed_in(people.ann, "customer", id=str(customer_id), customer_words="鲸")))
    assert "Nothing written here holds this." in none
    masked = body(sound(signed_in(people.ana, "customer", id=str(customer_id), customer_words="条款")))
    assert "hidden from your role" in masked


def test_the_list_says_by_which_contact_or_tag(people: make.People) -> None:
    from db import contacts, tags

    with connection.begin(people.ann, write=True) as conn:
        contacts.add(conn, actor=people.ann, customer_id=1, values={"name": "李偉"})
        tags.add(conn, actor=people.ann, customer_id=1, tag="VIP")
    for words, said in (("李伟", "Contact · 李偉"), ("vip", "Tag · VIP")):
        app = sound(signed_in(people.ann, "customers", customers_search=words))
        assert app.dataframe[0].value["found_by"].tolist() == [said]
    app = sound(signed_in(people.mark, "customers", customers_search="vip"))
    assert app.dataframe[0].value["found_by"].tolist() == ["Tag · VIP"]
