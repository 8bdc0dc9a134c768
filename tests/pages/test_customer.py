"""One customer: what a link opens, editing alone and beside others, undo, hand-over, archive, notes, masking."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from streamlit.testing.v1 import AppTest

from components import wording
from db import clock, connection, customer, derived, interactions, schema
from db.embedded import Server
from db.permissions import Role, Viewer
from tests import make
from tests.pages.visits import (
    HOSTILE,
    SIGN_IN,
    TOO_LONG,
    body,
    click,
    control,
    count,
    database,
    drawn,
    go,
    grid,
    markup_of,
    metrics,
    pick,
    revoke,
    said,
    sign_in,
    signed_in,
    sound,
    speaking,
    where,
    words,
)

TODAY = date(2026, 11, 20)
PHONE = "+86 138 0013 8000"
CHOOSE = "Somebody saved this customer while you were editing. Choose which values to keep."
RECORD = ("change_sets", "changes", "customers", "notes")


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Every test makes its own customers; `buyer` has orders and a campaign."""
    with database(server, template) as made:
        yield made


@pytest.fixture(scope="module")
def buyer(people: make.People) -> int:
    with connection.begin_owner() as conn:
        made = make.customer(conn, people.ann.user_id, name="王小明", phone=PHONE, email="ming@example.com")
        for n in range(43):
            order_id = make.order(conn, made, date(2026, 9, 29 - n % 28), "12.50")
        product = {"sku": "1", "name": "CHEESE <b>", "category": "DAIRY *x*", "brand": "", "package": "1 KG"}
        product_id = conn.scalar(insert(schema.products).values(**product).returning(schema.products.c.id))
        line = {"product_id": product_id, "quantity": 2, "amount": "12.50"}
        conn.execute(insert(schema.order_items).values(customer_id=made, order_id=order_id, **line))
        now = clock.now()
        campaign = {"name": "Campaign 18", "kind": "mail", "starts_on": date(2026, 9, 1), "ends_on": date(2026, 9, 30)}
        campaign_id = conn.scalar(
            insert(schema.campaigns).values(created_at=now, updated_at=now, **campaign).returning(schema.campaigns.c.id)
        )
        member = {"campaign_id": campaign_id, "received_on": date(2026, 9, 2)}
        conn.execute(insert(schema.campaign_members).values(customer_id=made, **member))
        derived.rebuild(conn)
    return made


def opened(viewer: Viewer, customer_id: int, **params: str) -> AppTest:
    return sound(signed_in(viewer, "customer", id=str(customer_id), **params))


def added(actor: Viewer, **values: str) -> int:
    with connection.begin(actor, write=True) as conn:
        return customer.add(conn, actor=actor, values={"name": "Start", **values})[0]


def saved(actor: Viewer, customer_id: int, **values: str) -> customer.Saved:
    """Somebody else saves."""
    with connection.begin(actor, write=True) as conn:
        version = customer.get(conn, viewer=actor, customer_id=customer_id, today=TODAY).version
        return customer.save(conn, actor=actor, customer_id=customer_id, version=version, values=values)


def stored(customer_id: int) -> dict[str, Any]:
    with connection.begin_owner() as conn:
        query = select(schema.customers).where(schema.customers.c.id == customer_id)
        return dict(conn.execute(query).mappings().one())


# --- what a link opens -----------------------------------------------------------------------------------------------

TABS = {
    "timeline": "Everything",
    "purchases": "**Categories · USD · most spent first**",
    "campaigns": "Redeemed",
    "notes": "What happened?",
    "details": "Household size",
    "history": "No changes yet.",
}


@pytest.mark.parametrize("tab", TABS)
def test_a_link_opens_its_part(people: make.People, buyer: int, tab: str) -> None:
    app = opened(people.ann, buyer, customer_tab=tab)
    assert [name for name, text in TABS.items() if text in body(app)] == [tab]
    assert app.query_params == {"id": str(buyer)} | ({} if tab == "timeline" else {"customer_tab": tab})


