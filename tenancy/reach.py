"""Whether a database can be reached, as this process last saw it.

Connecting to a server that does not answer takes seconds. So while one is away, one caller at a time asks for it, now and
then; the others are told at once and do not hold up a worker that other tenants wait for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

ASK_SECONDS = 1.0
"""The least time between two attempts to connect to a database that is away."""

LONGEST_WAIT_SECONDS = 30.0


class Unreachable(psycopg.OperationalError):
    """No connection was made, so nothing was done. `retry_after` (seconds) grows with the time that it has been away."""

    def __init__(self, detail: str, retry_after: float):
        super().__init__(detail)
        self.retry_after = retry_after


@dataclass(slots=True)
class Reach:
    """What is known of one database. Shared by the threads that connect to it."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _away_since: float | None = None
    _ask_at: float = 0.0

    def through(self, connect: Callable[[], psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
        """What `connect` makes. Raises `Unreachable`, without calling it if it failed a moment ago."""
        with self._lock:
            now = time.monotonic()
            if self._away_since is not None:
                if now < self._ask_at:
                    raise Unreachable("The database could not be reached a moment ago.", self._wait(now))
                self._ask_at = float("inf")  # until this attempt is over
        try:
            connection = connect()
        except psycopg.OperationalError as error:
            with self._lock:
                now = time.monotonic()
                self._away_since = self._away_since or now
                self._ask_at = now + ASK_SECONDS
                raise Unreachable(str(error), self._wait(now)) from error
        except BaseException:
            with self._lock:
                self._ask_at = 0.0
            raise
        with self._lock:
            self._away_since = None
        return connection

    def _wait(self, now: float) -> float:
        away = now - (self._away_since or now)
        return min(max(ASK_SECONDS, away / 4), LONGEST_WAIT_SECONDS)
