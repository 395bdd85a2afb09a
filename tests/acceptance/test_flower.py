"""Flower shows the truth, to those who have the password, and lets nobody do anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cli.processes import PlatformProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("platform")]


@pytest.fixture
def operator(platform: PlatformProcess) -> tuple[str, str]:
    """Flower's user and password."""
    return "operator", (Path(platform.home) / "secrets" / "FLOWER_PASSWORD").read_text().strip()


@pytest.fixture
def api(platform: PlatformProcess) -> Iterator[httpx2.Client]:
    """The administrator in the operator's tenant."""
    with httpx2.Client(base_url=f"{platform.base_url}/api/v1", timeout=40) as client:
        account = {"email": "admin@example.com", "password": "correct horse battery"}
        client.headers["Authorization"] = f"Bearer {client.post('/auth/login', json=account).json()['access_token']}"
        (operators,) = [each for each in client.get("/tenants").json()["items"] if each["name"] == "Operator"]
        client.headers["X-Project-ID"] = operators["id"]
        yield client


def until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not show in time"
        time.sleep(0.2)
    return found


def test_without_the_password_there_is_nothing_to_see(platform: PlatformProcess) -> None:
    for path in ("/", "/tasks", "/api/tasks", "/api/workers"):
        assert httpx2.get(platform.flower_url + path, auth=("operator", "guess")).status_code == 401
        assert httpx2.get(platform.flower_url + path).status_code == 401


def test_a_job_shows_as_a_task_of_its_kind_with_its_outcome_and_ids_only(
    platform: PlatformProcess, operator: tuple[str, str], api: httpx2.Client
) -> None:
    done = api.post("/jobs?wait=20", json={"kind": "system.ping", "payload": {"message": "a private word"}}).json()
    assert done["state"] == "succeeded"

    def shown() -> Any:
        return httpx2.get(f"{platform.flower_url}/api/tasks", auth=operator).json().get(f"{done['id']}.1")

    task = until(lambda: (found := shown()) and found.get("state") == "SUCCESS" and found)
    assert (task["name"], task["args"]) == ("system.ping", f"({done['id']})")
    page = httpx2.get(f"{platform.flower_url}/task/{done['id']}.1", auth=operator).text
    assert "private" not in page
    assert "private" not in str(task)


def test_a_failed_attempt_shows_as_a_failed_task_and_its_retry_as_another(
    platform: PlatformProcess, operator: tuple[str, str], api: httpx2.Client
) -> None:
    config = api.get("/llm/config")
    changed = api.put(
        "/llm/config",
        json={"provider": "openai", "api_key": "sk-nobody-has-this-key"},
        headers={"If-Match": config.headers["ETag"]},
    )
    assert changed.status_code == 200, changed.text
    job = api.post("/llm/completions", json={"messages": [{"role": "user", "content": "Hello"}]}).json()

    def state(attempt: int) -> Any:
        tasks = httpx2.get(f"{platform.flower_url}/api/tasks", auth=operator).json()
        return tasks.get(f"{job['id']}.{attempt}", {}).get("state")

    until(lambda: state(1) == "FAILURE")
    until(lambda: state(2) in {"RECEIVED", "STARTED", "FAILURE"})
    api.post(f"/jobs/{job['id']}/cancel")
    api.put("/llm/config", json={"provider": "nexus"}, headers={"If-Match": changed.headers["ETag"]})


def test_nothing_can_be_done(platform: PlatformProcess, operator: tuple[str, str]) -> None:
    worker = next(iter(until(lambda: httpx2.get(f"{platform.flower_url}/api/workers?refresh=1", auth=operator).json())))
    for path in (
        f"/api/worker/shutdown/{worker}",
        f"/api/worker/pool/grow/{worker}",
        "/api/task/async-apply/system.ping",
        "/api/task/revoke/anything",
    ):
        answer = httpx2.post(platform.flower_url + path, auth=operator, json={"args": []})
        assert answer.status_code == 403, path