def test_parts_go_into_the_link_by_code(people: make.People, buyer: int) -> None:
    app = sound(signed_in(people.ann, "customer", language="zh_CN", id=str(buyer)))
    with speaking("zh_CN"):
        control(app, "customer_tab").set_value("history")
        sound(app.run())
    assert app.query_params == {"id": str(buyer), "customer_tab": "history"}


@pytest.mark.parametrize(
    "tab", ["nonsense", "x" * 5_000, "\0", "<script>alert(1)</script>", "購買"], ids=lambda t: t[:9]
)
def test_an_unknown_part_is_the_first(people: make.People, buyer: int, tab: str) -> None:
    assert TABS["timeline"] in body(opened(people.ann, buyer, customer_tab=tab))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        *[
            (nonsense, "No customer is chosen. Open one from the list.")
            for nonsense in (
                "",
                "abc",
                "１２",
                "-1",
                " 1",
                "1.0",
                "1e3",
                "\0",
                "9" * 19,
                "9" * 5_000,
                "<script>",
                "1;--",
            )
        ],
        ("0", "There is no customer 0 that you may see."),
        ("9" * 18, f"There is no customer {'9' * 18} that you may see."),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_nonsense_for_a_customer_is_a_sentence(people: make.People, asked: str, sentence: str) -> None:
    app = sound(signed_in(people.ann, "customer", id=asked))
    assert sentence in body(app)
    assert not metrics(app)


def test_another_ones_customer_is_as_one_that_is_not_there(people: make.People, buyer: int) -> None:
    app = sound(signed_in(people.cho, "customer", id=str(buyer)))
    assert f"There is no customer {buyer} that you may see." in body(app)
    assert "王小明" not in words(app)


@pytest.mark.parametrize(
    ("number", "told"),
    [("3", "41–43 of 43"), ("9", "1–20 of 43"), ("-5", "1–20 of 43"), ("1e9", "1–20 of 43"), ("9" * 99, "1–20 of 43")],
)
def test_the_page_of_the_orders_is_in_the_link(people: make.People, buyer: int, number: str, told: str) -> None:
    app = opened(people.ann, buyer, customer_tab="purchases", customer_orders_page=number)
    assert told in [caption.value for caption in app.caption]
    shown = {"id": str(buyer), "customer_tab": "purchases"}
    assert app.query_params == shown | ({"customer_orders_page": "3"} if number == "3" else {})


# --- figures and purchases -------------------------------------------------------------------------------------------


def test_figures_and_ways_to_reach_the_customer(people: make.People, buyer: int) -> None:
    app = opened(people.ann, buyer)
    assert [heading.value for heading in app.main.title] == ["王小明"]
    assert metrics(app) == {
        "Orders": "43",
        "Revenue": "$537.50",
        "Average basket": "$12.50",
        "Last order": "52 days ago",
        "Buys every": "1 day",  # every day of September's first 29 but one
        "Next purchase due": "Sep 30",
    }
    links = {link.label.replace("\\", ""): link.url for link in app.main.link_button}
    assert links == {PHONE: "tel:+8613800138000", "ming@example.com": "mailto:ming@example.com"}


def test_an_order_shows_its_lines(people: make.People, buyer: int) -> None:
    app = opened(people.ann, buyer, customer_tab="purchases", customer_orders_page="3")
    with connection.begin_owner() as conn:
        last = conn.scalar(select(schema.order_items.c.order_id))
        orders = schema.orders.c
        newest_first = select(orders.id).order_by(orders.placed_at.desc(), orders.id.desc())
        place = list(conn.scalars(newest_first)).index(last)
    number, row = divmod(place, 20)
    app = opened(people.ann, buyer, customer_tab="purchases", customer_orders_page=str(number + 1))
    assert list(grid(app, "customer_orders")["amount"])[row] == 12.5
    pick(app, "customer_orders", row)
    assert "**Lines of this order**" in body(sound(app))
    assert rf"| {wording.plain('Cheese <B>')} | 1 KG | 2 | 12\.5 | 0 |" in body(app)


