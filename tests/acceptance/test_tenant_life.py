"""A tenant of a running platform, exported, erased and restored from its export, over HTTP alone: equal row by row."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from bench.engine import until
from cli.processes import PlatformProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

IDENTITY = {"platform/roles.ndjson", "platform/role_permissions.ndjson", "platform/memberships.ndjson",
            "platform/membership_roles.ndjson"}  # fmt: skip
"""Merged with what a new tenant begins with."""


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory, platform_broker: Callable[[], dict[str, str]]
) -> Iterator[httpx2.Client]:
    """The administrator at a platform that erases at once."""
    variables = {"NEXUS_TENANT_GRACE_DAYS": "0", "NEXUS_ADMIN_PASSWORD": "correct horse battery", **platform_broker()}
    with (
        PlatformProcess(tmp_path_factory.mktemp("life") / "home", environment=variables) as platform,
        httpx2.Client(base_url=f"{platform.base_url}/api/v1", timeout=60) as client,
    ):
        body = {"email": "admin@example.com", "password": "correct horse battery"}
        token = client.post("/auth/login", json=body).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def finished(api: httpx2.Client, tenant_id: str, response: httpx2.Response) -> Any:
    """The job's result, once it has succeeded."""
    assert response.status_code in {200, 202}, response.text
    job = response.json()
    deadline = time.monotonic() + 120
    while job["state"] not in {"succeeded", "failed", "cancelled"}:
        assert time.monotonic() < deadline, job
        job = api.get(f"/jobs/{job['id']}", params={"wait": 10}, headers={"X-Project-ID": tenant_id}).json()
    assert job["state"] == "succeeded", job
    return job["result"]


def new_tenant(api: httpx2.Client, name: str) -> str:
    response = api.post("/tenants", json={"name": name, "tier": "dedicated"})
    tenant_id: str = response.json()["tenant_id"]
    finished(api, tenant_id, response)
    return tenant_id


def exported(api: httpx2.Client, tenant_id: str) -> bytes:
    """The tenant's archive."""
    archive = finished(api, tenant_id, api.post(f"/tenants/{tenant_id}/export"))
    response = api.get(f"/tenants/{tenant_id}/archives/{archive['id']}/content")
    assert response.status_code == 200
    return response.content


def rows_of(file: bytes) -> dict[str, list[Any]]:
    """Every row of an archive, by its file."""
    with zipfile.ZipFile(io.BytesIO(file)) as opened:
        return {
            name: [json.loads(line)["row"] for line in opened.read(name).splitlines()]
            for name in opened.namelist()
            if name.endswith(".ndjson") and name.partition("/")[0] in {"platform", "tenant"}
        }


def test_a_tenant_that_is_exported_erased_and_restored_is_equal_row_by_row(api: httpx2.Client) -> None:
    first = new_tenant(api, "Acme")
    inside = {"X-Project-ID": first}
    for number in range(25):
        api.put(f"/search/documents/{number}", json={"title": f"Title {number}", "body": "Grüße, 東京"}, headers=inside)
    schedule = {"name": "daily", "kind": "system.ping", "payload": {"message": "s3cret"}, "cron": "0 6 * * *", "timezone": "UTC"}  # fmt: skip
    assert api.post("/schedules", json=schedule, headers=inside).status_code == 201
    for _ in range(3):
        finished(api, first, api.post("/jobs", params={"wait": 20}, json={"kind": "system.ping"}, headers=inside))
    until(lambda: not live(api, first), 60, "the end of the welcome")
    file = exported(api, first)

    finished(api, first, api.delete(f"/tenants/{first}"))
    until(lambda: api.get(f"/tenants/{first}").status_code == 404, 60, "the erasure")
    until(lambda: bool(certificates(api)), 60, "the certificate")
    [certificate] = certificates(api)
    assert certificate["tenant_id"] == first
    assert json.loads(certificate["statement"])["destroyed"]["database"]["documents"] == 25

    second = new_tenant(api, "Acme again")
    headers = {"Content-Type": "application/octet-stream"}
    brought = api.post(f"/tenants/{second}/archives", content=file, headers=headers)
    assert brought.status_code == 201, brought.text
    until(lambda: not live(api, second), 60, "the end of the second welcome")
    restored = api.post(f"/tenants/{second}/restore", json={"archive_id": brought.json()["id"]})
    finished(api, second, restored)

    before, after = rows_of(file), rows_of(exported(api, second))
    assert len(before["tenant/documents.ndjson"]) == 25
    assert len(before["platform/jobs.ndjson"]) >= 3
    assert {name: after[name] for name in after if name not in IDENTITY} == {
        name: before[name] for name in before if name not in IDENTITY
    }
    found = api.get("/schedules", headers={"X-Project-ID": second}).json()["items"][0]
    opened = api.get(f"/schedules/{found['id']}", headers={"X-Project-ID": second}).json()
    assert opened["payload"]["message"] == "s3cret", "what is sealed opens in the new tenant"


def certificates(api: httpx2.Client) -> list[Any]:
    """Those that operators see."""
    items: list[Any] = api.get("/admin/erasure-certificates").json()["items"]
    return items


def live(api: httpx2.Client, tenant_id: str) -> bool:
    """Whether the tenant has a job that is still to end."""
    jobs = api.get("/jobs", headers={"X-Project-ID": tenant_id}).json()["items"]
    return any(job["state"] not in {"succeeded", "failed", "cancelled"} for job in jobs)
