"""What Flower shows of messages that carry many jobs, some of which fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, LiteralString
from uuid import UUID

import httpx2
import pytest

from bench.engine import Engine, until
from cli.processes import free_port
from jobs.runtimes import Observed, observe
from tenancy.access import Tenancy
from tests.faults.conftest import state

pytestmark = pytest.mark.faults


@pytest.fixture
def shown(engine: Engine) -> Callable[[], dict[str, Any]]:
    """Asks a real Flower for its tasks."""
    port = free_port()
    variables = {"FLOWER_PORT": str(port), "FLOWER_PASSWORD": "look", "NEXUS_HOST": "127.0.0.1"}
    engine.start("flower", (sys.executable, "-m", "workers.flower"), variables)

    def ask(path: str = "tasks") -> dict[str, Any]:
        answer = httpx2.get(f"http://127.0.0.1:{port}/api/{path}", params={"limit": 9000}, auth=("operator", "look"))
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def answers() -> bool:
        try:
            return ask() == {}
        except httpx2.TransportError:
            return False

    until(answers, 60, "Flower", 0.2)
    return ask


def test_a_message_shows_its_kind_and_count_and_each_job_that_failed_in_it_shows_as_a_task_of_its_own(
    engine: Engine, tenancy: Tenancy, ping: Callable[..., UUID], shown: Callable[[], dict[str, Any]]
) -> None:
    worker = engine.worker("default", concurrency=2)
    observe(tenancy.platform, {"system.ping": Observed(100, 0.1)}, {})  # known to be quick: its jobs travel together
    jobs = [ping() for _ in range(160)]
    good, bad = [*jobs[:70], *jobs[80:]], jobs[70:80]
    damage: LiteralString = r"UPDATE jobs SET payload_sealed = '\x00' WHERE id = ANY(%(ids)s)"
    tenancy.platform.fetch(damage, {"ids": bad})
    engine.dispatcher()
    until(lambda: all(state(tenancy, job_id) == "succeeded" for job_id in good), 60, "those that are sound", 0.2)

    def failed() -> set[str]:
        return {name for name, task in shown().items() if task["state"] == "FAILURE"}

    until(lambda: {f"{job_id}.1" for job_id in bad} <= failed(), 60, "those that are damaged", 0.2)
    tasks = shown()
    for job_id in bad:
        task = tasks[f"{job_id}.1"]
        assert (task["name"], task["args"]) == ("system.ping", f"({job_id})")
        assert task["exception"] == "JobFailed('handler_bug')"
        assert 0 <= task["runtime"] < 30
    messages = [task for task in tasks.values() if "more)" in (task["args"] or "")]
    assert messages, "no message carried several jobs"
    assert {task["name"] for task in messages} == {"system.ping"}
    succeeded = [task for task in messages if task["state"] == "SUCCESS"]
    assert all("'succeeded':" in task["result"] and task["runtime"] > 0 for task in succeeded)
    assert any(
        "jobs failed this attempt" in (task["exception"] or "") for task in messages if task["state"] == "FAILURE"
    )
    assert "message" not in str([task["args"] for task in tasks.values()])
    engine.stop(worker)
