"""The dispatcher process: one leader chooses what runs next, publishes it and does its chores; others stand by.

Run with `python -m workers.dispatcher`. The leader is whoever holds an advisory lock on a connection of its own; when
that connection ends, so does its leadership, and a standby takes over within a second.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
import structlog
from sqlalchemy.exc import OperationalError

import tasks
from config.logging import configure
from config.settings import Settings
from config.telemetry.counters import count, observe
from config.telemetry.measures import DISPATCHED, ROUND_SECONDS, UNSENT
from domain.jobs.steadiness import Steady
from jobs import controls, fleet
from jobs.controls import Controls
from jobs.dispatch import Pool, Scheduler, take_back
from jobs.hints import DUE, Listener
from jobs.packing import pack
from jobs.publisher import Publisher
from jobs.runtimes import Usage, means, usage_since
from jobs.transport import celery_app
from tenancy.access import Tenancy
from workers import start, telemetry, tracing
from workers.chores import Every, chores

LOCK: LiteralString = "SELECT pg_try_advisory_lock(hashtext('nexus dispatcher')) AS held"
BUSY_SECONDS, DEEP_SECONDS, IDLE_SECONDS = 0.002, 0.01, 0.05
"""Pause after a round that dispatched something; after one that left due jobs for want of room; and the longest pause,
which a hint ends: without hints, what a job is late by."""

HURRIED_CHORES = 2
"""What a round that a hint began does at most, after it has dispatched: the next hint waits for no more than that."""

ALWAYS = 1e9
"""Seconds: longer than any platform has run."""

ABANDONED: LiteralString = "SET idle_session_timeout = '10s'"
"""The server ends the lock's session, and with it the lock, when a frozen leader has not spoken for this long."""


log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Leader:
    """What the leader keeps between rounds. All of it is rebuilt from rows by the next leader."""

    settings: Settings
    tenancy: Tenancy
    publisher: Publisher
    pools: list[Pool] = field(default_factory=list)
    means: dict[str, float] = field(default_factory=dict)
    controls: Controls = field(default_factory=Controls)
    scheduler: Scheduler = field(default_factory=Scheduler)
    usage: Usage | None = None
    chores: list[Every] = field(init=False)
    steady: Steady = field(init=False)

    def __post_init__(self) -> None:
        self.steady = Steady(self.settings.lease_seconds / 2, time.monotonic())
        self.chores = [
            Every(0.5, self._read_workers),
            Every(2.0, self._read_runtimes),
            Every(0.5, self._settle),
            Every(0.5, self._read_controls),
            *chores(self.tenancy, self.publisher, self.steady),
        ]

    def round(self, hurried: bool = False, interrupted: Callable[[], bool] = lambda: False) -> int:
        """Do the chores that are due and dispatch what there is room for; returns how many jobs were dispatched.

        The job of a hint waits for few of them: a `hurried` round dispatches first and leaves most for the next, and any
        other leaves the rest as soon as it is `interrupted`.
        """
        if hurried:
            dispatched = self._dispatch()
            self._tidy(HURRIED_CHORES)
            return dispatched
        self._tidy(len(self.chores), interrupted)
        return self._dispatch()

    def _tidy(self, most: int, interrupted: Callable[[], bool] = lambda: False) -> None:
        now = time.monotonic()
        self.steady.note(now)
        due = sorted((chore for chore in self.chores if now >= chore.due_at), key=lambda chore: chore.due_at)
        for chore in due[:most]:
            if interrupted():
                break
            chore(now)

    def _dispatch(self) -> int:
        now, began_at = time.monotonic(), time.time()
        picked = self.scheduler.pick(self.tenancy.platform, self.pools, self.means, self.controls, now)
        if picked:
            slots = {queue: pool.slots for pool in self.pools for queue in pool.queues}
            messages = pack(picked, slots, self.means, self.settings.batch_limit)
            unsent = self.publisher.publish(messages)
            if unsent:
                log.warning("dispatcher.broker_unreachable", jobs=len(unsent))
                take_back(self.tenancy.platform, unsent)
                count(UNSENT, by=len(unsent))
                time.sleep(0.5)
            for queue, jobs in Counter(each.queue for each in picked).items():
                count(DISPATCHED, queue, by=jobs)
            observe(ROUND_SECONDS, time.time() - began_at)
            tracing.dispatched(self.tenancy.platform, picked, began_at)
            if self.settings.log_level == "debug":
                for each in picked:
                    log.debug("job.dispatched", job_id=str(each.id), kind=each.kind, queue=each.queue)
        return len(picked)

    def pause(self, dispatched: int, last: float) -> float:
        """Seconds until the next round, after one that dispatched so many and a pause that long."""
        if self.scheduler.is_full:
            return DEEP_SECONDS
        return BUSY_SECONDS if dispatched else min(last * 2, IDLE_SECONDS)

    def _read_workers(self) -> None:
        self.pools = [Pool(queues, slots) for queues, slots in fleet.serving(self.tenancy.platform).items()]

    def _read_runtimes(self) -> None:
        self.means = means(self.tenancy.platform)

    def _read_controls(self) -> None:
        self.controls = controls.read(self.tenancy.platform)

    def _settle(self) -> None:
        """Charge tenants what their runs took since the last look; the first look only learns where they stand."""
        usage = usage_since(self.tenancy.platform, ALWAYS if self.usage is None else 10.0)
        if self.usage is not None:
            for (tenant_id, queue), (runs, seconds) in usage.items():
                known_runs, known_seconds = self.usage.get((tenant_id, queue), (0, 0.0))
                if runs > known_runs:
                    self.scheduler.settle(queue, tenant_id, runs - known_runs, seconds - known_seconds, self.controls)
        self.usage = {**(self.usage or {}), **usage}


