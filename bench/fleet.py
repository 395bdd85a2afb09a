"""A fleet of many tenants: what it costs to know that it is current, to give each database a column, and to grow it.

Dedicated tenants have real databases, cloned as provisioning clones them; only their buckets and jobs are left out. Pooled
tenants are rows that share one real database, as pooled tenants do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from rich.progress import Progress

from bench.engine import Engine, until
from bench.figures import percentile
from bench.ground import Ground
from bench.newer_code import newer, worker_command, write
from domain.ids import new_id
from jobs import waves
from jobs.provisioning import ensure_provisioning
from tenancy import fleet
from tenancy.bootstrap import ensure_template
from tenancy.database import Database
from tenancy.provisioning import Provisioner
from tenancy.servers import clone_template, pool_database

LIVE_STATES = frozenset({"scheduled", "queued", "dispatched", "running", "retrying"})


def measure(
    ground: Ground, tenants: int, dedicated: int, existing: int, made: int, progress: Progress
) -> dict[str, Any]:
    """Seconds of a check of a current fleet, of a wave that adds a column, and of making one more dedicated tenant."""
    _operator(ground)
    task = progress.add_task("making the fleet", total=dedicated)
    grown: list[float] = []
    for number in range(dedicated):
        if existing <= number < existing + made:
            grown.append(_provision(ground))
        else:
            _clone(ground)
        progress.advance(task)
    _pooled(ground, tenants - dedicated)
    progress.update(task, description="a check of a current fleet", total=None)
    ours = write(ground.home / "ours", "none")
    (ours / "none.py").unlink()  # a version that knows what we know
    with Engine(ground.settings, ground.home / "log") as engine:
        engine.dispatcher()
        check, databases = _wave(ground, engine, worker_command(ours, "ours"))
        with _newer_version(ground) as (revision, folder):
            progress.update(task, description="a column for each database")
            wave, migrated = _wave(ground, engine, worker_command(folder, "newer"))
    counted = fleet.counts(ground.tenancy.platform)
    return {
        "tenants": sum(row["tenants"] for row in counted),
        "databases": sum(row["databases"] for row in counted),
        "current": sum(row["tenants"] for row in counted if row["version"] == revision),
        "check": {"seconds": check, "databases_touched": databases},
        "wave": {"seconds": wave, "databases": migrated, "milliseconds_each": wave / max(1, migrated) * 1e3},
        "provisioning": {
            "existing": existing, "made": len(grown), "p50": percentile(grown, 50), "p95": percentile(grown, 95),
        },
    }  # fmt: skip


def _wave(ground: Ground, engine: Engine, command: tuple[str, ...]) -> tuple[float, int]:
    """Start a wave that a worker waits for; seconds from then to the end of its job, and the databases that were behind."""
    platform = ground.tenancy.platform
    platform.fetch("DELETE FROM workers", {})
    worker = engine.start("worker", command, {})
    until(lambda: bool(platform.fetch("SELECT 1 FROM workers", {})), 60, ground.logged("the worker"))
    wave, submitted = waves.start(ground.tenancy, new_id(), [], "system:bench")
    where = {"id": submitted.id}
    until(lambda: _state(ground, where) not in LIVE_STATES, 600, ground.logged("the wave"), 0.02)
    if _state(ground, where) != "succeeded":
        raise RuntimeError(ground.logged("the wave failed"))
    row = platform.fetch("SELECT finished_at - created_at AS taken FROM jobs WHERE id = %(id)s", where)[0]
    engine.stop(worker)
    done = waves.latest(platform)
    return row["taken"].total_seconds(), (done.databases or 0) if done is not None and done.id == wave.id else 0


def _state(ground: Ground, where: dict[str, Any]) -> str:
    return str(ground.tenancy.platform.fetch("SELECT state FROM jobs WHERE id = %(id)s", where)[0]["state"])


@contextmanager
def _newer_version(ground: Ground) -> Iterator[tuple[str, Path]]:
    """Code that knows one column more, with its template; the revision and where it is."""
    revision = f"b{new_id().hex[-10:]}"
    folder = write(ground.home / "newer", revision)
    owner = Database(ground.settings.owner_dsn, pool_size=1, application_name="nexus bench")
    with newer(folder), owner.connect() as connection:
        ensure_template(connection, ground.settings)
        yield revision, folder
    owner.dispose()


def _operator(ground: Ground) -> None:
    row = ground.tenancy.platform.fetch("SELECT id, created_by FROM tenants WHERE is_operator", {})[0]
    ensure_provisioning(ground.tenancy, row["id"], row["created_by"])
    _steps(ground, row["id"])


def _provision(ground: Ground) -> float:
    """Seconds that all steps of a dedicated tenant take, bucket included."""
    tenant_id = ground.new_tenant("dedicated")
    started = time.perf_counter()
    _steps(ground, tenant_id)
    return time.perf_counter() - started


def _steps(ground: Ground, tenant_id: UUID) -> None:
    saga = Provisioner(ground.settings, ground.tenancy, tenant_id)
    for _, step in saga.steps():
        step()
    saga.close()


def _clone(ground: Ground) -> None:
    tenant_id = ground.new_tenant("dedicated")
    name = f"nexus_t_{tenant_id.hex}"
    with psycopg.connect(ground.settings.owner_dsn, autocommit=True) as connection:
        clone_template(connection, name)
    _place(ground, [tenant_id], name)


def _pooled(ground: Ground, count: int) -> None:
    made = [new_id() for _ in range(count)]
    ground.tenancy.platform.fetch(
        "INSERT INTO tenants (id, name, tier) SELECT id, 'Bench', 'pooled' FROM unnest(%(ids)s::uuid[]) AS ids (id)",
        {"ids": made},
    )
    _place(ground, made, pool_database(ground.settings))


def _place(ground: Ground, tenants: list[UUID], database: str) -> None:
    ground.tenancy.platform.fetch(
        "UPDATE tenants SET state = 'active', database_name = %(database)s, schema_version = %(version)s"
        " WHERE id = ANY(%(ids)s)",
        {"ids": tenants, "database": database, "version": fleet.newest()},
    )
