"""What is bought together, and flows, as cards of a board: kept from their screens, drawn for whoever looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import delete, insert

from db import boards, clock, connection, derived, saved_segments, schema
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER, Viewer
from tests import make
from tests.pages.visits import body, database, said, signed_in, sound

WEST = '{"all":[{"field":"region","op":"in","value":["West"]}]}'
HOSTILE = ":red[milk] <b>'; --"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's Wang (West) has tea and milk in twelve orders of August and none since; Cho's one order of January has
    rice."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            goods = {}
            for name in ("tea", HOSTILE, "rice"):
                values = {"sku": name, "name": name, "department": "", "category": name, "brand": "", "package": ""}
                query = insert(schema.products).values(**values).returning(schema.products.c.id)
                goods[name] = int(conn.execute(query).scalar_one())
            wang = make.customer(conn, made.ann.user_id, name="Wang :red[x]", region="West")
            other = make.customer(conn, made.cho.user_id, name="Other One")
            bought = [(wang, date(2026, 8, 1 + n), ("tea", HOSTILE)) for n in range(12)]
            for who, day, names in (*bought, (other, date(2026, 1, 2), ("rice",))):
                key = {"customer_id": who, "order_id": make.order(conn, who, day, "10.00")}
                for name in names:
                    line = key | {"product_id": goods[name], "quantity": 1, "amount": 1}
                    conn.execute(insert(schema.order_items).values(**line))
            touched = [{"customer_id": i, "touched_at": clock.now()} for i in (wang, other)]
            conn.execute(insert(schema.touched_customers), touched)
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        with begin(made.ana, write=True) as conn:
            saved_segments.save(conn, actor=made.ana, name="My <West>", rule=WEST, shared=True)
        yield made


@pytest.fixture(autouse=True)
def empty(people: make.People) -> Iterator[None]:
    yield
    with connection.begin_owner() as conn:
        for table in (schema.board_cards, schema.boards):
            conn.execute(delete(table))


def kept(actor: Viewer, *charts: tuple[str, dict[str, str]]) -> str:
    """The number of a shared board with these charts."""
    board: dict[str, int] = {}
    with begin(actor, write=True) as conn:
        for chart, params in charts:
            where = board or {"board_name": "B"}
            card = {"chart": chart, "params": params, "title": f"T {chart}"}
            _card, number, _set = boards.keep(conn, actor=actor, **card, **where)  # type: ignore[arg-type]
            board = {"board_id": number}
        values = {"visibility": "shared"}
        boards.save(conn, actor=actor, board_id=board["board_id"], version=1, values=values)
    return str(board["board_id"])


def test_pairs_stand_on_a_board_with_everyone_beside_them(people: make.People) -> None:
    link = {"affinity_segment": "s1", "affinity_against": "everyone", "affinity_category": "tea"}
    board = kept(people.ana, ("affinity", link), ("affinity", {"affinity_side": "against"}))
    app = sound(signed_in(people.root, "board", board_id=board))
    told = body(app)
    assert "My \\<West\\> against Everyone · 12 months · 1% of orders · Lift, lower end · with Tea" in told
    # Of Wang's twelve orders all have both; of all thirteen that is 13/12 times as often as by chance.
    assert "Tea: 1.00 (1.00–1.00)" in told
    assert "Dots: My \\<West\\>; grey diamonds: Everyone." in told
    assert "Tea: 1.08" in told
    assert len(app.get("plotly_chart")) == 2
    # Cho's customers have no pair.
    cho = sound(signed_in(people.cho, "board", board_id=board))
    assert not cho.get("plotly_chart")
    assert body(cho).count("No pair is in so many orders") == 2


def test_flows_stand_on_a_board_as_a_picture_a_table_and_sentences(people: make.People) -> None:
    days = {"flows_days": "now,2026-08-31"}
    moves = days | {"flows_segment": "s1", "flows_against": "everyone"}
    board = kept(people.ana, ("flows", days), ("flows_moves", days), ("flows_moves", moves), ("flows", {}))
    app = sound(signed_in(people.root, "board", board_id=board))
    told = said(app).replace("**", "")
    assert "1 of 1 “Loyal” became “At risk”: 100.0%" in told or "1 of 1 “Loyal” became “Lost”: 100.0%" in told
    assert "Aug 31, 2026 → today" in body(app)
    assert "My \\<West\\> against Everyone · Stage · Aug 31, 2026 → today" in body(app)
    pictures = [json.loads(each.proto.spec) for each in app.get("plotly_chart")]
    assert [each["data"][0]["type"] for each in pictures] == ["sankey", "sankey"]
    assert "- Loyal: 1 → " in told
    # What Cho sees is Cho's: one customer, who was lost on both days.
    cho = sound(signed_in(people.cho, "board", board_id=board))
    assert "- Lost: 1 → Lost: 1" in said(cho).replace("**", "").replace("\u00a0", " ")
    assert "Loyal" not in said(cho)
    assert "Nobody changed class." in said(cho)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_a_card_with_what_is_no_choice_shows_the_usual(people: make.People, language: str) -> None:
    wrong = {"flows_by": "<b>", "flows_days": "2020-01-31,'; --", "flows_side": "x"}
    pairs = {"affinity_span": "999", "affinity_least": "0", "affinity_by": "'", "affinity_category": "<b>"}
    board = kept(people.ana, ("flows", wrong), ("flows_moves", {"flows_days": "now"}), ("affinity", pairs))
    app = sound(signed_in(people.ann, "board", language=language, board_id=board))
    assert len(app.get("plotly_chart")) == 2


@pytest.mark.parametrize(
    ("who", "screen", "link"),
    [
        ("ana", "affinity", {"affinity_span": "24", "affinity_segment": "s1", "affinity_by": "lift"}),
        ("root", "flows", {"flows_by": "rfm_class", "flows_segment": "s1", "flows_days": "now,2026-08-31"}),
    ],
)
def test_a_chart_is_kept_from_its_screen_and_opens_there_again(
    people: make.People, who: str, screen: str, link: dict[str, str]
) -> None:
    viewer = getattr(people, who)
    app = sound(signed_in(viewer, screen, **link))
    app.session_state[f"{screen}_keep"] = True
    sound(app.run())
    [button] = [each for each in app.button if each.label == "Keep"]
    sound(button.click().run())
    with begin(viewer) as conn:
        [board] = boards.listed(conn, viewer=viewer)
        [card] = boards.get(conn, viewer=viewer, board_id=board.id).cards
    assert (card.chart, dict(card.params)) == (screen, link)
    assert card.about == ("My <West>",)
    assert len(sound(signed_in(viewer, "board", board_id=str(board.id))).get("plotly_chart")) == 1


def test_a_segment_leads_to_both_screens_and_they_say_which_day_is_the_present(people: make.People) -> None:
    app = sound(signed_in(people.ana, "segment", id="1"))
    assert {"Bought together", "Flows"} <= {link.label for link in app.main.get("page_link")}
    app = sound(signed_in(people.ana, "flows", flows_segment="s1", flows_days="now,2026-08-31"))
    assert "Aug 31, 2026 → today · My \\<West\\>" in body(app)
