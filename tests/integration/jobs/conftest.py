"""A queue that other tests do not share, and a leader's and a worker's part by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from domain.identity.principals import system
from domain.ids import new_id
from jobs.dispatch import Picked, Pool, Scheduler
from jobs.leases import ClaimedRow, claim
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy


@pytest.fixture
def quiet(engine_tenancy: Tenancy) -> None:
    """No job of an earlier test is due or in flight: this worker's platform database is the test's alone."""
    engine_tenancy.platform.fetch("DELETE FROM jobs", {})


def submit_pings(tenancy: Tenancy, tenant: UUID, count: int, **options: Any) -> list[UUID]:
    """Submit `count` pings; returns their ids in order."""
    return [
        submit(tenancy, NewJob(kind="system.ping", payload={}, principal=system("test", tenant), **options)).id
        for _ in range(count)
    ]


MEANS = {"system.ping": 0.1}
"""At this runtime a ping fills a message, so there is room for two jobs per slot."""


def dispatch(tenancy: Tenancy, room: int, means: Mapping[str, float] = MEANS) -> list[Picked]:
    """One round of a new leader for the default queue, with room for an even number of jobs."""
    return Scheduler().pick(tenancy.platform, [Pool(("default",), room // 2)], means)


def dispatch_and_claim(tenancy: Tenancy, job_id: UUID, lease: float = 60.0) -> tuple[ClaimedRow, UUID]:
    """Take one job to `running`; returns the claimed row and its token."""
    tenancy.platform.fetch(
        "UPDATE jobs SET state = 'dispatched', dispatched_at = now() WHERE id = %(id)s AND state <> 'running'",
        {"id": job_id},
    )
    attempt = tenancy.platform.fetch("SELECT attempt FROM jobs WHERE id = %(id)s", {"id": job_id})[0]["attempt"]
    token = new_id()
    rows = claim(tenancy.platform, [(job_id, attempt)], token=token, worker_id=new_id(), lease_seconds=lease)
    return rows[0], token
