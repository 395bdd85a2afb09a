"""Dispatchers that are killed: one leads, another stands by, and what the dead one left half done is finished."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from uuid import UUID

import pytest

from bench.engine import Engine, until
from jobs.dispatch import Pool, Scheduler
from tenancy.access import Tenancy
from tests.faults.conftest import register_worker, state
from workers.dispatcher import Leader

pytestmark = pytest.mark.faults


def leading(tenancy: Tenancy) -> int | None:
    """Process id of the leader, by its heartbeat."""
    rows = tenancy.platform.fetch("SELECT holder FROM leaders WHERE heartbeat_at > now() - interval '3 seconds'", {})
    return int(rows[0]["holder"].rpartition(":")[2]) if rows else None


def test_one_of_two_dispatchers_leads_and_the_other_takes_over_within_two_seconds(
    engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    processes = {process.pid: process for process in (engine.dispatcher(), engine.dispatcher())}
    until(lambda: leading(tenancy) in processes, 20, "a leader")
    until(lambda: engine.log("dispatcher").count("dispatcher.leading") == 1, 5, "one leader's word")
    until(lambda: holders(tenancy) == 1 and waiting(tenancy) == 2, 20, "the standby's connection")
    first = leading(tenancy)
    assert first is not None
    register_worker(tenancy, "default")
    engine.kill(processes.pop(first))
    took = until(lambda: leading(tenancy) in processes, 5, "the standby's lead")
    job_id = ping()
    took += until(lambda: state(tenancy, job_id) == "dispatched", 5, "the standby's first job")
    assert took < 2
    assert engine.log("dispatcher").count("dispatcher.leading") == 2


def test_a_leader_killed_between_marking_and_publishing_loses_nothing(
    engine: Engine, leader: Leader, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    job_id = ping()
    assert [each.id for each in Scheduler().pick(tenancy.platform, [Pool(("default",), 1)], {})] == [job_id]
    engine.worker("default")
    engine.dispatcher()
    until(lambda: state(tenancy, job_id) == "succeeded", 25, "the job whose message was never sent")


@pytest.mark.timeout(120)
def test_a_frozen_leader_makes_room_and_does_no_harm_when_it_wakes(
    engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID]
) -> None:
    processes = {process.pid: process for process in (engine.dispatcher(), engine.dispatcher())}
    until(lambda: leading(tenancy) in processes, 20, "a leader")
    until(lambda: holders(tenancy) == 1 and waiting(tenancy) == 2, 20, "the standby's connection")
    first = leading(tenancy)
    assert first is not None
    engine.worker("default")
    ids = [ping(seconds=0.05) for _ in range(40)]
    until(lambda: state(tenancy, ids[0]) == "succeeded", 20, "the first job")
    os.kill(first, signal.SIGSTOP)
    try:
        took = until(lambda: leading(tenancy) in processes.keys() - {first}, 20, "the standby's lead")
        ids += [ping() for _ in range(20)]
        until(lambda: all(state(tenancy, job_id) == "succeeded" for job_id in ids), 20, "all jobs")
    finally:
        os.kill(first, signal.SIGCONT)
    assert took < 15
    until(lambda: engine.log("dispatcher").count("dispatcher.leadership_lost") == 1, 5, "the old leader's notice")
    until(lambda: waiting(tenancy) == 2, 5, "the old leader standing by")
    ids += [ping() for _ in range(20)]
    until(lambda: all(state(tenancy, job_id) == "succeeded" for job_id in ids), 20, "the last jobs")
    assert leading(tenancy) != first
    assert engine.log("dispatcher").count("dispatcher.leading") == 2
    assert tenancy.platform.fetch("SELECT DISTINCT attempt FROM jobs", {}) == [{"attempt": 1}]


def holders(tenancy: Tenancy) -> int:
    """Sessions that hold the dispatchers' lock."""
    rows = tenancy.platform.fetch(
        "SELECT count(*) AS held FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND objid = (hashtext('nexus dispatcher')::bigint & 4294967295)::oid"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        {},
    )
    return int(rows[0]["held"])


def waiting(tenancy: Tenancy) -> int:
    """Dispatchers that have a connection of their own outside the pool: the leader and those that stand by."""
    rows = tenancy.platform.fetch(
        "SELECT count(*) AS dispatchers FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = '' AND usename = current_user",
        {},
    )
    return int(rows[0]["dispatchers"])
