"""Workers whose parent beats while its pool is frozen: alive by their heartbeat, dead by what they do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID

import psutil
import pytest
from flask.testing import FlaskClient

from bench.engine import Engine, until
from config.settings import Settings
from jobs.backlog import DEAF_SECONDS
from tenancy.access import Tenancy
from tests.faults.conftest import state
from web.app import create_app

pytestmark = pytest.mark.faults


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    """The API, asked for its readiness."""
    app = create_app(settings)
    yield app.test_client()
    app.extensions["nexus.tenancy"].dispose()


def problem(client: FlaskClient) -> str | None:
    """What readiness says is wrong with the workers of `default`."""
    found: str | None = client.get("/health/ready").json["parts"]["workers:default"].get("problem")  # type: ignore[index]
    return found


def last_claim(tenancy: Tenancy) -> datetime | None:
    """When the worker last claimed, as its row says."""
    found: datetime | None = tenancy.platform.fetch("SELECT last_claim_at FROM workers", {})[0]["last_claim_at"]
    return found


def test_a_frozen_pool_raises_the_alarm_by_name_and_a_thawed_one_ends_it(
    engine: Engine, tenancy: Tenancy, client: FlaskClient, ping: Callable[..., UUID]
) -> None:
    engine.dispatcher()
    worker = engine.worker("default")
    first = ping()
    until(lambda: state(tenancy, first) == "succeeded", 30, "a job while all is well")
    until(lambda: problem(client) is None, 10, "no alarm")
    # It ran for less time than passes between two heartbeats, so the process that claimed it tells.
    until(lambda: last_claim(tenancy) is not None, 5, "word of the claim")
    pool = [child.pid for child in psutil.Process(worker.pid).children()]
    for pid in pool:
        os.kill(pid, signal.SIGSTOP)
    try:
        job = ping()
        took = until(lambda: problem(client) == "no_claims", DEAF_SECONDS + 25, "the alarm", pause=0.2)
        answer = client.get("/health/ready").json
    finally:
        for pid in pool:
            os.kill(pid, signal.SIGCONT)
    assert took > DEAF_SECONDS - 5
    assert answer is not None
    assert answer["status"] == "unready"
    assert answer["parts"]["workers:default"]["age_seconds"] < 15
    until(lambda: problem(client) is None, 20, "the end of the alarm", pause=0.2)
    assert state(tenancy, job) == "succeeded"
