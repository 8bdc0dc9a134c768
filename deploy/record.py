"""What a run has started, on disk: who is running, and what a killed run has left behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from deploy import settings

STOP_TIMEOUT = 15  # s that a part gets to finish before it is killed


@dataclass
class Record:
    """A run: its launcher, the process groups it started (leader and its start time), and whose the database is."""

    url: str
    launcher: int
    groups: list[tuple[int, float]] = field(default_factory=list)
    started_database: bool = False

    def save(self) -> None:
        """Write it so that a reader finds the old or the new one, never half."""
        new = _path().with_suffix(".new")
        new.write_text(json.dumps(asdict(self)))
        new.replace(_path())


def _path() -> Path:
    return settings.folder() / "launcher.json"


def load() -> Record | None:
    """The last run's record, None when there was none or it ended in order."""
    try:
        kept = json.loads(_path().read_text())
        return Record(**kept | {"groups": [(int(pid), float(began)) for pid, began in kept["groups"]]})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def forget() -> None:
    """The run has ended in order."""
    _path().unlink(missing_ok=True)


def lock() -> int | None:
    """Take the right to run, held until this process ends however it ends; None when another run has it."""
    folder = settings.folder()
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    handle = os.open(folder / "launcher.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def started_at(pid: int) -> float:
    """Start time of a process: with its number it names the process for ever, numbers alone come again."""
    return psutil.Process(pid).create_time()


def end_groups(groups: list[tuple[int, float]]) -> int:
    """End these process groups, gently first; gives how many were still there."""
    there = [pid for pid, began in groups if is_there(pid, began)]
    for pid in there:
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while any(_alive(pid) for pid in there) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in there:
        # Also when the leader has ended: what it started itself goes with it.
        _signal(pid, signal.SIGKILL)
    return len(there)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def is_there(pid: int, began: float) -> bool:
    """Whether this very process is there, a zombie included."""
    try:
        return abs(started_at(pid) - began) < 1
    except psutil.NoSuchProcess:
        return False


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
