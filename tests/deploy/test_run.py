"""The launcher with its real parts: it comes up, says what stands in its way, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
import pytest

from db.embedded import Server
from deploy import settings
from deploy.settings import DeployError, Place

ROOT = Path(__file__).parents[2]
UP = "Ctrl-C stops everything."
pytestmark = pytest.mark.processes


@dataclass
class Installation:
    """A data folder and a port of its own, on which the launcher is started by `start` and asked by `once`."""

    folder: Path
    port: int
    launched: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "KEHU_NOW")}
        return kept | {"KEHU_DATA": str(self.folder), "KEHU_PORT": str(self.port)}

    @property
    def server(self) -> Server:
        return Server(self.folder)

    def start(self) -> subprocess.Popen[bytes]:
        """`deploy run`, once it is up; what it says goes to launcher.txt, because it is no terminal."""
        said = self.folder.parent / "launcher.txt"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy", "run"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.launched.append(process)
        until(lambda: UP in self.said() or process.poll() is not None, 90)
        assert process.poll() is None, self.said()
        return process

    def once(self, command: str) -> subprocess.CompletedProcess[str]:
        """`deploy run` or `deploy stop`, expected to come back by itself."""
        arguments = [sys.executable, "-m", "deploy", command]
        return subprocess.run(
            arguments, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def said(self) -> str:
        return (self.folder.parent / "launcher.txt").read_text()

    def parts(self) -> dict[str, int]:
        """Process ids of web, worker and database, by name."""
        record = json.loads((self.folder / "launcher.json").read_text())
        found = {"database": int((self.folder / "cluster" / "postmaster.pid").read_text().split()[0])}
        for pid, _began in record["groups"]:
            with contextlib.suppress(psutil.NoSuchProcess):
                found["web" if "streamlit" in psutil.Process(pid).cmdline() else "worker"] = pid
        return found

    def healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A migrated database that holds a product, so that no run stops to load the demo."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Installation(tmp_path_factory.mktemp("installation") / "data", port)
    subprocess.run([sys.executable, "-m", "db", "migrate"], cwd=ROOT, env=made.environment, check=True)
    with psycopg.connect(made.server.url().replace("+psycopg", "")) as conn:
        conn.execute("INSERT INTO products (sku, name) VALUES ('1', 'Tea')")
    made.server.stop()
    yield made
    made.server.stop()


@pytest.fixture
def installation(prepared: Installation) -> Iterator[Installation]:
    """Nothing of it runs before a test, and nothing after, whatever the test has found."""
    assert not prepared.server.running()
    yield prepared
    prepared.once("stop")
    for process in prepared.launched:
        process.kill()
        process.wait()
    prepared.launched.clear()


def until(holds: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_ctrl_c_stops_all_parts(installation: Installation) -> None:
    process = installation.start()
    parts = installation.parts()
    assert sorted(parts) == ["database", "web", "worker"]
    assert installation.healthy()
    children = [child.pid for pid in parts.values() for child in psutil.Process(pid).children(recursive=True)]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert [pid for pid in [*parts.values(), *children] if not gone(pid)] == []
    assert installation.said().rstrip().endswith("Kehu: stopped.")
    assert "Traceback" not in installation.said()
    Place("127.0.0.1", installation.port).check_free()


def test_a_second_run_says_where_the_first_is(installation: Installation) -> None:
    """Besides: a database that was up before the run stays up after it."""
    installation.server.start()
    process = installation.start()
    second = installation.once("run")
    assert second.returncode == 0
    assert f"already running at http://127.0.0.1:{installation.port}" in second.stdout
    assert installation.healthy()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert installation.server.running()


def test_worker_and_database_come_back(installation: Installation) -> None:
    """Besides: `deploy stop` ends a run from another terminal."""
    process = installation.start()
    before = installation.parts()
    os.kill(before["worker"], signal.SIGKILL)
    until(lambda: installation.parts().get("worker", before["worker"]) != before["worker"])
    assert "the worker was killed (SIGKILL); starting it again" in installation.said()
    os.kill(before["database"], signal.SIGKILL)
    # Whoever needs it first starts it again: the worker, the server or the launcher, which looks every two seconds.
    until(lambda: installation.server.running() and installation.parts()["database"] != before["database"])
    until(installation.healthy)
    parts = installation.parts()
    assert installation.once("stop").returncode == 0
    assert process.wait(timeout=60) == 0
    assert [name for name, pid in parts.items() if not gone(pid)] == []


def test_after_a_killed_launcher(installation: Installation) -> None:
    """Its parts live on; the next run ends them, has port and database, and in its turn loses its server."""
    process = installation.start()
    orphans = installation.parts()
    process.kill()
    process.wait()
    assert installation.healthy()
    again = installation.start()
    assert "ended what a killed run had left behind" in installation.said()
    assert gone(orphans["web"])
    assert gone(orphans["worker"])
    parts = installation.parts()
    os.kill(parts["web"], signal.SIGKILL)
    assert again.wait(timeout=60) == 1
    assert "The server was killed (SIGKILL)" in installation.said()
    assert [name for name, pid in parts.items() if not gone(pid)] == []


def test_a_taken_port_is_named(installation: Installation) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", installation.port))
        other.listen()
        done = installation.once("run")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Port {installation.port} is taken by another program. Choose another port: `KEHU_PORT=" in done.stderr
    assert not installation.server.running()


def test_setup_leaves_nothing_running(installation: Installation) -> None:
    done = installation.once("setup")
    assert done.returncode == 0, done.stderr
    assert "set up" in done.stdout
    assert not installation.server.running()


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "８５０１"])
def test_a_bad_port_is_a_sentence(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("KEHU_PORT", port)
    with pytest.raises(DeployError, match="has to be a number from 1 to 65535"):
        settings.place()


def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEHU_ADDRESS", "KEHU_PORT", "KEHU_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    assert settings.place() == Place("127.0.0.1", 8501, ("127.0.0.1",))
    assert settings.place().url == "http://127.0.0.1:8501"
    assert Place("::1", 80).url == "http://[::1]:80"
    monkeypatch.setenv("KEHU_ADDRESS", "0.0.0.0")
    monkeypatch.setenv("KEHU_HOSTS", "crm.example.com, kehu")
    assert settings.place() == Place("0.0.0.0", 8501, ("crm.example.com", "kehu"))
    assert settings.place().url == "http://127.0.0.1:8501"
    with pytest.raises(DeployError, match="no address of this machine"):
        Place("no.such.host.invalid", 8501).check_free()
