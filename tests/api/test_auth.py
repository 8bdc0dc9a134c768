"""The cookie route: who may ask, with what, and what the cookie is like."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from db import sessions
from db.connection import begin
from db.permissions import GATE
from tests import make

OURS = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8501"}


def ticket(people: make.People) -> str:
    with begin(GATE, write=True) as conn:
        return sessions.start(conn, user_id=people.ann.user_id).ticket


def alive(token: str) -> bool:
    with begin(GATE) as conn:
        return sessions.check(conn, token=token) is not None


def test_ticket_becomes_a_cookie_once(people: make.People, client: TestClient) -> None:
    body = {"ticket": ticket(people)}
    answer = client.post("/auth/session", json=body, headers=OURS)
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "kehu_session=" in cookie
    for attribute in ("HttpOnly", "SameSite=lax", "Path=/", f"Max-Age={14 * 24 * 3600}"):
        assert attribute in cookie
    assert "Secure" not in cookie
    assert answer.headers["cache-control"] == "no-store"
    token = client.cookies["kehu_session"]
    assert alive(token)
    again = client.post("/auth/session", json=body, headers=OURS)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers
    assert alive(token), "a ticket that is not good changes nothing"


def test_secure_under_tls(people: make.People, client: TestClient) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": "https://localhost"}
    answer = client.post("https://localhost/auth/session", json={"ticket": ticket(people)}, headers=headers)
    assert "Secure" in answer.headers["set-cookie"]


def test_delete_ends_the_session(people: make.People, client: TestClient) -> None:
    client.post("/auth/session", json={"ticket": ticket(people)}, headers=OURS)
    token = client.cookies["kehu_session"]
    answer = client.delete("/auth/session", headers=OURS)
    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert not alive(token)
    assert client.delete("/auth/session", headers=OURS).status_code == 204


def test_a_new_sign_in_replaces_the_browsers_session(people: make.People, client: TestClient) -> None:
    client.post("/auth/session", json={"ticket": ticket(people)}, headers=OURS)
    first = client.cookies["kehu_session"]
    client.post("/auth/session", json={"ticket": ticket(people)}, headers=OURS)
    assert not alive(first)
    assert alive(client.cookies["kehu_session"])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8501"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8501"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "null"},
    ],
)
def test_other_sites_are_refused(people: make.People, client: TestClient, headers: dict[str, str]) -> None:
    good = ticket(people)
    for method in ("POST", "DELETE"):
        answer = client.request(method, "/auth/session", json={"ticket": good}, headers=headers)
        assert answer.status_code == 403
    assert client.post("/auth/session", json={"ticket": good}, headers=OURS).status_code == 204


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"content": b"{"}, 400),
        ({"json": {}}, 400),
        ({"json": []}, 400),
        ({"json": {"ticket": 5}}, 400),
        ({"json": {"ticket": ""}}, 401),
        ({"json": {"ticket": "x" * 43}}, 401),
        ({"json": {"ticket": "x" * 5000}}, 400),
        ({"data": {"ticket": "x"}}, 400),
        ({"content": b"\xff\xfe"}, 400),
        ({"content": b'{"ticket": "\\ud800"}'}, 400),
        ({"content": b'{"ticket": "\\u5ba2"}'}, 400),
        ({"content": b'{"ticket": "\\u0000"}'}, 401),
        ({"content": b"[" * 1000}, 400),
        ({"content": b'{"a":' * 200}, 400),
        ({"content": b'{"ticket": ' + b"9" * 900 + b"}"}, 400),
    ],
)
def test_odd_bodies(client: TestClient, options: dict[str, Any], status: int) -> None:
    headers = OURS | ({"Content-Type": "application/json"} if "content" in options else {})
    assert client.post("/auth/session", headers=headers, **options).status_code == status


def test_other_methods_are_not_there(client: TestClient) -> None:
    for method in ("GET", "PUT", "PATCH"):
        assert client.request(method, "/auth/session", headers=OURS).status_code == 405
