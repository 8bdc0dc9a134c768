"""`python -m deploy setup|run|stop`: what `make setup`, `make run` and `make stop` do."""

from __future__ import annotations

import argparse
import sys

from db.embedded import EmbeddedError
from deploy.run import Launcher, stop
from deploy.settings import DeployError


def main(arguments: list[str]) -> int:
    """Exit code: 0 done or stopped on request, 1 with a sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m deploy", description="Bring Kehu up on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="setup|run|stop")
    commands.add_parser("setup", help="make or update the database; demo data when it is new and Kehu's own")
    commands.add_parser("run", help="set up, then run worker and server until Ctrl-C")
    commands.add_parser("stop", help="stop a run, and the embedded database")
    command = parser.parse_args(arguments).command
    try:
        {"setup": lambda: Launcher().setup(), "run": lambda: Launcher().run(), "stop": stop}[command]()
    except (DeployError, EmbeddedError) as error:
        print(f"Kehu: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
