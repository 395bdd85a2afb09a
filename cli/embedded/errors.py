"""Why an embedded service, or the platform as a whole, could not start."""

from __future__ import annotations

from pathlib import Path


class EmbeddedServiceError(Exception):
    """A service did not start. The message is one line for the operator, holds no secret, and says where to look."""


class AlreadyRunning(Exception):
    """Another launcher holds this home. `pid` is its process id, or None in the moment before it is written."""

    def __init__(self, home: Path, pid: int | None):
        super().__init__(f"already running (pid {pid if pid is not None else 'unknown'}) on {home}")
        self.pid = pid
