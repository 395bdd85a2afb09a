"""Whether a database can be reached, as this process last saw it, and who finds out.

Connecting to a server that does not answer takes seconds. So nobody waits for that in a thread that other tenants need: one
caller at a time knocks, now and then; the others wait for the outcome only while it may still be a matter of moments, and
are told at once otherwise.
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

HANGING_SECONDS = 1.0
"""How long an attempt to connect may take before nobody else waits for its outcome."""

MOST_WAITING = 64
"""How many wait for the outcome of one attempt; whoever comes beyond them is told at once."""

LONGEST_WAIT_SECONDS = 30.0


class Unreachable(psycopg.OperationalError):
    """No connection was made, so nothing was done. `retry_after` (seconds) grows with the time that it has been away.

    `reach` is what is known of the database now.
    """

    def __init__(self, detail: str, retry_after: float, reach: Reach):
        super().__init__(detail)
        self.retry_after = retry_after
        self.reach = reach


@dataclass(slots=True)
class Reach:
    """What is known of one database. Shared by the threads that use it."""

    _changed: threading.Condition = field(default_factory=threading.Condition)
    _open: int = 0
    """Connections that there are. While there is one, nobody needs to knock."""
    _away_since: float | None = None
    _ask_at: float = 0.0
    _knocking_since: float | None = None
    _waiting: int = 0

    def arrive(self, knock: Callable[[], None]) -> None:
        """Return once there is a connection; the first to come makes it with `knock`, or raises what that raises.

        Raises `Unreachable` without waiting where the database is known to be away, or where another one's knock has taken long.
        """
        if self.is_open:
            return
        with self._changed:
            if self._knocking_since is not None and self._is_let_in(self._knocking_since):
                return
            self._refuse_while_away()
            if self._knocking_since is not None:
                raise self._unreachable("The database does not answer.")
            self._knocking_since = time.monotonic()
        try:
            knock()
        finally:
            with self._changed:
                self._knocking_since = None
                self._changed.notify_all()

    def through(self, connect: Callable[[], psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
        """What `connect` makes. Raises `Unreachable`, without calling it if it failed a moment ago."""
        with self._changed:
            self._refuse_while_away()
            if self._away_since is not None:
                self._ask_at = float("inf")  # until this attempt is over
        try:
            connection = connect()
        except psycopg.OperationalError as error:
            with self._changed:
                now = time.monotonic()
                self._away_since = self._away_since or now
                self._ask_at = now + ASK_SECONDS
                raise self._unreachable(str(error)) from error
        except BaseException:
            with self._changed:
                self._ask_at = 0.0
            raise
        with self._changed:
            self._away_since = None
            self._open += 1
        return connection

    def closed(self) -> None:
        """One of the connections that `through` made is no more."""
        with self._changed:
            self._open -= 1

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._open > 0

    @property
    def is_knocked_at(self) -> bool:
        """Whether somebody is finding out at this moment."""
        return self._knocking_since is not None

    @property
    def retry_after(self) -> float | None:
        """In how many seconds to ask again; None if whoever comes now would not be refused at once."""
        now, knocking = time.monotonic(), self._knocking_since
        if self.is_open:
            return None
        hangs = knocking is not None and now - knocking >= HANGING_SECONDS
        if hangs or (self._away_since is not None and now < self._ask_at):
            return self._wait(now)
        return None

    def _is_let_in(self, since: float) -> bool:
        """Wait for the outcome of the knock, if it may be a matter of moments; returns whether there is a connection now."""
        left = HANGING_SECONDS - (time.monotonic() - since)
        if left > 0 and self._away_since is None and self._waiting < MOST_WAITING:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self.is_open or self._knocking_since != since, timeout=left)
            finally:
                self._waiting -= 1
        return self.is_open

    def _refuse_while_away(self) -> None:
        if self._away_since is not None and time.monotonic() < self._ask_at:
            raise self._unreachable("The database could not be reached a moment ago.")

    def _unreachable(self, detail: str) -> Unreachable:
        return Unreachable(detail, self._wait(time.monotonic()), self)

    def _wait(self, now: float) -> float:
        away = now - (self._away_since or now)
        return min(max(ASK_SECONDS, away / 4), LONGEST_WAIT_SECONDS)
