"""One row that cannot be served must not stop the service of all others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from uuid import UUID

import pytest

import tasks
from bench.engine import until
from config.settings import Settings
from domain.errors import NotFound
from domain.ids import new_id
from jobs import reconcile
from jobs.leases import claim
from tenancy.access import Tenancy
from tests.faults.conftest import make_tenant, register_worker, state
from workers.dispatcher import Leader
from workers.execution import JobsFailed, run_message
from workers.pulse import Pulse
from workers.runtime import Runtime

pytestmark = pytest.mark.faults

tasks.load()


def erase_keys(tenancy: Tenancy, tenant_id: UUID) -> None:
    """What erasing a tenant does, while a job of it is on its way."""
    tenancy.platform.fetch("DELETE FROM tenant_keys WHERE tenant_id = %(id)s", {"id": tenant_id})
    tenancy.directory.forget(tenant_id)


def take(tenancy: Tenancy, job_id: UUID, lease: float) -> None:
    """Dispatch and claim a job by hand."""
    tenancy.platform.fetch(
        "UPDATE jobs SET state = 'dispatched', dispatched_at = now() WHERE id = %(id)s", {"id": job_id}
    )
    assert claim(tenancy.platform, [(job_id, 0)], token=new_id(), worker_id=new_id(), lease_seconds=lease)


def test_an_expired_lease_of_an_erased_tenant_does_not_stop_the_healing_of_others(
    settings: Settings, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    tasks.load()
    erased = make_tenant(settings, tenancy, "Erased")
    broken, healthy = ping(in_tenant=erased), ping()
    for job_id in (broken, healthy):
        take(tenancy, job_id, lease=-1)
    erase_keys(tenancy, erased)
    reconcile.reclaim_expired(tenancy, lambda: 0.0)
    assert state(tenancy, healthy) == "retrying"


def test_a_job_of_an_unknown_kind_does_not_stop_the_dispatcher(
    leader: Leader, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    register_worker(tenancy, "default")
    leader.round()
    unknown = ping()
    tenancy.platform.fetch("UPDATE jobs SET kind = 'system.retired', priority = 9", {})
    known = ping()
    for _ in range(3):
        leader.round()
    assert state(tenancy, known) == "dispatched"
    assert state(tenancy, unknown) != "running"


def test_a_job_whose_tenant_cannot_be_opened_is_not_held_for_ever(
    settings: Settings, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    """The database may be away for the moment in which a worker asks for the tenant's keys."""
    erased = make_tenant(settings, tenancy, "Erased")
    broken, healthy = ping(in_tenant=erased), ping()
    tenancy.platform.fetch("UPDATE jobs SET state = 'dispatched', dispatched_at = now()", {})
    erase_keys(tenancy, erased)
    runtime = Runtime(settings, tenancy, Pulse(tenancy.platform, settings.lease_seconds), new_id())
    try:
        with contextlib.suppress(NotFound, JobsFailed):  # however the message ends: its jobs are what matters
            run_message(runtime, [(broken, 0), (healthy, 0)])
        until(lambda: state(tenancy, healthy) in {"queued", "succeeded"}, 5, "its neighbour")
        until(lambda: not leased(tenancy, broken), settings.lease_seconds + 4, "the end of its lease", pause=0.2)
    finally:
        runtime.pulse.stop()


def leased(tenancy: Tenancy, job_id: UUID) -> bool:
    """Whether a lease keeps the job from everybody else."""
    query = "SELECT state = 'running' AND lease_until > now() AS leased FROM jobs WHERE id = %(id)s"
    return bool(tenancy.platform.fetch(query, {"id": job_id})[0]["leased"])