# --- editing ---------------------------------------------------------------------------------------------------------


def edit(app: AppTest, **typed: str) -> AppTest:
    """Type into the open form, or into one that is opened for it, and save."""
    if not drawn(app, "customer_form_save"):
        sound(click(app, "customer_edit"))
    for column, value in typed.items():
        field(app, column).set_value(value)
    return sound(click(app, "customer_form_save"))


def field(app: AppTest, column: str) -> Any:
    [found] = [w for w in [*app.text_input, *app.text_area] if w.key.startswith(f"customer_form_field_{column}_")]
    return found


def test_a_saved_change_can_be_taken_back_from_the_bar(people: make.People) -> None:
    customer_id = added(people.ann, phone=PHONE)
    before = count(*RECORD)
    app = edit(opened(people.ann, customer_id), phone="139 0013 9000", city=" Xi'an ")
    assert "Saved: City, Phone." in body(app)
    assert not drawn(app, "customer_form_save")
    assert (stored(customer_id)["phone"], stored(customer_id)["city"]) == ("+86 139 0013 9000", "Xi'an")
    assert count(*RECORD) == (before[0] + 1, before[1] + 1, *before[2:])
    sound(click(app, "kehu_undo_button"))
    assert (stored(customer_id)["phone"], stored(customer_id)["city"]) == (PHONE, "")
    assert PHONE in body(app)
    sound(click(app, "kehu_undo_button"))  # the undo of the undo
    assert stored(customer_id)["city"] == "Xi'an"
    sound(click(app, "kehu_undo_hide"))
    assert not drawn(app, "kehu_undo_button")


def test_a_refused_save_says_why_at_the_field_and_keeps_what_was_typed(people: make.People) -> None:
    customer_id = added(people.ann)
    before = count(*RECORD)
    app = edit(opened(people.ann, customer_id), name="  ", phone="12", email="nobody", city="Rome", address="x" * 501)
    assert "Some fields need another look." in body(app)
    texts = [e for e in app.main if e.type in ("markdown", "text_input")]
    drawn_order = [e.value if e.type == "markdown" else e.label for e in texts]
    for label, sentence in {
        "Name *": "This must not be empty.",
        "Phone": "This is not a phone number.",
        "E-mail": "This is not an e-mail address.",
    }.items():
        assert sentence in drawn_order[drawn_order.index(label) + 1].replace("\\", "")
    assert "501 characters are too many; at most 500." in said(app)
    assert [field(app, c).value for c in ("phone", "email", "city")] == ["12", "nobody", "Rome"]
    assert count(*RECORD) == before
    app = edit(app, name="Found", phone="", email="", address="")
    assert "Saved: City, Name." in body(app)
    assert stored(customer_id)["city"] == "Rome"


def test_cancel_forgets_what_was_typed(people: make.People) -> None:
    customer_id = added(people.ann)
    before = count(*RECORD)
    app = edit(opened(people.ann, customer_id), name="")
    click(app, "customer_form_cancel")
    assert not drawn(app, "customer_form_save")
    click(app, "customer_edit")
    assert field(sound(app), "name").value == "Start"
    assert "This must not be empty." not in body(app)
    assert count(*RECORD) == before


def test_a_save_without_a_change_says_so(people: make.People) -> None:
    customer_id = added(people.ann)
    before = count(*RECORD)
    app = edit(opened(people.ann, customer_id), name=" Start ")
    assert "Nothing had changed, so nothing was saved." in body(app)
    assert count(*RECORD) == before
    assert "Saved: Name." in body(edit(app, name="Second"))


