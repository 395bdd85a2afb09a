"""A client of the API that does not give up: it repeats what got no answer, with the same idempotency key."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx2

from domain.ids import new_id

Hear = Callable[[str, float, httpx2.Response | httpx2.TransportError], None]
"""Told of each request, the moment it began (of the monotonic clock), and its answer or why there was none."""

PASSWORD = "a long passphrase for load"


class Refused(Exception):
    """The API answered with an error that repeating does not mend."""


@dataclass(slots=True)
class TenantClient:
    """Signed in with an API key of one tenant. Safe to share between threads. `hear` is told of every answer."""

    base_url: str
    http: httpx2.Client
    tenant_id: UUID
    repeated: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    hear: Hear | None = None

    @classmethod
    def create(cls, base_url: str, tier: str = "dedicated", seconds: float = 60.0, hear: Hear | None = None) -> Self:
        """Register a user, create a tenant and an API key; returns when the tenant is active."""
        http = httpx2.Client(base_url=f"{base_url}/api/v1", timeout=httpx2.Timeout(40.0, connect=5.0))
        client = cls(base_url, http, UUID(int=0), hear=hear)
        try:
            client._sign_up(tier, seconds)
        except BaseException:
            http.close()
            raise
        return client

    def _sign_up(self, tier: str, seconds: float) -> None:
        email = f"load-{new_id()}@example.com"
        self.post("/auth/register", {"email": email, "password": PASSWORD})
        login = self.post("/auth/login", {"email": email, "password": PASSWORD})
        self.headers = {"Authorization": f"Bearer {login['access_token']}"}
        created = self.post("/tenants", {"name": "Load", "tier": tier}, key=str(new_id()))
        self.tenant_id = UUID(created["tenant_id"])
        self.headers["X-Project-ID"] = created["tenant_id"]
        self.wait(UUID(created["id"]), seconds)
        scopes = ["job:create", "job:read", "notification:create", "notification:read",
                  "completion:create", "completion:read", "search:create", "search:read", "search_source:create",
                  "search_source:read", "document:create", "document:read"]  # fmt: skip
        key = self.post("/api-keys", {"name": "load", "scopes": scopes}, key=str(new_id()))
        self.headers = {"Authorization": f"Bearer {key['key']}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> Any:
        """POST; with an idempotency key also repeated when the answer did not come. Raises `Refused`."""
        headers = self.headers if key is None else {**self.headers, "Idempotency-Key": key}
        return self._request("POST", path, headers, body, repeat=key is not None)

    def get(self, path: str) -> Any:
        """GET, repeated when the answer did not come. Raises `Refused`."""
        return self._request("GET", path, self.headers, None, repeat=True)

    def look(self, path: str) -> Any:
        """GET, once; None if the answer did not come or is a server's error. Raises `Refused`."""
        try:
            response = self._send("GET", path, self.headers, None)
        except httpx2.TransportError:
            return None
        if response.status_code >= 500:
            return None
        return _body(response, f"GET {path}")

    def wait(self, job_id: UUID, seconds: float) -> Any:
        """The job once it has finished. Raises `Refused` if it did not succeed in time."""
        deadline = time.monotonic() + seconds
        while True:
            job = self.get(f"/jobs/{job_id}?wait=2")
            if job["state"] == "succeeded":
                return job
            if job["state"] in {"failed", "cancelled"} or time.monotonic() > deadline:
                raise Refused(f"job {job_id} is {job['state']}: {job['error']}")

    def _request(self, method: str, path: str, headers: dict[str, str], body: Any, *, repeat: bool) -> Any:
        deadline = time.monotonic() + 30
        while True:
            try:
                response = self._send(method, path, headers, body)
                if response.status_code < 500 and response.status_code != httpx2.codes.CONFLICT:
                    break
                problem = f"{response.status_code} {response.text[:300]}"
            except httpx2.TransportError as error:
                problem = type(error).__name__
            if not repeat or time.monotonic() > deadline:
                raise Refused(f"{method} {path}: {problem}")
            self.repeated += 1
            time.sleep(0.1)
        return _body(response, f"{method} {path}")

    def _send(self, method: str, path: str, headers: dict[str, str], body: Any) -> httpx2.Response:
        began = time.monotonic()
        answer: httpx2.Response | httpx2.TransportError
        try:
            answer = self.http.request(method, path, headers=headers, json=body)
        except httpx2.TransportError as error:
            answer = error
        if self.hear is not None:
            self.hear(f"{method} {path}", began, answer)
        if isinstance(answer, httpx2.TransportError):
            raise answer
        return answer


def _body(response: httpx2.Response, request: str) -> Any:
    if response.status_code >= 400:
        raise Refused(f"{request}: {response.status_code} {response.text[:300]}")
    return response.json()
