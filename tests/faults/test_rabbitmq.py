"""Faults that only RabbitMQ knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from bench import brokers
from bench.engine import Engine, until
from bench.rabbitmq import PrivateRabbitMQ
from config.settings import Settings
from tenancy.access import Tenancy
from tests.brokers import Broker
from tests.faults.conftest import register_worker, state
from tests.faults.test_broker import finished, rounds
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


def test_jobs_on_quorum_queues_finish_through_a_purge_and_the_death_of_a_worker_and_of_the_broker(
    settings: Settings, rabbitmq: PrivateRabbitMQ, tenancy: Tenancy, ping: Callable[..., UUID], tmp_path: Path
) -> None:
    """Quorum queues count the prefetch per queue, so a worker may hold more than it has slots."""
    address = rabbitmq.virtual_host()
    changed = settings.model_copy(update={"broker_url": SecretStr(address), "broker_queues": "quorum"})
    with Engine(changed, tmp_path / "log") as engine:
        engine.dispatcher()
        victim = engine.worker("default", name="victim")
        engine.worker("default", "billing", name="survivor")
        ids = [ping(seconds=0.05) for _ in range(60)]
        until(lambda: finished(tenancy) > 5, 30, "the first jobs")
        assert "quorum" in rabbitmq.control("list_queues", "-p", address.rpartition("/")[2], "type")
        brokers.flush(address)
        until(lambda: finished(tenancy) > 20, 30, "jobs after the purge")
        engine.kill(victim)
        rabbitmq.stop()
        rabbitmq.start()
        until(lambda: finished(tenancy) == len(ids), 60, "jobs after the restart")


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
