"""What every visit of AppTest shares."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def without_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest's stand-in for a browser is a mock: it knows no cookies, and each question to it costs milliseconds."""
    monkeypatch.setattr("streamlit.runtime.context._get_client_context", lambda: None)
