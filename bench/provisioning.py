"""How long a dedicated tenant takes: a database, an account and a bucket of its own."""

from __future__ import annotations

import time
from collections import defaultdict
from statistics import median
from typing import Any

from rich.progress import Progress

from bench.engine import Engine, until
from bench.ground import Ground
from jobs.provisioning import ensure_provisioning
from tenancy.provisioning import Provisioner


def measure(ground: Ground, tenants: int, progress: Progress) -> dict[str, Any]:
    """Median seconds of each step run directly, of all steps, and from submission to the end of the job."""
    task = progress.add_task("provisioning", total=2 * tenants)
    steps: dict[str, list[float]] = defaultdict(list)
    direct = []
    for _ in range(tenants):
        started = time.perf_counter()
        saga = Provisioner(ground.settings, ground.tenancy, ground.new_tenant("dedicated"))
        for name, step in saga.steps():
            before = time.perf_counter()
            step()
            steps[name].append(time.perf_counter() - before)
        saga.close()
        direct.append(time.perf_counter() - started)
        progress.advance(task)
    return {
        "tenants": tenants,
        "steps": {name: median(seconds) for name, seconds in steps.items()},
        "direct": median(direct),
        "through_the_job": _through_jobs(ground, tenants, progress, task),
    }


def _through_jobs(ground: Ground, tenants: int, progress: Progress, task: Any) -> float:
    platform = ground.tenancy.platform
    platform.fetch("DELETE FROM workers", {})
    taken: list[float] = []
    with Engine(ground.settings, ground.home / "log") as engine:
        engine.dispatcher()
        engine.worker("provisioning")
        until(lambda: bool(platform.fetch("SELECT 1 FROM workers", {})), 30, "the worker")
        for _ in range(tenants):
            tenant_id = ground.new_tenant("dedicated")
            submitted = ensure_provisioning(ground.tenancy, tenant_id, ground.owner_id)
            where = {"id": submitted.id}
            until(lambda where=where: _is_done(ground, where), 60, "provisioning", 0.01)  # type: ignore[misc]  # bound now
            row = platform.fetch("SELECT finished_at - created_at AS taken FROM jobs WHERE id = %(id)s", where)[0]
            taken.append(row["taken"].total_seconds())
            progress.advance(task)
    return median(taken)


def _is_done(ground: Ground, where: dict[str, Any]) -> bool:
    return bool(ground.tenancy.platform.fetch("SELECT 1 FROM jobs WHERE id = %(id)s AND state = 'succeeded'", where))
