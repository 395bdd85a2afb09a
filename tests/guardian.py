"""Stops the run's servers when the run is over, however it ended: at the end of standard input."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from bench.rabbitmq import PrivateRabbitMQ
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.valkey import EmbeddedValkey


def main() -> None:
    """Wait for pytest, which holds the other end of our input, then tidy up the folder named by the argument."""
    home = Path(sys.argv[1])
    sys.stdin.read()
    for server in home.glob("rabbitmq-*"):
        PrivateRabbitMQ(server).stop()
    if (home / "started").exists():
        EmbeddedPostgres(home).stop()
        EmbeddedValkey(home).stop()
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
