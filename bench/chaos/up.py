"""`nexus up` with the workers of a chaos run in place of the platform's own; everything else is production's."""

from __future__ import annotations

import sys
from pathlib import Path

from cli.embedded.run import PROJECT
from cli.embedded.supervisor import CONFIGURATION
from cli.up import run, serve, stop_at_end_of_input
from config.settings import load

COMMAND = (sys.executable, "-m", "bench.chaos.up")
"""Starts such a platform; for `PlatformProcess`."""


def configuration(home: Path) -> Path:
    """Production's `supervisord.conf` with the workers changed, written to `home`."""
    theirs = CONFIGURATION.read_text()
    ours = theirs.replace("-A workers.app worker", "-A bench.chaos.workers worker")
    path = home / "chaos-supervisord.conf"
    path.write_text(ours.replace("%(here)s", str(PROJECT).replace("%", "%%")))
    return path


def main() -> int:
    """Serve until standard input ends or a stop signal comes; returns the exit code."""

    def action() -> None:
        stop_at_end_of_input()
        settings = load()
        settings.home.mkdir(parents=True, exist_ok=True)
        serve(settings, configuration=configuration(settings.home))

    return run(action)


if __name__ == "__main__":
    sys.exit(main())
