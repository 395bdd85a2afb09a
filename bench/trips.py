"""Database round trips per job, counted where they happen: they do not depend on the machine."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import tasks
from bench.ground import Ground
from config.logging import configure
from domain.identity.principals import system
from domain.ids import new_id
from jobs.dispatch import Picked, Pool, Scheduler
from jobs.messages import Item
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tenancy.database import NO_SCOPE, Database, Row, Scope
from tenancy.directory import TenantDirectory
from workers.execution import run_message
from workers.pulse import Pulse
from workers.runtime import Runtime

BATCH = 64


class CountingDatabase(Database):
    """Counts the round trips of the thread that made it: a worker's heartbeat thread has a clock of its own."""

    def __init__(self, dsn: str):
        super().__init__(dsn, pool_size=4, application_name="nexus bench")
        self.trips = 0
        self._thread = threading.get_ident()

    def fetch_many(
        self, statements: Sequence[tuple[LiteralString, Mapping[str, Any]]], scope: Scope = NO_SCOPE
    ) -> list[list[Row]]:
        """As `Database.fetch_many`, counted."""
        if threading.get_ident() == self._thread:
            self.trips += 1
        return super().fetch_many(statements, scope)


def measure(ground: Ground) -> dict[str, int]:
    """Round trips of submitting one job, of one dispatcher's round, and of running a message of one and of many jobs."""
    configure(ground.settings, "bench")
    tasks.load()
    database = CountingDatabase(ground.settings.engine_dsn)
    tenancy = Tenancy(ground.settings, "engine")
    tenancy.dispose()
    tenancy.platform = database
    tenancy.directory = TenantDirectory(database, tenancy.ring)
    tenant_id = ground.tenant()
    ground.tenancy.platform.fetch("DELETE FROM jobs", {})
    runtime = Runtime(ground.settings, tenancy, Pulse(database, ground.settings.lease_seconds), new_id())
    try:
        tenancy.record(tenant_id)  # known for some seconds, as in any process at work
        new = NewJob("system.ping", {}, system("bench", tenant_id))
        counted = {"submit a job": _count(database, lambda: submit(tenancy, new))}
        for _ in range(BATCH):
            submit(tenancy, new)
        pools = [Pool(("default",), 2)]
        rows: list[Picked] = []
        counted[f"dispatch {BATCH + 1} jobs"] = _count(
            database, lambda: rows.extend(Scheduler().pick(database, pools, {"system.ping": 0.001}))
        )
        items = [(each.id, each.attempt) for each in rows]
        tenancy.record(tenant_id)
        counted["run a message of 1 job"] = _count(database, lambda: _run(runtime, items[:1]))
        counted[f"run a message of {BATCH} jobs"] = _count(database, lambda: _run(runtime, items[1:]))
    finally:
        runtime.pulse.stop()
        tenancy.dispose()
    return counted


def _run(runtime: Runtime, items: list[Item]) -> None:
    run_message(runtime, items)
    runtime.pulse.flush()


def _count(database: CountingDatabase, act: Any) -> int:
    before = database.trips
    act()
    return database.trips - before
