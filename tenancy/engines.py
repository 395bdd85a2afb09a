"""Tenant databases that this process has open: a bounded, least recently used set of small pools."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tenancy.database import Database
from tenancy.outward import Pin
from tenancy.reach import Reach


@dataclass(slots=True)
class _Entry:
    database: Database
    users: int = 0
    evicted: bool = False


class TenantEngines:
    """At most `limit` pools of `pool_size` connections; one in use is never closed under its user.

    Pools are keyed by DSN, so tenants that share a pooled database share its pool: what keeps them apart there is the
    scope of each transaction.
    """

    def __init__(self, *, limit: int, pool_size: int, application_name: str):
        self._limit = limit
        self._pool_size = pool_size
        self._application_name = application_name
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    @contextmanager
    def use(self, dsn: str, *, pooled: bool = False, pin: Pin | None = None) -> Iterator[Database]:
        """The database at `dsn`, kept open at least until the block ends; `pooled` and `pin` as for `Database`."""
        with self._lock:
            entry = self._entries.get(dsn)
            if entry is None:
                database = Database(
                    dsn,
                    pool_size=self._pool_size,
                    application_name=self._application_name,
                    reach=Reach(),
                    pin=pin,
                    pooled=pooled,
                )
                entry = self._entries[dsn] = _Entry(database)
            self._entries.move_to_end(dsn)
            entry.users += 1
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
        while len(self._entries) > self._limit:
            _, entry = self._entries.popitem(last=False)
            entry.evicted = True
            if entry.users == 0:
                idle.append(entry.database)
        return idle
