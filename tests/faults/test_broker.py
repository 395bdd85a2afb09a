"""What happens when the broker forgets, goes away or is full: nothing is lost, and nothing waits for its return."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

import pytest

from bench import brokers
from bench.engine import Engine, until
from jobs import reconcile
from tenancy.access import Tenancy
from tests.brokers import Broker, fill, make_room
from tests.faults.conftest import register_worker, state
from workers.dispatcher import Leader

pytestmark = pytest.mark.faults


def rounds(leader: Leader, seconds: float) -> None:
    """Lead for that long."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        leader.round()
        time.sleep(0.02)


def test_a_broker_that_lost_its_memory_gets_the_messages_again(
    leader: Leader, tenancy: Tenancy, broker: Broker, ping: Callable[..., UUID]
) -> None:
    register_worker(tenancy, "default")
    rounds(leader, 0.1)
    job_id = ping()
    rounds(leader, 0.2)
    assert state(tenancy, job_id) == "dispatched"
    assert brokers.waiting(broker.url) == 1
    brokers.flush(broker.url)
    rounds(leader, 4.0)
    assert brokers.waiting(broker.url) == 1
    assert state(tenancy, job_id) == "dispatched"


def test_a_lost_message_is_found_when_its_queue_is_empty(
    leader: Leader, tenancy: Tenancy, broker: Broker, ping: Callable[..., UUID]
) -> None:
    register_worker(tenancy, "default")
    rounds(leader, 0.1)
    job_id = ping()
    rounds(leader, 0.2)
    brokers.lose(broker.url, "default")
    rounds(leader, reconcile.UNCLAIMED_SECONDS + 2)
    assert brokers.waiting(broker.url) == 1
    assert state(tenancy, job_id) == "dispatched"


def test_a_lost_message_among_others_that_wait_is_found_by_its_age(
    leader: Leader, tenancy: Tenancy, broker: Broker, ping: Callable[..., UUID]
) -> None:
    register_worker(tenancy, "default")
    rounds(leader, 0.1)
    job_id = ping()
    rounds(leader, 0.2)
    brokers.lose(broker.url, "default")
    ping()
    rounds(leader, 0.2)
    assert brokers.waiting(broker.url) == 1
    tenancy.platform.fetch(
        "UPDATE jobs SET dispatched_at = now() - make_interval(secs => %(seconds)s) WHERE id = %(id)s",
        {"seconds": reconcile.STALE_DISPATCH_SECONDS + 1, "id": job_id},
    )
    rounds(leader, 1.5)
    assert brokers.waiting(broker.url) == 2
    assert state(tenancy, job_id) == "dispatched"


def test_a_message_that_waits_for_a_worker_is_not_sent_again(
    leader: Leader, tenancy: Tenancy, broker: Broker, ping: Callable[..., UUID]
) -> None:
    register_worker(tenancy, "default")
    rounds(leader, 0.1)
    ping()
    rounds(leader, reconcile.UNCLAIMED_SECONDS + 2)
    assert brokers.waiting(broker.url) == 1


def test_what_cannot_be_published_is_queued_again_and_published_when_the_broker_is_back(
    leader: Leader, tenancy: Tenancy, broker: Broker, ping: Callable[..., UUID]
) -> None:
    register_worker(tenancy, "default")
    rounds(leader, 0.1)
    broker.stop()
    job_id = ping()
    leader.round()
    assert state(tenancy, job_id) == "queued"
    broker.start()
    rounds(leader, 2.0)
    assert state(tenancy, job_id) == "dispatched"
    assert brokers.waiting(broker.url) >= 1


def test_a_full_broker_is_like_one_that_is_away(
    leader: Leader, tenancy: Tenancy, broker: Broker, ping: Callable[..., UUID]
) -> None:
    register_worker(tenancy, "default")
    rounds(leader, 0.1)
    fill(broker)
    try:
        job_id = ping()
        leader.round()
        assert state(tenancy, job_id) == "queued"
    finally:
        make_room(broker)
    rounds(leader, 1.0)
    assert state(tenancy, job_id) == "dispatched"
    assert brokers.waiting(broker.url) >= 1  # RabbitMQ may read in the end what it was sent in vain


def test_a_leader_without_a_broker_goes_on_healing(
    leader: Leader, tenancy: Tenancy, broker: Broker, ping: Callable[..., UUID]
) -> None:
    """Its heartbeat is what `/health/ready` calls a leader; expired leases do not wait for the broker either."""
    register_worker(tenancy, "default")
    rounds(leader, 0.1)
    broker.stop()
    ping()
    oldest = 0.0
    ends_at = time.monotonic() + 10
    while time.monotonic() < ends_at:
        leader.round()
        age = tenancy.platform.fetch(
            "SELECT extract(epoch FROM clock_timestamp() - heartbeat_at) AS age FROM leaders", {}
        )
        oldest = max(oldest, float(age[0]["age"]))
    assert oldest < 5


@pytest.mark.both_brokers
def test_jobs_finish_through_a_flush_and_a_restart_of_the_broker(
    engine: Engine, tenancy: Tenancy, broker: Broker, ping: Callable[..., UUID]
) -> None:
    engine.dispatcher()
    engine.worker("default")
    ids = [ping(seconds=0.05) for _ in range(60)]
    until(lambda: finished(tenancy) > 5, 20, "the first jobs")
    brokers.flush(broker.url)
    until(lambda: finished(tenancy) > 20, 25, "jobs after the flush")
    broker.stop()
    time.sleep(0.5)
    broker.start()
    until(lambda: finished(tenancy) == len(ids), 40, "jobs after the restart")
    rows = tenancy.platform.fetch("SELECT DISTINCT state, attempt FROM jobs", {})
    assert [(row["state"], row["attempt"]) for row in rows] == [("succeeded", 1)]


def finished(tenancy: Tenancy) -> int:
    """Jobs that have succeeded."""
    return int(tenancy.platform.fetch("SELECT count(*) AS jobs FROM jobs WHERE state = 'succeeded'", {})[0]["jobs"])
