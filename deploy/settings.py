"""Where Kehu listens and keeps its files: KEHU_ADDRESS, KEHU_PORT, KEHU_HOSTS, KEHU_DATA, DATABASE_URL."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from db import embedded

ROOT = Path(__file__).parent.parent
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 — recognised, not chosen


class DeployError(Exception):
    """Kehu cannot be brought up or down; the text is a sentence for the operator."""


@dataclass(frozen=True)
class Place:
    """An address and port to listen on, and the names that visitors may use beside this machine's own."""

    address: str
    port: int
    hosts: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """What to type into a browser on this machine."""
        address = "127.0.0.1" if self.address in EVERYWHERE else self.address
        return f"http://[{address}]:{self.port}" if ":" in address else f"http://{address}:{self.port}"

    def check_free(self) -> None:
        """Raise DeployError when nothing can listen here."""
        another = "Choose another port: `KEHU_PORT=8600 make run`."
        try:
            family, kind, protocol, _, name = socket.getaddrinfo(self.address, self.port, type=socket.SOCK_STREAM)[0]
        except socket.gaierror as error:
            raise DeployError(
                f"KEHU_ADDRESS is {self.address!r}, which is no address of this machine; 127.0.0.1 is the usual one."
            ) from error
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(name)
            except PermissionError as error:
                raise DeployError(f"This user may not listen on port {self.port}. {another}") from error
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise DeployError(f"Port {self.port} is taken by another program. {another}") from error
                raise DeployError(
                    f"Kehu cannot listen on {self.address}, port {self.port}: {error.strerror}."
                ) from error


def place() -> Place:
    """The place that the environment asks for; 127.0.0.1:8501 by default. Raises DeployError."""
    address = os.environ.get("KEHU_ADDRESS") or "127.0.0.1"
    port = os.environ.get("KEHU_PORT") or "8501"
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise DeployError(f"KEHU_PORT is {port!r}, and has to be a number from 1 to 65535.")
    hosts = tuple(host.strip() for host in os.environ.get("KEHU_HOSTS", "").split(",") if host.strip())
    if address not in EVERYWHERE:
        hosts = (address, *hosts)
    return Place(address, int(port), hosts)


def database() -> embedded.Server | None:
    """The embedded server, or None when DATABASE_URL names another."""
    return None if os.environ.get("DATABASE_URL") else embedded.default()


def folder() -> Path:
    """Where this installation keeps what it makes."""
    return embedded.default().directory