@pytest.mark.parametrize("typed", HOSTILE, ids=repr)
def test_whatever_is_typed_into_the_form(people: make.People, typed: str) -> None:
    customer_id = added(people.ann)
    before = count(*RECORD)
    app = edit(opened(people.ann, customer_id, customer_tab="history"), **dict.fromkeys(customer.FIELDS, typed))
    assert "This is not a phone number." in said(app)
    assert "This is not an e-mail address." in said(app)
    assert field(app, "company").value == typed
    assert count(*RECORD) == before
    edit(app, phone="", email="")
    free = [column for column in customer.FIELDS if column not in ("phone", "email")]
    assert {stored(customer_id)[column] for column in free} == {HOSTILE[typed]}
    assert count(*RECORD) == (before[0] + 1, before[1] + 1, *before[2:])
    assert f"Company: – → {HOSTILE[typed]}" in [text.value for text in app.main.text]
    assert markup_of(app, HOSTILE[typed]) == []


def test_too_long_texts_are_refused_not_cut(people: make.People) -> None:
    before = count(*RECORD)
    app = edit(opened(people.ann, added(people.ann)), **dict.fromkeys(customer.FIELDS, TOO_LONG))
    for most in customer.LIMITS.values():
        assert f"10,001 characters are too many; at most {most}." in said(app)
    assert count(*RECORD)[0] == before[0] + 1, "only the new customer"


# --- beside others ---------------------------------------------------------------------------------------------------


def test_saves_of_different_fields_are_merged_and_it_is_said(people: make.People) -> None:
    customer_id = added(people.ann)
    app = click(opened(people.ann, customer_id), "customer_edit")
    saved(people.mia, customer_id, company="Acme")
    edit(app, city="Rome")
    assert "Saved: City. Meanwhile somebody else changed Company; both are kept." in body(app)
    assert (stored(customer_id)["company"], stored(customer_id)["city"]) == ("Acme", "Rome")


def test_saves_of_one_field_show_both_sides_to_choose_from(people: make.People) -> None:
    customer_id = added(people.ann, company="First")
    app = click(opened(people.ann, customer_id), "customer_edit")
    theirs = "Theirs :red[x]"
    saved(people.mia, customer_id, company=theirs, city="Oslo")
    before = count(*RECORD)
    edit(app, company="Mine", city="Rome", region="North")
    assert CHOOSE in body(app)
    assert count(*RECORD) == before
    assert not drawn(app, "customer_form_save")
    sides = {radio.label: radio.options for radio in app.radio}
    assert sides == {
        "City": ["Mine: Rome", "Theirs: Oslo"],
        "Company": ["Mine: Mine", f"Theirs: {wording.plain(theirs)}"],
    }
    assert markup_of(app, theirs) == []
    app.radio(key="customer_form_clash_city").set_value("theirs")
    sound(click(app, "customer_form_clash_done"))
    assert [field(app, c).value for c in ("company", "city", "region")] == ["Mine", "Oslo", "North"]
    edit(app)
    assert "Saved: Company, Region." in body(app)
    row = stored(customer_id)
    assert (row["company"], row["city"], row["region"]) == ("Mine", "Oslo", "North")


def test_a_second_clash_after_the_choice(people: make.People) -> None:
    customer_id = added(people.ann)
    app = click(opened(people.ann, customer_id), "customer_edit")
    for turn in ("one", "two"):
        saved(people.mia, customer_id, company=turn)
        edit(app, company="Mine")
        assert CHOOSE in body(app)
        assert [radio.options for radio in app.radio] == [["Mine: Mine", f"Theirs: {turn}"]]
        sound(click(app, "customer_form_clash_done"))
    assert "Saved: Company." in body(edit(app))
    assert stored(customer_id)["company"] == "Mine"


def test_a_form_of_a_customer_who_was_handed_away_saves_nothing(people: make.People) -> None:
    customer_id = added(people.ann)
    app = click(opened(people.ann, customer_id), "customer_edit")
    with connection.begin(people.mia, write=True) as conn:
        customer.assign(conn, actor=people.mia, customer_ids=[customer_id], owner_id=people.bo.user_id)
    before = count(*RECORD)
    field(app, "name").set_value("Mine")
    sound(click(app, "customer_form_save"))
    assert f"There is no customer {customer_id} that you may see." in body(app)
    assert count(*RECORD) == before


