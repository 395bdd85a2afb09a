"""Workers that are killed or frozen while they hold jobs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from sqlalchemy import select

from bench.engine import Engine, until
from config.settings import Settings
from domain.identity.principals import system
from jobs import reconcile
from jobs.queries import get
from jobs.rows import error_of
from jobs.submit import NewJob, submit
from models.tenant import Message, MessageAttempt
from tenancy.access import Tenancy
from tests.faults.conftest import state

pytestmark = pytest.mark.faults


def running(tenancy: Tenancy) -> list[UUID]:
    """Jobs that a worker holds."""
    return [row["id"] for row in tenancy.platform.fetch("SELECT id FROM jobs WHERE state = 'running'", {})]


@pytest.fixture
def dispatcher(engine: Engine) -> None:
    """A dispatcher that nobody kills."""
    engine.dispatcher()


@pytest.mark.usefixtures("dispatcher")
def test_the_jobs_of_a_killed_worker_run_again_after_their_lease(
    engine: Engine, tenancy: Tenancy, settings: Settings, ping: Callable[..., UUID]
) -> None:
    workers = [engine.worker("default", name=name) for name in ("first", "second")]
    until(lambda: len(tenancy.platform.fetch("SELECT 1 FROM workers", {})) == 2, 20, "both workers")
    ids = [ping(seconds=1.5) for _ in range(4)]
    until(lambda: len(running(tenancy)) == len(ids), 20, "all jobs running")
    hit = held_by(tenancy, workers[0].pid)
    assert len(hit) == 2
    engine.kill(workers[0])
    took = until(lambda: all(state(tenancy, job_id) == "succeeded" for job_id in ids), 25, "all jobs")
    assert took < settings.lease_seconds + 5 + 1.5
    rows = tenancy.platform.fetch("SELECT id, attempt, single FROM jobs WHERE id = ANY(%(ids)s)", {"ids": ids})
    assert {row["id"]: (row["attempt"], row["single"]) for row in rows} == {
        job_id: (2, True) if job_id in hit else (1, False) for job_id in ids
    }


def held_by(tenancy: Tenancy, pid: int) -> set[UUID]:
    """Jobs that the worker with that process id runs."""
    query = "SELECT j.id FROM jobs j JOIN workers w ON w.id = j.worker_id WHERE j.state = 'running' AND w.pid = %(pid)s"
    return {row["id"] for row in tenancy.platform.fetch(query, {"pid": pid})}


@pytest.mark.usefixtures("dispatcher")
def test_a_killed_pool_process_costs_its_own_jobs_one_attempt_and_no_others(
    engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    worker = engine.worker("default")
    ids = [ping(seconds=2.0) for _ in range(2)]
    until(lambda: len(running(tenancy)) == 2, 20, "both jobs running")
    os.kill(psutil.Process(worker.pid).children()[0].pid, signal.SIGKILL)
    until(lambda: all(state(tenancy, job_id) == "succeeded" for job_id in ids), 25, "both jobs")
    rows = tenancy.platform.fetch("SELECT attempt FROM jobs ORDER BY attempt", {})
    assert [row["attempt"] for row in rows] == [1, 2]


@pytest.mark.usefixtures("dispatcher")
def test_a_job_that_outlives_every_worker_ends_as_failed(
    engine: Engine, tenancy: Tenancy, tenant: UUID, ping: Callable[..., UUID]
) -> None:
    job_id = ping(seconds=60)
    tenancy.platform.fetch("UPDATE jobs SET max_attempts = 2", {})
    for attempt in (1, 2):
        worker = engine.worker("default")
        until(
            lambda attempt=attempt: attempt_of(tenancy, job_id) == attempt and running(tenancy) == [job_id],
            20,
            "it runs",
        )  # type: ignore[misc]
        engine.kill(worker)
    until(lambda: state(tenancy, job_id) == "failed", 20, "the end of poison")
    error = error_of(get(tenancy, tenant, job_id), tenancy.vault(tenant))
    assert error is not None
    assert error["code"] == "worker_lost"


@pytest.mark.usefixtures("dispatcher")
def test_a_frozen_worker_that_wakes_after_its_lease_changes_nothing(
    engine: Engine, tenancy: Tenancy, tenant: UUID, ping: Callable[..., UUID]
) -> None:
    frozen = engine.worker("default", name="frozen", concurrency=1)
    job_id = ping(seconds=1.0)
    until(lambda: running(tenancy) == [job_id], 20, "the job running")
    os.killpg(frozen.pid, signal.SIGSTOP)
    try:
        engine.worker("default", name="other", concurrency=1)
        until(lambda: state(tenancy, job_id) == "succeeded", 25, "the job elsewhere")
        before = dict(get(tenancy, tenant, job_id))
    finally:
        os.killpg(frozen.pid, signal.SIGCONT)
    until(lambda: "job.outcome_fenced" in engine.log("frozen"), 10, "the fenced outcome")
    assert dict(get(tenancy, tenant, job_id)) == before
    assert before["attempt"] == 2


@pytest.mark.usefixtures("dispatcher")
def test_messages_are_sent_once_while_workers_are_killed(
    engine: Engine, tenancy: Tenancy, tenant: UUID, settings: Settings
) -> None:
    worker = engine.worker("notifications", pool="threads", concurrency=4)
    ids = []
    for number in range(60):
        payload = {"to": "guest@example.com", "subject": f"Room {number}", "text": "Ready."}
        ids.append(submit(tenancy, NewJob("notification.deliver", payload, system("test", tenant))).id)
        if number in {20, 40}:
            until(lambda: bool(running(tenancy)), 20, "messages on their way")
            engine.kill(worker)
            worker = engine.worker("notifications", pool="threads", concurrency=4)
    until(lambda: all(state(tenancy, job_id) == "succeeded" for job_id in ids), 30, "all messages")
    assert sent(tenancy, tenant) == {job_id: ["succeeded"] for job_id in ids}
    outbox = settings.home / "outbox"
    assert {path.stem for path in mails(outbox)} >= {str(job_id) for job_id in ids}


def attempt_of(tenancy: Tenancy, job_id: UUID) -> int:
    """How many attempts of the job were started."""
    return int(tenancy.platform.fetch("SELECT attempt FROM jobs WHERE id = %(id)s", {"id": job_id})[0]["attempt"])


def mails(outbox: Path) -> list[Path]:
    """What lies in the outbox."""
    return list(outbox.glob("*.eml"))


def sent(tenancy: Tenancy, tenant: UUID) -> dict[UUID, list[str]]:
    """Of each message that is `sent`, the attempts that the provider took."""
    found: dict[UUID, list[str]] = {}
    with tenancy.session(tenant) as session:
        of_sent = (
            select(Message.id, MessageAttempt.state)
            .join(MessageAttempt, MessageAttempt.message_id == Message.id)
            .where(Message.status == "sent", MessageAttempt.state == "succeeded")
        )
        for message_id, attempt_state in session.execute(of_sent):
            found.setdefault(message_id, []).append(attempt_state)
    return found


@pytest.mark.both_brokers
@pytest.mark.usefixtures("dispatcher")
def test_a_busy_worker_takes_no_message_that_an_idle_one_could_run(
    engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    workers = [engine.worker("default", name=name, concurrency=1) for name in ("first", "second")]
    until(lambda: len(tenancy.platform.fetch("SELECT 1 FROM workers", {})) == 2, 20, "both workers")
    long = ping(seconds=20.0)
    until(lambda: running(tenancy) == [long], 20, "the long job running")
    for _ in range(4):
        quick = ping()
        took = until(lambda job_id=quick: state(tenancy, job_id) == "succeeded", 20, "a quick job")  # type: ignore[misc]
        assert took < reconcile.UNCLAIMED_SECONDS, "it waited behind the long one until it was taken for lost"
    assert running(tenancy) == [long]
    for worker in workers:  # they would finish the long job first
        engine.kill(worker)


@pytest.mark.usefixtures("dispatcher")
def test_a_worker_with_a_slow_job_takes_no_message_ahead(
    engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    busy = engine.worker("default", concurrency=1, name="busy")
    slow = ping(seconds=40)
    until(lambda: running(tenancy) == [slow], 20, "the slow job running")
    engine.worker("default", concurrency=1, name="free")
    workers = "SELECT count(*) AS workers FROM workers"
    until(lambda: tenancy.platform.fetch(workers, {})[0]["workers"] == 2, 20, "the second worker")
    quick = [ping() for _ in range(8)]
    until(lambda: all(state(tenancy, each) == "succeeded" for each in quick), 20, "the quick jobs")
    assert running(tenancy) == [slow]
    assert "requeued" not in engine.log("dispatcher")
    engine.kill(busy)


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_is_asked_to_stop_hands_back_what_takes_too_long(
    engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID], pool: str
) -> None:
    worker = engine.worker("default", concurrency=2, pool=pool, NEXUS_WORKER_STOP_SECONDS="1")
    slow = ping(seconds=60)
    until(lambda: running(tenancy) == [slow], 20, "the job running")
    started = time.monotonic()
    worker.terminate()
    until(lambda: running(tenancy) == [], 10, "the job handed back")
    assert time.monotonic() - started < 5
    assert attempt_of(tenancy, slow) == 0
    assert worker.wait(10) == 0
    other = engine.worker("default", concurrency=2, pool=pool)
    until(lambda: running(tenancy) == [slow], 20, "the job on another worker")
    engine.kill(other)


@pytest.mark.usefixtures("dispatcher")
def test_a_worker_that_is_asked_to_stop_finishes_what_it_holds(
    engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    worker = engine.worker("default", concurrency=1)
    job_id = ping(seconds=1.5)
    until(lambda: running(tenancy) == [job_id], 20, "the job running")
    started = time.monotonic()
    engine.stop(worker)
    assert state(tenancy, job_id) == "succeeded"
    assert attempt_of(tenancy, job_id) == 1
    assert time.monotonic() - started < 10
