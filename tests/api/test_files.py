"""Files over the wire: given out only to who is signed in and sees the customer; taken in only from who may edit."""

from __future__ import annotations

import logging
from urllib.parse import unquote

import pytest
from sqlalchemy import Connection, select, update
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit import config

from api import guard
from api.files import disposition
from db import attachments, connection, schema
from db.connection import begin
from tests import make
from tests.api.conftest import PAGE
from tests.api.test_exports import cookie

NAME = "报价 “终稿” 100%.txt"
UPLOAD = "/_stcore/upload_file/some-session/some-file"
OURS = {"Origin": "http://localhost:8501", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def address(people: make.People) -> str:
    """Where a file of Ann's customer is."""
    with connection.begin_owner() as conn:
        customer_id = make.customer(conn, people.ann.user_id, name="王小明")
    with begin(people.ann, write=True) as conn:
        attachments.add(conn, actor=people.ann, customer_id=customer_id, name=NAME, content=b"<script>zekret</script>")
        number = conn.scalar(select(schema.attachments.c.id))
    return f"/files/{customer_id}/{number}"


# --- out -------------------------------------------------------------------------------------------------------------


def test_a_file_goes_to_the_disk_under_its_name(people: make.People, client: TestClient, address: str) -> None:
    for viewer in (people.ann, people.mia, people.root):
        answer = client.get(address, headers=cookie(viewer))
        assert answer.status_code == 200
        assert answer.content == b"<script>zekret</script>"
        assert answer.headers["content-type"] == "application/octet-stream", "no browser draws it"
        said = answer.headers["content-disposition"]
        assert said.startswith('attachment; filename="')
        assert unquote(said.partition("filename*=UTF-8''")[2]) == NAME
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_nobody_else_gets_it(people: make.People, client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 401
    assert client.get(address, headers={"Cookie": "kehu_session=made-up"}).status_code == 401
    absent = client.get(address + "9", headers=cookie(people.cho))
    refused = {people.cho: 404, people.bo: 404, people.max: 404, people.ana: 403, people.mark: 403}
    for viewer, status in refused.items():
        answer = client.get(address, headers=cookie(viewer))
        assert answer.status_code == status, viewer
        assert "zekret" not in answer.text
        assert "content-disposition" not in answer.headers
        if status == 404:
            assert answer.text == absent.text, "as one that is not there"


def test_rights_count_when_it_is_fetched(
    people: make.People, client: TestClient, address: str, owner: Connection
) -> None:
    headers = cookie(people.ann)
    assert client.get(address, headers=headers).status_code == 200
    with owner.begin():
        owner.execute(update(schema.customers).values(owner_id=people.bo.user_id))
    assert client.get(address, headers=headers).status_code == 404
    assert client.get(address, headers=cookie(people.bo)).status_code == 200
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "bo").values(active=False))
        owner.execute(update(schema.users).where(schema.users.c.username == "mia").values(role="analyst"))
    assert client.get(address, headers=cookie(people.mia)).status_code == 403


@pytest.mark.parametrize(
    "path", ["1/x", "x/1", "1/-1", "1/１", "1/%00", "1/" + "9" * 19, "1/" + "9" * 5_000, "1/1.0", "0/0", "1/1%2f..%2f2"]
)
def test_nonsense_is_not_there(people: make.People, client: TestClient, path: str) -> None:
    assert client.get(f"/files/{path}", headers=cookie(people.ann)).status_code == 404


def test_it_is_logged_without_its_name(
    people: make.People, client: TestClient, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="kehu.files")
    client.get(address, headers=cookie(people.ann))
    client.get(address, headers=cookie(people.cho))
    [record] = [r for r in caplog.records if r.name == "kehu.files"]
    assert f"/files/{record.__dict__['customer']}/{record.__dict__['file']}" == address
    assert (record.__dict__["user"], record.__dict__["bytes"]) == (people.ann.user_id, 23)
    assert "报价" not in str(record.__dict__)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.pdf", "attachment; filename=\"a.pdf\"; filename*=UTF-8''a.pdf"),
        ("报价.pdf", "attachment; filename=\"__.pdf\"; filename*=UTF-8''%E6%8A%A5%E4%BB%B7.pdf"),
        ('a"; x=.pdf', "attachment; filename=\"a__ x=.pdf\"; filename*=UTF-8''a%22%3B%20x%3D.pdf"),
        (
            "a\r\nSet-Cookie: x.pdf",
            "attachment; filename=\"a__Set-Cookie: x.pdf\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x.pdf",
        ),
    ],
)
def test_a_name_says_nothing_but_a_name(name: str, said: str) -> None:
    assert disposition(name) == said


# --- in --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def door(clone: str) -> TestClient:
    """The guard before a route that would take anything, as Streamlit's does."""

    async def taken(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    every = ["GET", "PUT", "POST", "DELETE", "OPTIONS"]
    app = Starlette(
        routes=[Route("/_stcore/upload_file/{session}/{file}", taken, methods=every)],
        middleware=[Middleware(guard.Guard, page=PAGE)],
    )
    return TestClient(app, base_url="http://localhost:8501")


def test_who_may_edit_uploads_from_our_own_page(people: make.People, door: TestClient) -> None:
    for viewer in (people.ann, people.mia, people.root):
        answer = door.put(UPLOAD, content=b"12345", headers=cookie(viewer) | OURS)
        assert (answer.status_code, answer.text) == (200, "5")
        assert door.delete(UPLOAD, headers=cookie(viewer) | OURS).status_code == 200


def test_to_everybody_else_the_door_is_not_there(people: make.People, door: TestClient, owner: Connection) -> None:
    strangers = [{}, {"Cookie": "kehu_session=made-up"}, cookie(people.ana), cookie(people.mark)]
    for headers in strangers:
        for method in ("PUT", "DELETE", "OPTIONS", "GET"):
            assert door.request(method, UPLOAD, content=b"x", headers=headers | OURS).status_code == 404
    ann = cookie(people.ann)
    for foreign in (
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:8501", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {},
    ):
        assert door.put(UPLOAD, content=b"x", headers=ann | foreign).status_code == 404, foreign
    for method in ("POST", "GET", "OPTIONS"):
        assert door.request(method, UPLOAD, content=b"x", headers=ann | OURS).status_code == 404
    for path in ("/_stcore/upload_file", "/_stcore/metrics", "/_stcore/agent/x"):
        assert door.put(path, content=b"x", headers=ann | OURS).status_code == 404
    with owner.begin():
        owner.execute(update(schema.app_sessions).values(revoked_at=schema.app_sessions.c.created_at))
    assert door.put(UPLOAD, content=b"x", headers=ann | OURS).status_code == 404


def test_the_server_takes_no_more_than_a_file_may_have() -> None:
    assert config.get_option("server.maxUploadSize") == attachments.MOST_MEGABYTES
