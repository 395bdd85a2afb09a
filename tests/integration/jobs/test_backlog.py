"""Rates, and workers that live and claim nothing, as the leader measures them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from domain.ids import new_id
from jobs import fleet
from jobs.backlog import DEAF_SECONDS, backlogs, measure
from jobs.controls import Scope, pause
from jobs.kinds import QUEUES
from jobs.runtimes import Observed, observe, queue_rates, runtimes
from tenancy.access import Tenancy
from tenancy.scopes import operator_scope
from tests.integration.jobs.conftest import dispatch, dispatch_and_claim, submit_pings


@pytest.fixture(autouse=True)
def alone(engine_tenancy: Tenancy, web_tenancy: Tenancy) -> Iterator[None]:
    """No job, worker, measurement or pause but the test's."""
    for table in ("jobs", "workers", "queue_backlogs", "kind_runtimes"):
        engine_tenancy.platform.fetch(f"DELETE FROM {table}", {})  # type: ignore[arg-type]  # names of our own tables
    yield
    web_tenancy.platform.fetch("DELETE FROM dispatch_pauses", {}, operator_scope())
    engine_tenancy.platform.fetch_many([("DELETE FROM workers", {}), ("DELETE FROM queue_backlogs", {})])


@pytest.fixture
def worker(engine_tenancy: Tenancy) -> UUID:
    """A worker of `default` that started long ago, beats and has never claimed."""
    worker_id = new_id()
    beat(engine_tenancy, worker_id)
    engine_tenancy.platform.fetch("UPDATE workers SET started_at = now() - interval '1 hour'", {})
    return worker_id


def beat(tenancy: Tenancy, worker_id: UUID, *, stopping: bool = False) -> None:
    facts = {"id": worker_id, "name": "test", "queues": ["default"], "slots": 2, "pid": 1, "stopping": stopping}
    fleet.beat(tenancy.platform, facts)


def later(tenancy: Tenancy, seconds: float) -> bool:
    """Measure as if so many seconds had passed since the last measurement; returns whether `default` is deaf."""
    tenancy.platform.fetch(
        "UPDATE queue_backlogs SET unclaimed_since = unclaimed_since - %(passed)s,"
        " unclaimed_seen_at = unclaimed_seen_at - %(passed)s",
        {"passed": timedelta(seconds=seconds)},
    )
    tenancy.platform.fetch(
        "UPDATE workers SET last_claim_at = last_claim_at - %(passed)s", {"passed": timedelta(seconds=seconds)}
    )
    measure(tenancy.platform, QUEUES)
    return next(each.deaf for each in backlogs(tenancy.platform) if each.queue == "default")


def test_workers_that_claim_nothing_for_long_are_deaf(
    engine_tenancy: Tenancy, pooled_tenant: UUID, worker: UUID
) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch(engine_tenancy, 2)
    assert [later(engine_tenancy, seconds) for seconds in (0, 3, DEAF_SECONDS - 4, 2)] == [False, False, False, True]


def test_a_job_that_is_queued_again_between_two_times_does_not_calm_the_alarm(
    engine_tenancy: Tenancy, pooled_tenant: UUID, worker: UUID
) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch(engine_tenancy, 2)
    assert not later(engine_tenancy, 0)
    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'queued', dispatched_at = NULL", {})
    assert not later(engine_tenancy, 3)
    dispatch(engine_tenancy, 2)
    assert later(engine_tenancy, DEAF_SECONDS)


def test_a_claim_ends_the_alarm(engine_tenancy: Tenancy, pooled_tenant: UUID, worker: UUID) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch(engine_tenancy, 2)
    later(engine_tenancy, 0)
    assert later(engine_tenancy, DEAF_SECONDS)
    fleet.claimed(engine_tenancy.platform, worker)
    assert not later(engine_tenancy, 0)


def test_jobs_that_were_never_dispatched_raise_no_alarm(
    engine_tenancy: Tenancy, pooled_tenant: UUID, worker: UUID
) -> None:
    """A limit or a pause holds them back, so nobody could have claimed them."""
    submit_pings(engine_tenancy, pooled_tenant, 3)
    assert not any(later(engine_tenancy, DEAF_SECONDS) for _ in range(3))


def test_what_is_cancelled_before_its_claim_leaves_no_alarm_behind(
    engine_tenancy: Tenancy, pooled_tenant: UUID, worker: UUID
) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch(engine_tenancy, 2)
    later(engine_tenancy, 0)
    engine_tenancy.platform.fetch("UPDATE jobs SET state = 'cancelled'", {})
    later(engine_tenancy, 10)
    submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch(engine_tenancy, 2)
    assert not later(engine_tenancy, DEAF_SECONDS - 5)


