"""Faults that only RabbitMQ knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from bench import brokers
from bench.engine import Engine, until
from bench.rabbitmq import PrivateRabbitMQ
from tenancy.access import Tenancy
from tests.brokers import Broker
from tests.faults.conftest import register_worker, state
from tests.faults.test_broker import rounds
from workers.dispatcher import Leader

pytestmark = [pytest.mark.faults, pytest.mark.only_rabbitmq]


@pytest.fixture
def impatient(rabbitmq: PrivateRabbitMQ, broker: Broker) -> Iterator[None]:
    """A RabbitMQ that closes the channel of a worker which has not acknowledged a message for a second."""
    rabbitmq.control("eval", _set_timeouts(1_000, 500))
    yield
    rabbitmq.control("eval", _set_timeouts(1_800_000, 60_000))


def _set_timeouts(consumer: int, tick: int) -> str:
    values = {"consumer_timeout": consumer, "channel_tick_interval": tick}
    return ", ".join(f"application:set_env(rabbit, {name}, {value})" for name, value in values.items()) + "."


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_job_that_takes_longer_than_rabbitmq_waits_for_its_acknowledgement_runs_once(
    engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID], pool: str
) -> None:
    engine.dispatcher()
    engine.worker("default", pool=pool, concurrency=1)
    job_id, behind = ping(seconds=5.0), ping()
    until(lambda: state(tenancy, job_id) == "succeeded", 30, "the long job")
    until(lambda: state(tenancy, behind) == "succeeded", 30, "the job behind it")
    assert "PRECONDITION_FAILED" in engine.log("worker")
    rows = tenancy.platform.fetch("SELECT attempt, state FROM jobs", {})
    assert [(row["attempt"], row["state"]) for row in rows] == [(1, "succeeded")] * 2


def test_a_leader_whose_broker_hangs_goes_on_healing(
    leader: Leader, tenancy: Tenancy, rabbitmq: PrivateRabbitMQ, ping: Callable[..., UUID]
) -> None:
    """The connection stands and nothing answers: worse than a broker that is away."""
    register_worker(tenancy, "default")
    rounds(leader, 0.2)
    ping()
    rounds(leader, 0.2)
    rabbitmq.freeze()
    job_id = ping()
    oldest = 0.0
    ends_at = time.monotonic() + 8
    while time.monotonic() < ends_at:
        leader.round()
        age = tenancy.platform.fetch(
            "SELECT extract(epoch FROM clock_timestamp() - heartbeat_at) AS age FROM leaders", {}
        )
        oldest = max(oldest, float(age[0]["age"]))
    assert oldest < 5
    assert state(tenancy, job_id) == "queued"
    rabbitmq.thaw()
    rounds(leader, 3.0)
    assert state(tenancy, job_id) == "dispatched"


def test_a_queue_that_somebody_deleted_is_made_again(
    leader: Leader, tenancy: Tenancy, broker: Broker, ping: Callable[..., UUID]
) -> None:
    register_worker(tenancy, "default")
    rounds(leader, 0.1)
    ping()
    rounds(leader, 0.2)
    brokers.delete_queues(broker.url)
    rounds(leader, 6.0)
    assert brokers.waiting(broker.url) == 1
