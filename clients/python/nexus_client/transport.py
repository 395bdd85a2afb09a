"""Requests and their safe repetition.

What changes nothing may be repeated, and so may what carries an `Idempotency-Key`: the platform answers it with the first
one's outcome. Such requests are repeated after a broken connection, 429, 502, 503 and 504, with growing pauses and at least
the `Retry-After` that came. Anything else is sent again only where it cannot have arrived, or was refused with 429.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx2

from nexus_client.errors import NexusError, Problem, Unreachable, problem
from nexus_client.streams import Event, StreamOver, read_events

ATTEMPTS = 5
LONGEST_PAUSE = 20.0
"""Seconds between two tries at most; an API that asks for a longer pause is left alone and its answer raised."""

_PASSING = frozenset({429, 502, 503, 504})
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class Answer(dict[str, Any]):
    """A JSON object as it came, which knows its entity tag."""

    etag: str | None = None


def etag_of(read: Mapping[str, Any] | str) -> str:
    """The entity tag of something that was read with this client, or the tag itself.

    Raises `NexusError` if it has none: only what is changed with `if_match` has one, and a copy does not keep it.
    """
    tag = read if isinstance(read, str) else getattr(read, "etag", None)
    if not tag:
        raise NexusError(
            "There is no entity tag: pass what a get_… method returned, unchanged in type, or the tag itself."
        )
    return str(tag)


def segment(value: object) -> str:
    """A value as one segment of a path."""
    return quote(str(value), safe="")


class Transport:
    """Sends requests to one platform with one credential. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        credential: str | None,
        tenant: str | None,
        *,
        attempts: int = ATTEMPTS,
        http: httpx2.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.headers = {"Accept": "application/json, */*;q=0.5", "User-Agent": "nexus-client/0.1"}
        if credential is not None:
            self.headers["Authorization"] = f"Bearer {credential}"
        if tenant is not None:
            self.headers["X-Project-ID"] = tenant
        self.url = url.rstrip("/")
        self.attempts = attempts
        self.sleep = sleep
        self.http = http or httpx2.Client(timeout=httpx2.Timeout(45.0, connect=5.0))

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        content: bytes | None = None,
        if_match: Mapping[str, Any] | str | None = None,
        keyed: bool = False,
        idempotency_key: str | None = None,
    ) -> Any:
        """The decoded answer: JSON, bytes of anything else, None for nothing. Raises `Problem` and `Unreachable`.

        `keyed` says that the operation honours an `Idempotency-Key`; without one of the caller's, one is made.
        """
        headers = dict(self.headers)
        if keyed:
            headers["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        if if_match is not None:
            headers["If-Match"] = etag_of(if_match)
        if content is not None:
            headers["Content-Type"] = "application/octet-stream"
        request = self.http.build_request(
            method, self.url + path, params=_given(query), json=body, content=content, headers=headers
        )
        return self._repeated(lambda: _decoded(self.http.send(request)), repeatable=method == "GET" or keyed)

    def stream(self, path: str, until: Callable[[Event], bool]) -> Iterator[Event]:
        """Server-sent events from `path` until one that is the last; a connection that ends or breaks is taken up where it was."""
        last = ""
        failures = 0
        while True:
            headers = {**self.headers, "Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
            try:
                for event in read_events(self.http, self.url + path, {}, headers, _raise_for):
                    failures, last = 0, event.id or last
                    yield event
                    if until(event):
                        return
            except StreamOver:
                return
            except httpx2.TransportError as error:
                failures += 1
                if failures >= self.attempts:
                    raise Unreachable(f"{self.url}: {_reason(error)}") from error
            except Problem as refused:
                failures += 1
                if refused.status not in _PASSING or failures >= self.attempts:
                    raise
            self.sleep(_pause(failures, None))

    def _repeated(self, attempt: Callable[[], Any], *, repeatable: bool) -> Any:
        for number in range(1, self.attempts + 1):
            asked: float | None = None
            try:
                return attempt()
            except Problem as refused:
                asked = refused.retry_after
                passing = refused.status == 429 or (
                    repeatable and (refused.status in _PASSING or refused.code == "idempotency_in_progress")
                )
                if not passing or number == self.attempts or (asked or 0.0) > LONGEST_PAUSE:
                    raise
            except httpx2.TransportError as error:
                if number == self.attempts or not (repeatable or isinstance(error, _NEVER_SENT)):
                    raise Unreachable(f"{self.url}: {_reason(error)}") from error
            self.sleep(_pause(number, asked))
        raise AssertionError("unreachable: the last attempt returns or raises")


def _pause(number: int, asked: float | None) -> float:
    """Seconds before the next try: up to 0.2 s, then twice as long each time, and at least what was asked for."""
    grown: float = min(LONGEST_PAUSE, 0.2 * 2.0**number)
    return max(asked or 0.0, random.uniform(grown / 2, grown))  # noqa: S311 - it spreads tries, it hides nothing


def _given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value is not None}


def _decoded(response: httpx2.Response) -> Any:
    _raise_for(response)
    if response.status_code == 204 or not response.content:
        return None
    if "json" not in response.headers.get("content-type", "") or "ndjson" in response.headers["content-type"]:
        return response.content
    found = response.json()
    if not isinstance(found, dict):
        return found
    answer = Answer(found)
    answer.etag = response.headers.get("etag")
    return answer


def _raise_for(response: httpx2.Response) -> None:
    if response.is_success:
        return
    try:
        body = response.json()
    except ValueError:
        body = {"detail": response.text[:500]}
    after = response.headers.get("retry-after", "")
    raise problem(response.status_code, body, float(after) if after.isdigit() else None)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
