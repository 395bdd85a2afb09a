"""What every peer answers, so that one loop measures them all."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Protocol

import click

PACKAGES = ("huey", "dramatiq", "procrastinate", "matplotlib")
"""What the extra `bench` installs."""

PROCESSES = 2
"""Worker processes of every peer, as many as ours."""

QUEUE = "peers"
URL_VARIABLE = "PEER_URL"
"""Tells a peer's worker where its broker is."""


class Peer(Protocol):
    """A job queue that people use. `commands` start its workers, one process group each, with `variables` set."""

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """Command lines."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Their environment beside the platform's."""

    def publish(self, jobs: int) -> None:
        """Forget everything and queue `jobs` no-op jobs."""

    def waiting(self) -> int:
        """Jobs that are not done."""

    def done(self) -> list[float]:
        """When each was done, in seconds since 1970, by what the peer keeps of it."""

    def close(self) -> None:
        """Close the connections."""


def check_installed() -> None:
    """Raises `ClickException` that says how to get what is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise click.ClickException(f"Not installed: {', '.join(missing)}. `make bench` installs them and measures.")
