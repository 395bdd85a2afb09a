"""Bringing back an embedded server that ended by itself: killed, out of memory, crashed.

A few times, for a server that keeps ending is not mended by starting it: then the platform ends and says why.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cli.embedded.errors import EmbeddedServiceError

REVIVALS, WINDOW_SECONDS = 3, 60.0
"""How often a server is brought back within how long."""


class Server(Protocol):
    """What can be brought back."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The server that we started and did not stop."""

    @property
    def log(self) -> Path:
        """Where it says why it ended."""

    def start_again(self) -> None:
        """Start it at the address that it had. Raises `EmbeddedServiceError`."""


@dataclass(slots=True)
class Revival:
    """Watches one server for the launcher, which calls `check` every now and then."""

    server: Server
    _moments: deque[float] = field(default_factory=deque)

    def check(self) -> str | None:
        """Bring the server back if it has ended; returns a sentence about it, or None if it runs.

        Raises `EmbeddedServiceError` if it does not start, or has ended too often.
        """
        process = self.server.process
        code = None if process is None else process.poll()
        if code is None:
            return None
        ended = f"{self.server.name} {_manner(code)}"
        if not self._allowed(time.monotonic()):
            often = f"for the {REVIVALS + 1}th time within {WINDOW_SECONDS:.0f} s"
            raise EmbeddedServiceError(f"{ended} {often} (see {self.server.log})")
        self.server.start_again()
        return f"{ended}; it was started again"

    def _allowed(self, now: float) -> bool:
        while self._moments and now - self._moments[0] > WINDOW_SECONDS:
            self._moments.popleft()
        self._moments.append(now)
        return len(self._moments) <= REVIVALS


def _manner(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
