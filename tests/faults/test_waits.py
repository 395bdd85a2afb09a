"""Jobs that wait for others, while the leaders and the workers that they depend on are killed."""

from __future__ import annotations

from uuid import UUID

import pytest

from bench.engine import Engine, until
from domain.identity.principals import system
from jobs.bulk import Related, submit_many
from jobs.submit import NewJob, Submitted
from tenancy.access import Tenancy

pytestmark = pytest.mark.faults

CHILDREN, FOLLOW_UPS, KILLS = 240, 24, 2

_DONE = "SELECT count(*) FROM jobs WHERE state = 'succeeded' AND id = ANY(%(ids)s)"

_TOO_EARLY = """
SELECT j.id FROM jobs j JOIN job_dependencies d ON d.job_id = j.id JOIN jobs o ON o.id = d.depends_on
 WHERE j.started_at < o.finished_at
"""


def test_every_follow_up_runs_and_none_before_its_last_dependency_though_leaders_and_workers_die(
    engine: Engine, tenancy: Tenancy, tenant: UUID
) -> None:
    children = bulk(tenancy, [ping(tenant, seconds=0.01) for _ in range(CHILDREN)])
    each = CHILDREN // FOLLOW_UPS
    follow_ups = bulk(
        tenancy, [Related(ping(tenant), tuple(children[n * each : (n + 1) * each])) for n in range(FOLLOW_UPS)]
    )
    last = bulk(tenancy, [Related(ping(tenant), tuple(follow_ups))])
    leader, worker = engine.dispatcher(), engine.worker("default")
    for kill in range(1, KILLS + 1):
        until(lambda kill=kill: done(tenancy, children) >= CHILDREN * kill // (KILLS + 1), 60, "some children")  # type: ignore[misc]  # bound as a default
        engine.kill(leader)
        if kill == 1:
            engine.kill(worker)
            worker = engine.worker("default")
        leader = engine.dispatcher()
    until(lambda: done(tenancy, last) == 1, 90, "the last job")
    assert done(tenancy, children + follow_ups) == CHILDREN + FOLLOW_UPS
    assert tenancy.platform.fetch(_TOO_EARLY, {}) == []
    assert tenancy.platform.fetch("SELECT FROM job_waits WHERE tenant_id = %(tenant)s", {"tenant": tenant}) == []


def ping(tenant: UUID, seconds: float = 0.0) -> NewJob:
    return NewJob(kind="system.ping", payload={"seconds": seconds}, principal=system("test", tenant))


def bulk(tenancy: Tenancy, submissions: list[NewJob] | list[Related]) -> list[UUID]:
    """Submit them all; returns their ids in order."""
    answers = submit_many(tenancy, submissions)
    return [answer.id for answer in answers if isinstance(answer, Submitted)]


def done(tenancy: Tenancy, ids: list[UUID]) -> int:
    """How many of the jobs have succeeded."""
    return int(tenancy.platform.fetch(_DONE, {"ids": ids})[0]["count"])
