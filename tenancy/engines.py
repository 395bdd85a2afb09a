"""Tenant databases that this process has open: a bounded, least recently used set of small pools."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import TimeoutError as PoolTimeout

from tenancy.database import Database, Notes
from tenancy.outward import Pin
from tenancy.reach import Reach

STANDSTILL_SECONDS = 2.0
"""When no connection of a pool was taken or given back for so long, and all are taken, newcomers do not wait for one."""

MOST_WAITING = 8
"""They do as long as fewer wait already."""


IDLE_SECONDS = 600.0
"""A pool that nobody has used for so long is closed, when the next one of any tenant is used."""


@dataclass(slots=True)
class _Entry:
    database: Database
    users: int = 0
    used_at: float = 0.0
    evicted: bool = False


class TenantEngines:
    """At most `limit` pools of `pool_size` connections; one in use is never closed under its user.

    Pools are keyed by DSN, so tenants that share a pooled database share its pool: what keeps them apart there is the
    scope of each transaction.
    """

    def __init__(
        self,
        *,
        limit: int,
        pool_size: int,
        application_name: str,
        patience: float | None = None,
        notes: Notes | None = None,
    ):
        self._limit = limit
        self._pool_size = pool_size
        self._patience = patience
        self._notes = notes
        self._application_name = application_name
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    @contextmanager
    def use(self, dsn: str, *, pooled: bool = False, pin: Pin | None = None) -> Iterator[Database]:
        """The database at `dsn`, kept open at least until the block ends; `pooled` and `pin` as for `Database`.

        Raises SQLAlchemy's `TimeoutError` at once, if the database stands still and enough wait for it already.
        """
        with self._lock:
            entry = self._entries.get(dsn)
            if entry is None:
                database = Database(
                    dsn,
                    pool_size=self._pool_size,
                    application_name=self._application_name,
                    patience=self._patience,
                    notes=self._notes,
                    reach=Reach(),
                    pin=pin,
                    pooled=pooled,
                )
                entry = self._entries[dsn] = _Entry(database)
            if entry.users >= self._pool_size + MOST_WAITING and entry.database.idle_for() > STANDSTILL_SECONDS:
                raise PoolTimeout
            self._entries.move_to_end(dsn)
            entry.users += 1
            entry.used_at = time.monotonic()
            victims = self._evict()
        for victim in victims:
            victim.dispose()
        try:
            yield entry.database
        finally:
            with self._lock:
                entry.users -= 1
                last = entry.evicted and entry.users == 0
            if last:
                entry.database.dispose()

    def __len__(self) -> int:
        return len(self._entries)

    def dispose(self, *, close: bool = True) -> None:
        """Close all; with `close=False`, as after a fork, only forget them."""
        with self._lock:
            entries, self._entries = list(self._entries.values()), OrderedDict()
        for entry in entries:
            entry.database.dispose(close=close)

    def _evict(self) -> list[Database]:
        idle: list[Database] = []
        while self._entries and (len(self._entries) > self._limit or self._is_idle(next(iter(self._entries.values())))):
            _, entry = self._entries.popitem(last=False)
            entry.evicted = True
            if entry.users == 0:
                idle.append(entry.database)
        return idle

    @staticmethod
    def _is_idle(entry: _Entry) -> bool:
        return entry.users == 0 and time.monotonic() - entry.used_at > IDLE_SECONDS
