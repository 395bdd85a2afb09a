"""The whole platform with RabbitMQ between dispatcher and workers, as a client and an operator meet it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from bench import brokers
from bench.engine import until
from bench.rabbitmq import PrivateRabbitMQ
from bench.tenant_client import TenantClient
from bench.victims import WORKER_CPU, WORKER_IO, find, kill
from cli.processes import PlatformProcess
from domain.ids import new_id

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("rabbitmq")]

RECOVERY_SECONDS = 90.0
"""A lease, a worker's start, and the longest pause between two tries of a worker to reach its broker, on a busy machine."""


@pytest.fixture(scope="module")
def broker_url(rabbitmq: PrivateRabbitMQ) -> str:
    return rabbitmq.virtual_host()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[PlatformProcess]:
    home = tmp_path_factory.mktemp("rabbitmq") / "home"
    with PlatformProcess(home, environment={"BROKER_URL": broker_url, "NEXUS_LOG_LEVEL": "warning"}) as platform:
        yield platform


@pytest.fixture(scope="module")
def client(platform: PlatformProcess) -> Iterator[TenantClient]:
    """A tenant of its own, provisioned by a job that went over RabbitMQ."""
    with TenantClient.create(platform.base_url) as client:
        yield client


def test_the_platform_is_ready_with_rabbitmq_beside_its_own_valkey(platform: PlatformProcess, broker_url: str) -> None:
    answer = httpx2.get(f"{platform.base_url}/health/ready")

    assert (answer.status_code, answer.json()["parts"]["broker"]["state"]) == (200, "up")
    assert platform.environment["BROKER_URL"] == broker_url
    assert platform.environment["REDIS_URL"].startswith("redis://")


def test_jobs_of_both_pools_run_and_flower_shows_them(platform: PlatformProcess, client: TenantClient) -> None:
    ping = client.post("/jobs", {"kind": "system.ping", "payload": {"message": "over AMQP"}}, str(new_id()))
    mail = {"to": "reader@example.com", "subject": "Over AMQP", "text": "Once."}
    message = client.post("/notifications/send", mail, str(new_id()))

    assert client.wait(UUID(ping["id"]), 20)["result"] == {"message": "over AMQP"}
    assert client.wait(UUID(message["id"]), 20)["attempt"] == 1
    password = (Path(platform.home) / "secrets" / "FLOWER_PASSWORD").read_text().strip()

    def shown() -> Any:
        tasks = httpx2.get(f"{platform.flower_url}/api/tasks", auth=("operator", password)).json()
        return {tasks.get(f"{job['id']}.1", {}).get("state") for job in (ping, message)}

    until(lambda: shown() == {"SUCCESS"}, 20, "both tasks in Flower", pause=0.2)


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_sent_twice_when_workers_die_queues_are_purged_and_rabbitmq_is_killed(
    platform: PlatformProcess, client: TenantClient, rabbitmq: PrivateRabbitMQ, broker_url: str
) -> None:
    ids: list[UUID] = []

    def submit(count: int) -> None:
        for number in range(count):
            mail = {"to": "reader@example.com", "subject": f"Number {number}", "text": "Once."}
            ids.append(UUID(client.post("/notifications/send", mail, str(new_id()))["id"]))
            ping = {"kind": "system.ping", "payload": {"seconds": 0.05}}
            ids.append(UUID(client.post("/jobs", ping, str(new_id()))["id"]))

    messages = len(list((platform.home / "outbox").glob("*.eml")))
    for victim in (WORKER_IO, WORKER_CPU):
        submit(15)
        kill(find(platform, victim))
    submit(15)
    brokers.flush(broker_url)
    submit(15)
    rabbitmq.stop()
    submit(15)
    rabbitmq.start()
    killed_at = time.monotonic()
    jobs = [client.wait(job_id, max(1.0, killed_at + RECOVERY_SECONDS - time.monotonic())) for job_id in ids]

    assert len(jobs) == 150
    assert len(list((platform.home / "outbox").glob("*.eml"))) - messages == 75
    assert max(job["attempt"] for job in jobs) <= 3
