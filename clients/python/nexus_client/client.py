"""The client: the parts of the API, and what makes working with jobs short."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

import httpx2

from nexus_client.api import models
from nexus_client.api.resources import Resources
from nexus_client.errors import JobDidNotSucceed, StillRunning
from nexus_client.streams import FINISHED
from nexus_client.transport import ATTEMPTS, Transport

LONG_POLL_SECONDS = 30


class Client(Resources):
    """Speaks with the platform at `url` (its root, such as `http://127.0.0.1:8000`).

    `credential` is an API key or an access token. An API key carries its tenant; with a token, `tenant` selects one. `attempts`
    is how often a request is sent at most. Pass `http` for proxies, certificates or timeouts of your own.
    """

    def __init__(
        self,
        url: str,
        credential: str | None = None,
        *,
        tenant: str | None = None,
        attempts: int = ATTEMPTS,
        http: httpx2.Client | None = None,
    ):
        self._credential, self._attempts = credential, attempts
        super().__init__(Transport(url, credential, tenant, attempts=attempts, http=http))

    def within(self, tenant: str) -> Client:
        """A client with the same credential and connections that selects this tenant."""
        transport = self.transport
        return Client(transport.url, self._credential, tenant=tenant, attempts=self._attempts, http=transport.http)

    def signed_in(self, email: str, password: str, code: str | None = None) -> Client:
        """A client with the access token of a login. `code` is the second factor's. The token lives for 15 minutes."""
        login: models.Login = {"email": email, "password": password}
        if code is not None:
            login["code"] = code
        token = self.auth.login(login)["access_token"]
        transport = self.transport
        return Client(transport.url, token, attempts=self._attempts, http=transport.http)

    def wait(self, job: str | Mapping[str, Any], seconds: float | None = None) -> models.Job:
        """The finished job, however it ended. Waits by long polls.

        Raises `StillRunning` after `seconds`; None waits for ever.
        """
        job_id = job if isinstance(job, str) else job["id"]
        ends = None if seconds is None else time.monotonic() + seconds
        while True:
            left = LONG_POLL_SECONDS if ends is None else max(0.0, ends - time.monotonic())
            found = self.jobs.get_job(job_id, wait=min(LONG_POLL_SECONDS, int(left)))
            if found["state"] in FINISHED:
                return found
            if ends is not None and time.monotonic() >= ends:
                raise StillRunning(found)
            if left < 1:
                time.sleep(max(0.0, min(left, 0.2)))

    def result(self, job: str | Mapping[str, Any], seconds: float | None = None) -> Any:
        """What the job came to. Waits as `wait` does. Raises `JobDidNotSucceed` for one that failed or was cancelled."""
        finished = self.wait(job, seconds)
        if finished["state"] != "succeeded":
            raise JobDidNotSucceed(finished)
        return finished["result"]

    def run(self, kind: str, payload: dict[str, Any], *, seconds: float | None = None, key: str | None = None) -> Any:
        """Submit a job and give its result. With `key`, running it again gives the first one's."""
        return self.result(self.jobs.submit_job({"kind": kind, "payload": payload}, idempotency_key=key), seconds)

    def close(self) -> None:
        """Close the connections, also those of clients that `within` and `signed_in` made."""
        self.transport.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
