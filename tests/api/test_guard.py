"""Health, closed doors, host names and headers."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from api import guard
from tests.engine import forget


def test_health(client: TestClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_health_without_a_database(client: TestClient, clone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    forget()
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"status": "database away"})
    forget()


@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/metrics",
        "/_stcore/metrics/",
        "/_stcore/%6detrics",
        "/_stcore/agent",
        "/_stcore/agent/openapi.json",
        "/_stcore/upload_file/some-session/some-file",
    ],
)
def test_closed_doors(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect(path):
        pass
    assert closed.value.code == 1008


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost", True),
        ("LOCALHOST:8501", True),
        ("127.0.0.1:1", True),
        ("[::1]:8501", True),
        ("localhost.", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
        ("crm.example.com", True),
        ("a.kehu.example", True),
        ("kehu.example", False),
        ("evilkehu.example", False),
        ("[bad", False),
    ],
)
def test_hosts(host: str, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEHU_HOSTS", " crm.example.com, *.kehu.example ,")
    assert guard.is_allowed(host, guard.allowed_hosts()) is known


def test_foreign_host_gets_a_sentence(client: TestClient) -> None:
    answer = client.get("/healthz", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "KEHU_HOSTS" in answer.text


def test_headers_are_on_every_answer(client: TestClient) -> None:
    for path in ("/healthz", "/_stcore/metrics", "/nothing-here", "/exports/x"):
        found = client.get(path).headers
        for name, value in guard.HEADERS.items():
            assert found[name] == value, path
        policy = found["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert client.get("/exports/x").headers["cache-control"] == "no-store"
