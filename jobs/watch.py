"""Waiting for jobs to change: one poller per process for all who wait, so a waiter costs an entry in a table.

PostgreSQL is asked, not told: a lost hint cannot make an answer wrong. One query per interval and tenant reads the
versions of all awaited jobs; a hint that names a job wakes its waiters at once.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import LiteralString
from uuid import UUID

import structlog

from jobs.hints import CHANGED, Listener
from jobs.queries import get
from jobs.rows import KEPT, JobRow, is_finished
from tenancy.access import Tenancy
from tenancy.database import tenant_scope

INTERVAL = 0.2
"""Seconds between two looks: what a wait may be late by that no hint ended."""

_VERSIONS: LiteralString = f"SELECT id, version FROM jobs WHERE id = ANY(%(ids)s) AND {KEPT}"

_NOBODY = UUID(int=0)

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Waiter:
    """Who waits for a job to have another version than this."""

    tenant_id: UUID
    job_id: UUID
    version: int
    woken: threading.Event = field(default_factory=threading.Event)


class Watcher:
    """Wakes waiters when their job's version moves past the one they know.

    Its thread starts with the first waiter and ends when there has been none for a while. Under gevent, threads and
    events are greenlets, so thousands can wait.
    """

    def __init__(self, tenancy: Tenancy):
        self._tenancy = tenancy
        self._lock = threading.Lock()
        self._waiters: set[Waiter] = set()
        self._by_job: dict[UUID, set[Waiter]] = defaultdict(set)
        self._polling = False
        self._hints: Listener | None = None

    def wait_finished(self, tenant_id: UUID, job_id: UUID, timeout: float) -> JobRow:
        """The job once it has finished, or as it is after `timeout` seconds. Raises `NotFound`."""
        deadline = time.monotonic() + timeout
        row = get(self._tenancy, tenant_id, job_id)
        while not is_finished(row) and (left := deadline - time.monotonic()) > 0:
            row = self.wait_changed(row, left)
        return row

    def wait_changed(self, row: JobRow, timeout: float) -> JobRow:
        """The job once it is newer than `row`, or as it is after `timeout` seconds. Raises `NotFound`."""
        with self.watching(row) as waiter:
            waiter.woken.wait(timeout)
        return get(self._tenancy, row["tenant_id"], row["id"])

    @contextmanager
    def watching(self, row: JobRow) -> Iterator[Waiter]:
        """For who waits for something else too: `woken` is set once the job may be newer than the waiter's `version`."""
        waiter = Waiter(row["tenant_id"], row["id"], row["version"])
        with self._lock:
            self._waiters.add(waiter)
            self._by_job[waiter.job_id].add(waiter)
            self._listen()
            if not self._polling:
                self._polling = True
                threading.Thread(target=self._poll, name="nexus-watcher", daemon=True).start()
        try:
            yield waiter
        finally:
            self._forget(waiter)

    @contextmanager
    def listening(self, job_id: UUID) -> Iterator[threading.Event]:
        """An event that each hint about the job sets, for who looks by himself: nobody else asks PostgreSQL on his behalf."""
        waiter = Waiter(_NOBODY, job_id, 0)
        with self._lock:
            self._by_job[job_id].add(waiter)
            self._listen()
        try:
            yield waiter.woken
        finally:
            self._forget(waiter)

    def __len__(self) -> int:
        return len(self._waiters)

    def _listen(self) -> None:
        if self._hints is None:
            self._hints = Listener(self._tenancy.settings, CHANGED, self._heard)

    def _forget(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiters.discard(waiter)
            self._by_job[waiter.job_id].discard(waiter)
            if not self._by_job[waiter.job_id]:
                del self._by_job[waiter.job_id]

    def _heard(self, message: str) -> None:
        ids = [UUID(text) for text in message.split(",") if text]
        with self._lock:
            for job_id in ids:
                for waiter in self._by_job.get(job_id, ()):
                    waiter.woken.set()

    def _poll(self) -> None:
        while True:
            time.sleep(INTERVAL)
            with self._lock:
                if not self._waiters:
                    self._polling = False
                    return
                waiters = list(self._waiters)
            try:
                self._wake(waiters)
            except Exception:
                # The waiters go on waiting, at worst until their own timeout: a database that is away for a moment
                # must not end the one thread that all of them depend on.
                log.warning("watcher.poll_failed", waiters=len(waiters), exc_info=True)
                time.sleep(1.0)

    def _wake(self, waiters: list[Waiter]) -> None:
        by_tenant: dict[UUID, list[Waiter]] = defaultdict(list)
        for waiter in waiters:
            by_tenant[waiter.tenant_id].append(waiter)
        for tenant_id, group in by_tenant.items():
            ids = list({waiter.job_id for waiter in group})
            rows = self._tenancy.platform.fetch(_VERSIONS, {"ids": ids}, tenant_scope(tenant_id))
            versions = {row["id"]: row["version"] for row in rows}
            for waiter in group:
                if versions.get(waiter.job_id, -1) != waiter.version:
                    waiter.woken.set()