def test_a_paused_queue_raises_no_alarm(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, pooled_tenant: UUID, worker: UUID
) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch(engine_tenancy, 2)
    later(engine_tenancy, 0)
    pause(web_tenancy.platform, Scope.QUEUE, "default", by="user:test")
    assert not later(engine_tenancy, DEAF_SECONDS)


def test_workers_with_no_free_slot_are_busy_not_deaf(
    engine_tenancy: Tenancy, pooled_tenant: UUID, worker: UUID
) -> None:
    jobs = submit_pings(engine_tenancy, pooled_tenant, 3)
    for job_id in jobs[:2]:
        dispatch_and_claim(engine_tenancy, job_id, lease=600)
    engine_tenancy.platform.fetch("UPDATE jobs SET worker_id = %(id)s WHERE state = 'running'", {"id": worker})
    dispatch(engine_tenancy, 4)
    beat(engine_tenancy, worker)
    assert not later(engine_tenancy, 0)
    assert not later(engine_tenancy, DEAF_SECONDS)


@pytest.mark.parametrize("change", ["stopping = true", "heartbeat_at = now() - interval '1 minute'"])
def test_workers_that_are_gone_or_leaving_are_not_deaf(
    engine_tenancy: Tenancy, pooled_tenant: UUID, worker: UUID, change: str
) -> None:
    submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch(engine_tenancy, 2)
    later(engine_tenancy, 0)
    engine_tenancy.platform.fetch(f"UPDATE workers SET {change}", {})  # type: ignore[arg-type]  # ours
    assert not later(engine_tenancy, DEAF_SECONDS)


def test_a_heartbeat_tells_what_the_worker_runs_and_keeps_its_last_claim(
    engine_tenancy: Tenancy, web_tenancy: Tenancy, pooled_tenant: UUID, worker: UUID
) -> None:
    (job_id,) = submit_pings(engine_tenancy, pooled_tenant, 1)
    dispatch_and_claim(engine_tenancy, job_id)
    engine_tenancy.platform.fetch(
        "UPDATE jobs SET worker_id = %(id)s, progress_done = 3, progress_message = 'half'", {"id": worker}
    )
    beat(engine_tenancy, worker)
    (busy,) = fleet.workers(web_tenancy.platform)
    assert (busy.running, [(job.id, job.tenant_id, job.done, job.total, job.message) for job in busy.jobs]) == (
        1, [(job_id, pooled_tenant, 3, None, "half")]
    )  # fmt: skip
    engine_tenancy.platform.fetch("DELETE FROM jobs", {})
    beat(engine_tenancy, worker)
    (idle,) = fleet.workers(web_tenancy.platform)
    assert (idle.running, idle.jobs, idle.last_claim_at) == (0, [], busy.last_claim_at)
    assert busy.last_claim_at is not None


def test_what_workers_run_is_for_operators_only(web_tenancy: Tenancy, engine_tenancy: Tenancy, worker: UUID) -> None:
    assert web_tenancy.platform.fetch("SELECT * FROM worker_jobs", {}) == []
    assert len(web_tenancy.platform.fetch("SELECT * FROM worker_jobs", {}, operator_scope())) == 1


def test_rates_follow_what_ended_since_the_last_measurement(engine_tenancy: Tenancy) -> None:
    platform = engine_tenancy.platform
    observe(platform, {"system.ping": Observed(10, 1.0, 2)}, {})
    measure(platform, QUEUES)
    for _ in range(40):  # two minutes of 5 per second
        observe(platform, {"system.ping": Observed(15, 1.5, 0), "search.query": Observed(1, 0.1, 1)}, {})
        platform.fetch("UPDATE kind_runtimes SET measured_at = measured_at - interval '3 seconds'", {})
        measure(platform, QUEUES)
    known = runtimes(platform)
    ping = known["system.ping"]
    assert (ping.runs, ping.failures, known["search.query"].failures) == (610, 2, 40)
    assert ping.rate_per_minute == pytest.approx(300, rel=0.1)
    assert queue_rates(known)["default"] == ping.rate_per_minute
    for _ in range(40):
        platform.fetch("UPDATE kind_runtimes SET measured_at = measured_at - interval '3 seconds'", {})
        measure(platform, QUEUES)
    assert runtimes(platform)["system.ping"].rate_per_minute < 10
