"""What every visit of AppTest shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1.local_script_runner import LocalScriptRunner


@pytest.fixture(autouse=True)
def without_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest's stand-in for a browser is a mock: it knows no cookies, and each question to it costs milliseconds."""
    monkeypatch.setattr("streamlit.runtime.context._get_client_context", lambda: None)


@pytest.fixture(scope="session", autouse=True)
def kept() -> Iterator[None]:
    """AppTest compiles the shell and the screen for each run, and asks a thousand times a second whether it has ended.

    A server keeps what is compiled, and here the thread is waited for.
    """
    compiled = ScriptCache()
    with pytest.MonkeyPatch.context() as patch:
        for module in ("app_test", "local_script_runner"):
            patch.setattr(f"streamlit.testing.v1.{module}.ScriptCache", lambda: compiled)
        patch.setattr("streamlit.testing.v1.local_script_runner.require_widgets_deltas", _ended)
        yield


def _ended(runner: LocalScriptRunner, timeout: float = 3) -> None:
    assert runner._script_thread
    runner._script_thread.join(timeout)
    if not runner.script_stopped():
        runner.request_stop()
        runner.join()
        raise RuntimeError(f"AppTest script run timed out after {timeout}(s)")