def lead(settings: Settings, tenancy: Tenancy, stopped: threading.Event, wake: threading.Event) -> None:
    """Wait for the lock, then lead until it is lost, the database goes away, or `stopped` is set. `wake` ends a pause."""
    with tenancy.connect() as connection:
        connection.execute(ABANDONED)
        while not _holds(connection):
            if stopped.wait(0.5):
                return
        log.info("dispatcher.leading", pid=os.getpid())
        leader = Leader(settings, tenancy, Publisher(celery_app(settings)))
        check = Every(1.0, lambda: connection.execute("SELECT 1"))
        pause, hinted = BUSY_SECONDS, False
        while not stopped.is_set():
            check(time.monotonic())
            wake.clear()
            pause = leader.pause(leader.round(hinted, wake.is_set), pause)
            hinted = wake.wait(pause)


def main() -> int:
    """Run until SIGTERM or SIGINT; a database that goes away is waited for."""
    settings = start.settings()
    configure(settings, "dispatcher")
    tasks.load()  # so that the relay knows the subscribers
    tenancy = Tenancy(settings, "engine")
    start.check(tenancy)
    telemetry.begin(settings, "dispatcher")
    stopped, wake = threading.Event(), threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        wake.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    Listener(settings, DUE, lambda _: wake.set())
    telemetry.report(tenancy, "dispatcher")
    gc.freeze()  # what was imported is no garbage
    while not stopped.is_set():
        try:
            lead(settings, tenancy, stopped, wake)
        except psycopg.errors.IdleSessionTimeout:
            log.warning("dispatcher.leadership_lost", pid=os.getpid())
        except (psycopg.Error, OperationalError) as error:
            log.warning("dispatcher.database_unreachable", error=type(error).__name__)
            stopped.wait(0.5)
    telemetry.end()
    tenancy.dispose()
    return 0


def _holds(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(LOCK).fetchone()
    return row is not None and bool(row[0])


if __name__ == "__main__":
    sys.exit(main())
