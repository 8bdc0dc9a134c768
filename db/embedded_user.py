"""The operating-system account that the embedded PostgreSQL runs as.

PostgreSQL refuses to run as root. An ordinary user runs it as himself; root runs it as the system user `kehu-postgres`,
who is made when missing and may pass through the folders that lead to the programs and the data, nothing more.
"""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

NAME = "kehu-postgres"


class AccountError(Exception):
    """The account could not be found or made; the text is a sentence for the operator."""


@dataclass(frozen=True)
class Account:
    """Who runs PostgreSQL: `switched` when that is not the caller himself."""

    uid: int
    gid: int
    switched: bool

    def give(self, path: Path) -> None:
        """Make a folder or file of ours this account's own."""
        if self.switched:
            os.chown(path, self.uid, self.gid)


def current() -> Account:
    """The account for this process. Raises AccountError when root has none and cannot make one."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switched=False)
    entry = _entry() or _create()
    return Account(entry.pw_uid, entry.pw_gid, switched=True)


def name_of(uid: int) -> str:
    """The name of a user id, or the number where nobody has it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"


def open_way(target: Path) -> None:
    """Let everybody pass through (not list) the folders above `target`; each one changed is named on stderr."""
    for folder in reversed(target.parents):
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
            print(f"Kehu: opened {folder} for passing through (not for listing), for user {NAME}", file=sys.stderr)


def open_programs(folder: Path) -> None:
    """Make a folder of installed programs readable by everybody, where a strict umask has closed it."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o005 == 0o005:
        return
    for path in [*folder.rglob("*"), folder]:  # the folder last: its rights say that all is done
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | (0o005 if mode & stat.S_IXUSR else 0o004))
    print(f"Kehu: made {folder}, PostgreSQL's programs, readable for user {NAME}", file=sys.stderr)


def _entry() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        return None


def _create() -> pwd.struct_passwd:
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not program:
        raise AccountError(
            f"PostgreSQL does not run as root, and there is no `useradd` here to make the user {NAME}: "
            f"make that user yourself, run Kehu as an ordinary user, or name a server in DATABASE_URL."
        )
    command = [program, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    message = ""
    # Another process may be making the same user, or hold the lock of the password file, at this moment.
    for _ in range(20):
        done = subprocess.run([*command, "--shell", "/bin/false", NAME], capture_output=True, text=True, check=False)
        if entry := _entry():
            return entry
        message = done.stderr.strip()
        time.sleep(0.25)
    raise AccountError(f"PostgreSQL does not run as root, and the user {NAME} could not be made: {message}")