def test_a_form_of_somebody_who_lost_the_right_saves_nothing(people: make.People) -> None:
    customer_id = added(people.bo)
    app = click(opened(people.bo, customer_id), "customer_edit")
    before = count(*RECORD)
    with role(people.bo, Role.ANALYST):
        field(app, "name").set_value("Mine")
        sound(click(app, "customer_form_save"))
        assert "Start" not in body(app)
        assert not drawn(app, "customer_form_save")
        assert not drawn(app, "customer_edit")
    assert count(*RECORD) == before


class role:
    """Another role for a user, for a while."""

    def __init__(self, viewer: Viewer, other: Role) -> None:
        self.viewer, self.other = viewer, other

    def __enter__(self) -> None:
        self._give(self.other)

    def __exit__(self, *error: object) -> None:
        self._give(self.viewer.role)

    def _give(self, value: Role) -> None:
        with connection.begin_owner() as conn:
            conn.execute(update(schema.users).where(schema.users.c.id == self.viewer.user_id).values(role=value.value))


@pytest.mark.parametrize("who", ["ann", "mia"])
def test_gone_session_shows_the_sign_in_and_saves_nothing(people: make.People, who: str) -> None:
    customer_id = added(people.ann)
    app = click(opened(people.ann, customer_id), "customer_edit")
    revoke(app)
    before = count(*RECORD)
    field(app, "name").set_value("Too late")
    sound(click(app, "customer_form_save"))
    assert SIGN_IN in body(app)
    assert not drawn(app, "customer_form_save")
    assert "Too late" not in words(app)
    assert len(app.sidebar) == 0
    assert count(*RECORD) == before
    sound(sign_in(app, getattr(people, who)))
    if who == "ann":
        assert field(app, "name").value == "Too late"
        assert "Saved: Name." in body(edit(app))
    else:
        assert not drawn(app, "customer_form_save")
        assert "Too late" not in words(app)


# --- undo in the history ---------------------------------------------------------------------------------------------


def test_history_tells_every_value_and_takes_back(people: make.People) -> None:
    customer_id = added(people.ann)
    first = saved(people.mia, customer_id, phone="138 0013 8000", city="Rome")
    second = saved(people.ann, customer_id, company="Acme")
    app = opened(people.ann, customer_id, customer_tab="history")
    lines = [text.value for text in app.main.text]
    assert lines == ["Company: – → Acme", f"Phone: – → {PHONE}", "City: – → Rome"]
    assert f"Mia · 2026-11-20 15:00 · on the screen · #{first.change_set_id}" in body(app)
    sound(click(app, f"customer_undo_{first.change_set_id}"))
    assert (stored(customer_id)["phone"], stored(customer_id)["company"]) == ("", "Acme")
    assert f"Change {first.change_set_id} is undone." in body(app)
    assert not drawn(app, f"customer_undo_{first.change_set_id}")
    assert drawn(app, f"customer_undo_{second.change_set_id}")
    assert "**Undo of: Customer edited**" in body(app)
    assert "undone" in [caption.value for caption in app.main.caption]
    sound(click(app, "kehu_undo_button"))  # the undo of the undo
    assert stored(customer_id)["phone"] == PHONE


def test_what_was_changed_since_stands_in_the_way_and_is_shown(people: make.People) -> None:
    customer_id = added(people.ann, company="One")
    early = saved(people.ann, customer_id, company="Two", city="Rome")
    saved(people.mia, customer_id, company="Three")
    app = opened(people.ann, customer_id, customer_tab="history")
    before = count(*RECORD)
    sound(click(app, f"customer_undo_{early.change_set_id}"))
    assert "Nothing was undone" in body(app)
    assert next(text.value for text in app.main.text) == "Company: Two → Three"
    assert count(*RECORD) == before
    assert stored(customer_id)["city"] == "Rome"
    sound(click(app, "kehu_stuck_rest"))
    assert (stored(customer_id)["company"], stored(customer_id)["city"]) == ("Three", "")
    assert "1 value stays as it is." in body(app)
    assert not drawn(app, "kehu_stuck_rest")
    sound(click(app, "kehu_undo_button"))  # of what was taken back alone
    assert (stored(customer_id)["company"], stored(customer_id)["city"]) == ("Three", "Rome")


