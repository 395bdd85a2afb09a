"""A worker killed between the end of a handler and the writing of its outcome."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from psycopg import sql
from sqlalchemy import select

from bench.engine import Engine, until
from config.settings import Settings
from domain.identity.principals import system
from jobs.control import cancel
from jobs.submit import NewJob, submit
from models.tenant import Invoice
from tenancy.access import Tenancy
from tenancy.servers import platform_database
from tests.conftest import Cluster
from tests.faults.conftest import held, someone_waits_for, state
from tests.faults.test_beats import DAYS, subscribe

pytestmark = pytest.mark.faults


def numbers(tenancy: Tenancy, tenant: UUID) -> list[int]:
    """The numbers of the tenant's invoices."""
    with tenancy.session(tenant) as session:
        return list(session.scalars(select(Invoice.number).order_by(Invoice.number)))


def test_a_job_whose_outcome_died_with_its_worker_runs_again_and_has_its_effect_once(
    engine: Engine, tenancy: Tenancy, tenant: UUID, settings: Settings, cluster: Cluster, ping: Callable[..., UUID]
) -> None:
    """The worker's pulse waits for the locked row of a neighbour, so the outcome stays in its memory until the kill."""
    subscribe(tenancy, tenant)
    engine.dispatcher()
    # Renewed after two seconds, well before the leader would look at the lease.
    worker = engine.worker("default", "billing", pool="threads", name="first", NEXUS_LEASE_SECONDS="6",
                           NEXUS_LOG_LEVEL="debug")  # fmt: skip
    neighbour = ping(seconds=60)
    until(lambda: state(tenancy, neighbour) == "running", 30, "the neighbour")
    superuser = cluster.postgres.superuser_dsn
    row = sql.SQL("SELECT 1 FROM jobs WHERE id = {} FOR UPDATE").format(neighbour)
    with held(superuser, row, platform_database(settings)) as pid:
        until(lambda: someone_waits_for(superuser, pid), 20, "the pulse at the neighbour's row")
        payload = {"until": datetime.now(UTC).isoformat()}
        job_id = submit(tenancy, NewJob("billing.cycle", payload, system("test", tenant))).id
        until(lambda: ended(engine.log("first"), job_id), 20, "the end of its handler")
        assert numbers(tenancy, tenant) == list(range(1, DAYS + 1))
        assert state(tenancy, job_id) == "running"
        engine.kill(worker)
    assert state(tenancy, job_id) == "running"
    cancel(tenancy, tenant, neighbour)
    engine.worker("default", "billing", pool="threads", name="second")
    until(lambda: state(tenancy, job_id) == "succeeded", 30, "its second run")
    (job,) = tenancy.platform.fetch("SELECT attempt FROM jobs WHERE id = %(id)s", {"id": job_id})
    assert job["attempt"] == 2
    assert numbers(tenancy, tenant) == list(range(1, DAYS + 1))


def ended(log: str, job_id: UUID) -> bool:
    """Whether the worker says that the job's handler returned."""
    return any("job.succeeded" in line and str(job_id) in line for line in log.splitlines())
