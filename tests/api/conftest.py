"""The routes beside the screens, behind the same guard, without Streamlit."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import streamlit
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from api import auth, exports, files, guard, health

with warnings.catch_warnings():
    # It asks for httpx2, which nothing else here needs; httpx does all that these tests want.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PAGE = Path(streamlit.__file__).parent / "static" / "index.html"


@pytest.fixture
def client(clone: str) -> TestClient:
    app = Starlette(
        routes=[
            Route("/healthz", health.health),
            Route("/auth/session", auth.session, methods=["POST", "DELETE"]),
            Route("/exports/{token}", exports.download),
            Route("/files/{customer}/{file}", files.download),
        ],
        middleware=[Middleware(guard.Guard, page=PAGE)],
    )
    return TestClient(app, base_url="http://localhost:8501")