def test_what_stands_in_the_way_may_be_left_as_it_is_or_be_all_there_is(people: make.People) -> None:
    customer_id = added(people.ann, company="One")
    early = saved(people.ann, customer_id, company="Two")
    saved(people.mia, customer_id, company="Three")
    before = count(*RECORD)
    app = opened(people.ann, customer_id, customer_tab="history")
    sound(click(app, f"customer_undo_{early.change_set_id}"))
    assert not drawn(app, "kehu_stuck_rest"), "there is no rest"
    sound(click(app, "kehu_stuck_keep"))
    assert "Nothing was undone" not in body(app)
    sound(click(app, f"customer_undo_{early.change_set_id}"))
    app.switch_page("../pages/personal/account.py").run()
    assert "Nothing was undone" not in body(sound(app)), "it is of another screen"
    assert count(*RECORD) == before


def test_undone_elsewhere_meanwhile(people: make.People) -> None:
    customer_id = added(people.ann)
    early = saved(people.ann, customer_id, city="Rome").change_set_id
    one, other = (opened(people.ann, customer_id, customer_tab="history") for _ in range(2))
    click(one, f"customer_undo_{early}")
    sound(click(other, f"customer_undo_{early}"))
    assert stored(customer_id)["city"] == ""
    assert "undone" in [caption.value for caption in other.main.caption]


# --- hand-over -------------------------------------------------------------------------------------------------------


def hand_over(app: AppTest, to: Viewer) -> AppTest:
    app.selectbox(key="customer_new_owner").set_value(to.user_id)
    assert not app.run().button(key="customer_assign").disabled
    return sound(click(app, "customer_assign"))


def listed(app: AppTest) -> list[str]:
    return list(grid(app, "customers_list")["name"]) if app.dataframe else []


def test_a_hand_over_leaves_the_list_and_the_giver_can_take_it_back(people: make.People) -> None:
    customer_id = added(people.bo, name="Handed over")
    app = opened(people.bo, customer_id)
    assert app.selectbox(key="customer_new_owner").options == ["Ann", "Cho", "Max", "Mia"]
    assert app.button(key="customer_assign").disabled
    hand_over(app, people.cho)
    assert where(app) == "customers"
    assert "Handed over to Cho." in body(app)
    assert "Handed over" not in listed(app)
    assert "Handed over" in listed(signed_in(people.cho, "customers"))
    gone = go(signed_in(people.bo, "customers"), "customer", id=str(customer_id))
    assert f"There is no customer {customer_id} that you may see." in body(gone)
    sound(click(app, "kehu_undo_button"))
    assert "Handed over" in listed(app)
    assert stored(customer_id)["owner_id"] == people.bo.user_id


def test_history_names_the_owners(people: make.People) -> None:
    customer_id = added(people.bo)
    hand_over(opened(people.bo, customer_id), people.ann)
    for viewer in (people.ann, people.mia, people.root, people.ana):
        app = opened(viewer, customer_id, customer_tab="history")
        assert "Owner: Bo → Ann" in [text.value for text in app.main.text]


def test_a_hand_over_within_the_team_stays_in_the_managers_sight(people: make.People) -> None:
    customer_id = added(people.bo)
    app = hand_over(opened(people.mia, customer_id), people.ann)
    assert where(app) == "customers"
    assert stored(customer_id)["owner_id"] == people.ann.user_id
    go(app, "customer", id=str(customer_id))
    assert "Owner: Ann" in body(sound(app))


# --- archive ---------------------------------------------------------------------------------------------------------


