"""What can go wrong: one base, a class for each way in which a program would react, and the API's stable code in each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class NexusError(Exception):
    """Base of everything that this client raises."""


class Unreachable(NexusError):
    """No answer came, after all tries. Whether the request had its effect is known only if it may be repeated."""


class StillRunning(NexusError):
    """The time to wait is over and the job has not finished. It goes on; `job` is its last known state."""

    def __init__(self, job: Mapping[str, Any]):
        super().__init__(f"job {job['id']} is still {job['state']}")
        self.job = job


class JobDidNotSucceed(NexusError):
    """The job failed or was cancelled. `code` says why (`provider_timeout`, `cancelled`, …), `job` is all of it."""

    def __init__(self, job: Mapping[str, Any]):
        error = job.get("error") or {}
        self.job = job
        self.code: str = error.get("code") or job["state"]
        super().__init__(f"job {job['id']} {job['state']}: {self.code}: {error.get('detail', '')}".rstrip(": "))


class Problem(NexusError):
    """The API refused: `application/problem+json` (RFC 9457). Decide by `code`, which is stable; show `detail`.

    `errors` names the fields (`pointer`, `code`, `detail`); `trace_id` finds the request in the platform's logs;
    `retry_after` is in seconds, where the API named a time.
    """

    def __init__(self, status: int, body: Mapping[str, Any], retry_after: float | None = None):
        self.status = status
        self.code: str = body.get("code") or f"http_{status}"
        self.title: str = body.get("title") or ""
        self.detail: str = body.get("detail") or self.title
        self.errors: list[dict[str, Any]] = body.get("errors") or []
        self.trace_id: str | None = body.get("trace_id")
        self.retry_after = retry_after
        fields = "".join(f"; {each.get('pointer')}: {each.get('detail')}" for each in self.errors)
        super().__init__(f"{status} {self.code}: {self.detail}{fields}")


class InvalidRequest(Problem):
    """400, 413, 415, 422 and the like: the request itself is wrong."""


class Unauthenticated(Problem):
    """401: no valid credential, or one that has expired."""


class PermissionDenied(Problem):
    """403: the caller lacks a permission."""


class NotFound(Problem):
    """404: there is no such thing in the caller's tenant."""


class Conflict(Problem):
    """409: the present state does not allow it; `code` says what stands against it."""


class PreconditionFailed(Problem):
    """412 and 428: it has changed since it was read, or `if_match` is missing. Read it again."""


class RateLimited(Problem):
    """429: too many requests, also after waiting as long as the API asked."""


class ServerFailed(Problem):
    """5xx: the platform could not answer, also after further tries."""


_BY_STATUS: dict[int, type[Problem]] = {
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    428: PreconditionFailed,
    429: RateLimited,
}


def problem(status: int, body: Any, retry_after: float | None) -> Problem:
    """The exception for an answer that is an error."""
    kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else InvalidRequest)
    return kind(status, body if isinstance(body, Mapping) else {}, retry_after)
