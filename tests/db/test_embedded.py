"""The embedded PostgreSQL: passwords are asked, two may start it at once, and no kill leaves it unable to start."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from db import embedded_user
from db.embedded import EmbeddedError, Server, default

ROOT = Path(__file__).parents[2]
BINARIES = Path(named) if (named := os.environ.get("KEHU_TEST_SERVER")) else None
pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One cluster for the tests that need no fresh one; may be found stopped."""
    found = fleeting(tmp_path_factory.mktemp("embedded") / "data with a space")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def running(made: Server) -> Server:
    made.start()
    return made


def fleeting(directory: Path) -> Server:
    return Server(directory, durable=False, binaries=BINARIES)


def connect(url: str, **other: object) -> psycopg.Connection:
    arguments = make_url(url).translate_connect_args(username="user", database="dbname") | dict(make_url(url).query)
    return psycopg.connect(**(arguments | other), autocommit=True)  # type: ignore[arg-type]


def value(url: str, query: str) -> object:
    with connect(url) as conn:
        row = conn.execute(query).fetchone()
    assert row
    return row[0]


def postmaster(server: Server) -> int:
    return int((server.cluster / "postmaster.pid").read_text().split()[0])


def start_in_another_process(directory: Path) -> subprocess.Popen[str]:
    code = (
        "import sys; from pathlib import Path; from tests.db.test_embedded import fleeting; "
        "print(fleeting(Path(sys.argv[1])).start())"
    )
    command = [sys.executable, "-c", code, str(directory)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def test_stop_and_start_keeps_rows(running: Server) -> None:
    with connect(running.url()) as conn:
        conn.execute("CREATE TABLE kept AS SELECT '客户' AS word")
    running.stop()
    assert not running.running()
    running.stop()
    assert running.start() == running.start() == running.url()
    assert running.running()
    assert value(running.url(), "SELECT word FROM kept") == "客户"


def test_a_password_is_asked(running: Server) -> None:
    for other in ({"password": "wrong"}, {"password": ""}, {"user": "postgres"}):
        with pytest.raises(psycopg.OperationalError, match=r"password authentication failed|no password supplied"):
            connect(running.url(), **other)
    hba = (running.cluster / "pg_hba.conf").read_text().splitlines()
    assert {line.split()[-1] for line in hba if line.strip() and not line.startswith("#")} == {"scram-sha-256"}
    assert str(value(running.admin_url(), "SELECT rolpassword FROM pg_authid WHERE rolname = 'kehu'")).startswith(
        "SCRAM"
    )


def test_secrets_and_socket_are_private(running: Server) -> None:
    socket = Path(str(make_url(running.url()).query["host"]))
    assert stat.S_IMODE((running.directory / "postgres.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(running.cluster.stat().st_mode) == 0o700
    assert value(running.url(), "SHOW listen_addresses") == ""


def test_kehu_is_an_ordinary_owner(running: Server) -> None:
    rights = "SELECT rolcanlogin AND rolcreaterole AND rolcreatedb AND NOT rolsuper AND NOT rolbypassrls FROM pg_roles"
    assert value(running.url(), f"{rights} WHERE rolname = current_user") is True
    assert value(running.url(), "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'kehu'") == "kehu"
    with connect(running.url()) as conn:
        # A group role made by a migration must be usable by the session that made it, without a superuser's help.
        conn.execute("CREATE ROLE probe_group NOLOGIN")
        if conn.info.server_version < 160000:
            conn.execute("GRANT probe_group TO CURRENT_USER")
        conn.execute("SET ROLE probe_group")
        conn.execute("RESET ROLE; DROP ROLE probe_group")
        for extension in ("pg_trgm", "btree_gin", "unaccent"):
            conn.execute(f"CREATE EXTENSION {extension}")
        assert conn.execute("SELECT count(*) > 0 FROM pg_stat_statements").fetchone() == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("COPY (SELECT 1) TO PROGRAM 'cat'")


def test_settings(running: Server) -> None:
    assert value(running.url(), "SHOW fsync") == "off"
    assert value(running.url(), "SHOW timezone") == "UTC"
    assert value(running.url(), "SHOW server_encoding") == "UTF8"
    assert value(running.admin_url(), "SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL") == 0
    # The locale is C.UTF-8 on every machine: accented letters have two cases, and sorting is by code point.
    assert value(running.url(), "SELECT lower('ÄÖ客')") == "äö客"
    assert value(running.url(), "SELECT 'Z' < 'a' AND 'z' < 'Ä'") is True


def test_killed_postmaster(tmp_path: Path) -> None:
    """The server as installations have it, durable: what was committed is there after the kill."""
    server = Server(tmp_path / "data", binaries=BINARIES)
    server.start()
    try:
        with connect(server.url()) as conn:
            conn.execute("CREATE TABLE committed AS SELECT generate_series(1, 1000) AS n")
        os.kill(postmaster(server), signal.SIGKILL)
        until(lambda: not server.running())
        server.start()
        assert value(server.url(), "SELECT count(*) FROM committed") == 1000
    finally:
        server.stop()


def test_dead_postmaster_whose_number_is_taken(running: Server) -> None:
    """A zombie (nobody collects it, as in a container without init) and a stranger with the same process id."""
    account = embedded_user.current()
    as_postgres = {"user": account.uid, "group": account.gid} if account.switched else {}
    for code in ("0", "60"):
        os.kill(postmaster(running), signal.SIGKILL)
        until(lambda: not running.running())
        until(lambda: not [p for p in psutil.process_iter() if _works_in(p, running.cluster)])
        with subprocess.Popen(["sleep", code], **as_postgres) as other:  # type: ignore[call-overload]
            if code == "0":
                until(lambda: psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE)
            for record in (running.cluster / "postmaster.pid", _socket_lock(running)):
                record.write_text(f"{other.pid}\n" + record.read_text().partition("\n")[2])
            assert not running.running()
            running.start()
            assert value(running.url(), "SELECT 1") == 1
            other.kill()


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()) == folder
    except (psutil.Error, OSError):
        return False


def _socket_lock(server: Server) -> Path:
    return Path(str(make_url(server.url()).query["host"])) / ".s.PGSQL.5432.lock"


def test_two_first_starts_at_once(tmp_path: Path) -> None:
    racing = [start_in_another_process(tmp_path / "data") for _ in range(3)]
    answers = {process.communicate(timeout=60)[0].strip() for process in racing}
    server = fleeting(tmp_path / "data")
    try:
        assert [process.returncode for process in racing] == [0, 0, 0]
        assert answers == {server.url()}
        assert value(server.url(), "SELECT current_user::text") == "kehu"
    finally:
        server.stop()


def test_kill_during_the_first_start(tmp_path: Path) -> None:
    """At initdb, at the first start, and while role and database are made, each time without any clean-up."""
    directory = tmp_path / "data"
    server = fleeting(directory)
    moments: list[Callable[[], bool]] = [
        lambda: any(directory.glob("initdb-*/cluster/base")),
        (server.cluster / "postmaster.pid").exists,
    ]
    try:
        for reached in moments:
            with start_in_another_process(directory) as process:
                until(reached)
                process.kill()
        server.start()
        assert not list(directory.glob("initdb-*"))
        assert value(server.url(), "SELECT current_user::text") == "kehu"
        _undo_provisioning(server)
        server.start()
        assert value(server.url(), "SELECT count(*) > 0 FROM pg_stat_statements") is True
    finally:
        server.stop()


def _undo_provisioning(server: Server) -> None:
    """As a kill between the role and the database leaves it."""
    with connect(server.admin_url()) as conn:
        conn.execute("DROP DATABASE kehu WITH (FORCE)")
    file = server.directory / "postgres.json"
    file.write_text(file.read_text().replace('"ready": true', '"ready": false'))


def test_long_path_and_copy(made: Server, tmp_path: Path) -> None:
    """A socket's path is limited to some hundred bytes; a copied folder must not take the original's socket."""
    made.stop()
    shutil.rmtree(made.directory / "run")
    long = tmp_path / ("long, " + "x" * 120) / "data"
    long.parent.mkdir()
    _copy(made.directory, long)
    server = fleeting(long)
    try:
        server.start()
        assert value(server.url(), "SELECT 1") == 1
        socket = Path(str(make_url(server.url()).query["host"]))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        server.stop()
        assert server.start() == server.url()
        assert Path(str(make_url(server.url()).query["host"])) == socket
    finally:
        server.stop()


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    owner = (source / "cluster").stat()
    for path in [target / "cluster", *(target / "cluster").rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)


def test_what_is_missing_is_said(tmp_path: Path, made: Server) -> None:
    with pytest.raises(EmbeddedError, match="start it first"):
        Server(tmp_path / "nothing").url()
    made.stop()
    kept = (made.directory / "postgres.json").rename(tmp_path / "postgres.json")
    with pytest.raises(EmbeddedError, match="passwords is missing"):
        made.start()
    kept.rename(made.directory / "postgres.json")
    version = (made.cluster / "PG_VERSION").read_text()
    (made.cluster / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedError, match=r"made by PostgreSQL 12, and this is \d+: export it"):
        made.start()
    (made.cluster / "PG_VERSION").write_text(version)
    broken = made.cluster / "postgresql.auto.conf"
    broken.write_text("shared_buffers = 'much'\n")
    with pytest.raises(EmbeddedError, match=r"failed starting the database in .* contains errors .*startup.log"):
        made.start()
    broken.write_text("")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_another_user_gets_a_sentence(made: Server) -> None:
    code = "import sys, os; os.setgid(65534); os.setuid(65534); " + (
        "from pathlib import Path; from db.embedded import Server, EmbeddedError\n"
        "try: Server(Path(sys.argv[1])).start()\n"
        "except EmbeddedError as error: print(error)"
    )
    made.directory.parent.chmod(0o711)
    # Imported before the user changes: the environment of this run may be closed to others.
    command = [sys.executable, "-c", "import db.embedded; " + code, str(made.directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "belongs to user" in done.stdout or "made by another user" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")
def test_root_opens_only_what_is_closed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    closed = tmp_path / "closed"
    open_already = closed / "open"
    open_already.mkdir(parents=True)
    closed.chmod(0o700)
    open_already.chmod(0o755)
    embedded_user.open_way(open_already / "data")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o701
    assert stat.S_IMODE(open_already.stat().st_mode) == 0o755
    said = capfd.readouterr().err
    assert f"opened {closed} for passing through" in said
    assert f"opened {open_already}" not in said


def test_programs_under_a_strict_umask(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    programs = tmp_path / "pginstall"
    (programs / "bin").mkdir(parents=True)
    for name, mode in (("bin/postgres", 0o700), ("share", 0o600), ("bin", 0o700), ("", 0o700)):
        path = programs / name
        path.touch()
        path.chmod(mode)
    embedded_user.open_programs(programs)
    modes = [stat.S_IMODE((programs / name).stat().st_mode) for name in ("", "bin", "bin/postgres", "share")]
    assert modes == [0o705, 0o705, 0o705, 0o604]
    embedded_user.open_programs(programs)
    assert capfd.readouterr().err.count("readable for user kehu-postgres") == 1


def test_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KEHU_DATA", raising=False)
    assert default().directory == ROOT / ".data"
    monkeypatch.setenv("KEHU_DATA", str(tmp_path))
    assert default().directory == tmp_path


def test_not_on_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(EmbeddedError, match="DATABASE_URL"):
        Server(tmp_path)