def test_archive_and_back(people: make.People) -> None:
    customer_id = added(people.bo, name="To the archive")
    app = sound(click(opened(people.bo, customer_id), "customer_archive"))
    assert "Archived." in body(app)
    assert ":red-badge[Archived]" in body(app)
    assert "To the archive" not in listed(signed_in(people.bo, "customers"))
    sound(click(app, "customer_restore"))
    assert stored(customer_id)["archived_at"] is None
    assert "Put back on the lists." in body(app)
    assert "To the archive" in listed(signed_in(people.bo, "customers"))
    sound(click(app, "kehu_undo_button"))
    assert stored(customer_id)["archived_at"] is not None
    go(app, "customer", id=str(customer_id), customer_tab="history")
    assert "Archived: no → yes" in [text.value for text in app.main.text]


# --- notes -----------------------------------------------------------------------------------------------------------


def write_note(app: AppTest, text: str) -> AppTest:
    note_field(app).set_value(text)
    return sound(click(app, "customer_note_add"))


def note_field(app: AppTest) -> Any:
    [found] = [area for area in app.text_area if area.key.startswith("customer_note_body")]
    return found


def test_a_note_is_added_deleted_and_brought_back(people: make.People) -> None:
    app = opened(people.ann, added(people.ann), customer_tab="notes")
    assert "No notes yet." in body(app)
    before = count(*RECORD)
    write_note(app, " Calls back\r\non Monday. ")
    assert [text.value for text in app.main.text] == ["Calls back\non Monday."]
    assert "Ann · 2026-11-20 15:00" in body(app)
    assert note_field(app).value == ""
    assert count(*RECORD) == (before[0] + 1, before[1] + 1, before[2], before[3] + 1)
    [delete] = [button.key for button in app.button if button.key.startswith("customer_note_delete_")]
    sound(click(app, delete))
    assert "No notes yet." in body(app)
    sound(click(app, "kehu_undo_button"))
    assert [text.value for text in app.main.text] == ["Calls back\non Monday."]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Write something first."),
        (" \n\0\u202e ", "Write something first."),
        (TOO_LONG, "10,001 characters are too many; at most 10,000."),
    ],
    ids=["empty", "invisible", "too long"],
)
def test_a_refused_note_says_why_and_stays(people: make.People, typed: str, sentence: str) -> None:
    app = opened(people.ann, added(people.ann), customer_tab="notes")
    before = count(*RECORD)
    write_note(app, typed)
    assert sentence in body(app)
    assert note_field(app).value == typed
    assert count(*RECORD) == before


def test_whatever_is_typed_into_a_note(people: make.People) -> None:
    app = opened(people.ann, added(people.ann), customer_tab="notes")
    for typed, kept in HOSTILE.items():
        write_note(app, typed)
        assert app.main.text[0].value == kept
        assert markup_of(app, kept) == []


def test_a_note_deleted_elsewhere_meanwhile(people: make.People) -> None:
    customer_id = added(people.ann)
    one = write_note(opened(people.ann, customer_id, customer_tab="notes"), "Once")
    other = opened(people.mia, customer_id, customer_tab="notes")
    [delete] = [button.key for button in one.button if button.key.startswith("customer_note_delete_")]
    click(one, delete)
    before = count(*RECORD)
    assert "No notes yet." in body(sound(click(other, delete)))
    assert count(*RECORD) == before


# --- masked roles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_masked_roles_see_no_person_and_change_nothing(people: make.People, who: str) -> None:
    personal = {"name": "Jane Personal", "company": "Secret Ltd", "email": "jane@example.com", "address": "Hidden Lane"}
    customer_id = added(people.ann, phone=PHONE, city="Rome", **personal)
    saved(people.ann, customer_id, phone="139 0013 9000", company="Other Ltd")
    with connection.begin(people.ann, write=True) as conn:
        customer.add_note(conn, actor=people.ann, customer_id=customer_id, body="Jane called")
    for tab in TABS:
        app = opened(getattr(people, who), customer_id, customer_tab=tab)
        sent = words(app)
        for text in (*personal.values(), "Jane", "Other Ltd", "0013", "Jane called", "tel:", "mailto:"):
            assert text not in sent, f"{text} in {tab}"
        # They may take changes back, but only of their own segments: no change of a customer offers it.
        keys = [button.key for button in app.button if not button.key.startswith("kehu_")]
        assert keys == []
        assert [box.key for box in app.selectbox] == (["customer_part_en"] if tab == "timeline" else [])
        assert "hidden from your role" in sent or tab not in ("notes", "details")
    assert "Rome" in words(opened(getattr(people, who), customer_id, customer_tab="details"))


