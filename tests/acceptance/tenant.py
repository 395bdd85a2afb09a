"""The platform's administrator within one tenant, over HTTP: how tests of a domain use a running platform."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx2

from bench.engine import until
from cli.processes import PlatformProcess


@contextmanager
def administrator(platform: PlatformProcess) -> Iterator[httpx2.Client]:
    """Signed in, outside any tenant."""
    with httpx2.Client(base_url=f"{platform.base_url}/api/v1", timeout=60) as client:
        body = {"email": "admin@example.com", "password": "correct horse battery"}
        client.headers["Authorization"] = f"Bearer {client.post('/auth/login', json=body).json()['access_token']}"
        yield client


class Tenant:
    """The administrator within one tenant."""

    def __init__(self, client: httpx2.Client, tenant_id: str):
        self._client = client
        self._headers = {"X-Project-ID": tenant_id}
        self.id = tenant_id

    @classmethod
    def create(cls, client: httpx2.Client, name: str) -> Self:
        """A new pooled tenant, when it is active."""
        made = client.post("/tenants", json={"name": name, "tier": "pooled"}).json()
        inside = cls(client, made["tenant_id"])
        until(lambda: bool(inside.get(f"/tenants/{inside.id}")["state"] == "active"), 120, "the tenant")
        return inside

    @classmethod
    def operator(cls, client: httpx2.Client) -> Self:
        """The operator's tenant."""
        (found,) = [each for each in client.get("/tenants").json()["items"] if each["name"] == "Operator"]
        return cls(client, found["id"])

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Any request within the tenant."""
        headers = {**self._headers, **options.pop("headers", {})}
        return self._client.request(method, path, headers=headers, **options)

    def put(self, path: str, body: Any) -> Any:
        """Replace what was just read."""
        tag = self.ask("GET", path).headers["ETag"]
        response = self.ask("PUT", path, json=body, headers={"If-Match": tag})
        assert response.status_code == 200, response.text
        return response.json()

    def get(self, path: str, **parameters: Any) -> Any:
        response = self._client.get(path, params=parameters, headers=self._headers)
        assert response.status_code == 200, response.text
        return response.json()

    def send(self, path: str, body: Any, **options: Any) -> httpx2.Response:
        return self._client.post(path, json=body, headers=self._headers, **options)

    def post(self, path: str, body: Any) -> Any:
        response = self.send(path, body)
        assert response.is_success, response.text
        return response.json()

    def done(self, path: str, body: Any) -> Any:
        """The result of the job that the request makes."""
        job, deadline = self.post(path, body), time.monotonic() + 120
        while job["state"] not in {"succeeded", "failed", "cancelled"}:
            assert time.monotonic() < deadline, job
            job = self.get(f"/jobs/{job['id']}", wait=10)
        assert job["state"] == "succeeded", job
        return job["result"]
