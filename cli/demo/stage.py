"""What the parts of the demo share: where the platform is, who acts, how much time is left, and a place to say how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cli.client import Client
from cli.demo.state import DemoState
from cli.errors import CommandFailed, TimedOut
from cli.watch import Job, describe, follow, is_finished

T = TypeVar("T")

POLL_SECONDS = 0.25


class PartFailed(CommandFailed):
    """A part of the demo did not come out as it must."""

    exit_code = 1


class Tell(Protocol):
    """Shows how far a part is."""

    def __call__(self, text: str, /) -> None: ...


@dataclass
class Stage:
    """One run of the demo at `url`. `environment` is the running platform's, where its development secrets are."""

    url: str
    home: Path
    environment: Mapping[str, str]
    state: DemoState
    administrator: tuple[str, str] | None = None
    outside_vendors: bool = False
    access_token: str | None = None
    deadline: float | None = None
    said: str = ""
    _show: Tell = field(default=lambda text: None)
    _open: ExitStack = field(default_factory=ExitStack)

    def begin(self, seconds: float, tell: Tell) -> None:
        """A part begins that may take so many seconds."""
        self.deadline, self._show, self.said = time.monotonic() + seconds, tell, ""

    def tell(self, text: str) -> None:
        """Show how far the part is; the last word is also what is said when time runs out."""
        self.said = text
        self._show(text)

    def end(self) -> None:
        """The part is over: its connections are closed."""
        self._open.close()

    def anonymous(self) -> Client:
        """The API without credentials."""
        return self.client()

    def as_user(self, tenant: str | None = None) -> Client:
        """The API in the name of the demo's user."""
        if self.access_token is None:
            raise PartFailed("nobody is logged in")
        return self.client(credential=self.access_token, tenant=tenant)

    def as_tenant(self) -> Client:
        """The API within the demo's tenant, by its API key."""
        if self.state.api_key is None:
            raise PartFailed("there is no API key")
        return self.client(credential=self.state.api_key)

    def log_in(self, email: str, password: str) -> str:
        """An access token. Raises `Problem` (`invalid_credentials`)."""
        tokens = self.anonymous().post("/api/v1/auth/login", {"email": email, "password": password})
        return str(tokens["access_token"])

    def finished(self, client: Client, job_id: str) -> Job:
        """The job when it has finished, telling how far it is meanwhile. Raises `TimedOut`."""
        try:
            for job in follow(client, job_id, outage_seconds=5.0):
                self.tell(describe(job))
                if is_finished(job):
                    return job
        except TimedOut:
            pass  # said below, with what the job was doing
        raise TimedOut(f"job {job_id} did not finish in time ({self.said})")

    def succeeded(self, client: Client, job_id: str) -> Any:
        """The result of a job that must succeed. Raises `PartFailed` with the job's error."""
        job = self.finished(client, job_id)
        if job["state"] != "succeeded":
            error = job["error"] or {}
            raise PartFailed(
                f"job {job_id} {job['state']}: {error.get('detail', '')} [{error.get('code', job['state'])}]"
            )
        return job["result"]

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """What `look` finds, looking again and again. Raises `TimedOut`, which names `what`."""
        while (found := look()) is None:
            if self.deadline is not None and time.monotonic() + POLL_SECONDS >= self.deadline:
                raise TimedOut(f"{what} did not come in time{f' ({self.said})' if self.said else ''}")
            time.sleep(POLL_SECONDS)
        return found

    def client(self, credential: str | None = None, tenant: str | None = None) -> Client:
        """The API with these credentials, closed when the part ends."""
        client = Client(self.url, credential=credential, tenant=tenant, deadline=self.deadline)
        return self._open.enter_context(client)