# --- the timeline ----------------------------------------------------------------------------------------------------


def log_call(app: AppTest, button: str = "_talk_outcome_reached_", **typed: Any) -> AppTest:
    """Fill in the form of a talk and save it, by the button of how it went or by the other."""
    for name, value in typed.items():
        [widget] = [w for w in (*app.text_input, *app.text_area, *app.number_input) if f"_talk_{name}_" in str(w.key)]
        widget.set_value(value)
    [found] = [b for b in app.button if button in str(b.key)]
    return found.click().run()


def talks(customer_id: int) -> list[tuple[Any, ...]]:
    i = schema.interactions.c
    with connection.begin_owner() as conn:
        rows = conn.execute(
            select(i.kind, i.direction, i.outcome, i.minutes, i.body).where(i.customer_id == customer_id)
        )
        return [tuple(row) for row in rows]


def test_a_call_is_logged_shown_and_taken_back(people: make.People) -> None:
    customer_id = added(people.ann)
    app = sound(log_call(opened(people.ann, customer_id), body="Wants *tea* <b>", minutes=7))
    assert talks(customer_id) == [("call", "out", "reached", 7, "Wants *tea* <b>")]
    assert "Saved to the timeline." in body(app)
    assert "**Call · from us · 7 min · Got through**" in body(app)
    assert "Wants *tea* <b>" in [text.value for text in app.text], "as it was typed, never as markup"
    app = sound(click(app, "kehu_undo_button"))
    assert talks(customer_id) == []


def test_a_refused_call_stays_in_its_form(people: make.People) -> None:
    customer_id = added(people.ann)
    app = log_call(opened(people.ann, customer_id), subject="x" * 201, body="kept")
    assert "201 characters are too many; at most 200." in body(app)
    assert talks(customer_id) == []
    app = sound(log_call(app, subject="short"))
    assert [row[4] for row in talks(customer_id)] == ["kept"]


def test_a_mail_is_not_said_to_have_got_through(people: make.People) -> None:
    customer_id = added(people.ann)
    app = opened(people.ann, customer_id)
    [kind] = [group for group in app.button_group if "_talk_kind_" in str(group.key)]
    kind.set_value("mail")
    app.run()
    assert not [b for b in app.button if "_talk_outcome_reached_" in str(b.key)]
    app = sound(log_call(app, "_talk_save_", body="Our prices"))
    assert talks(customer_id) == [("mail", "out", "", None, "Our prices")]


def test_one_part_of_the_timeline_is_a_link(people: make.People, buyer: int) -> None:
    app = opened(people.ann, buyer, customer_part="orders")
    assert "1–20 of 43" in [caption.value for caption in app.caption]
    app = opened(people.ann, buyer, customer_part="notes")
    assert "Nothing of this kind has happened yet." in body(app)


def test_only_who_may_edit_sees_the_form_and_deletes(people: make.People) -> None:
    customer_id = added(people.ann)
    with connection.begin(people.ann, write=True) as conn:
        interactions.log(conn, actor=people.ann, customer_id=customer_id, kind="mail", body="zekret")
    masked = opened(people.ana, customer_id)
    assert not [b for b in masked.button if "talk" in str(b.key)]
    assert "zekret" not in words(masked)
    assert "hidden from your role" in words(masked)
    app = opened(people.ann, customer_id)
    [delete] = [b for b in app.button if "talk_delete" in str(b.key)]
    sound(delete.click().run())
    assert talks(customer_id) == []
