"""The API as the command line uses it: JSON in and out, problems as `Problem`, a dead server as `Unreachable`.

Only connecting is retried: a request that may have reached the server is not sent twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

import httpx2

from cli.errors import CommandFailed, Problem, TimedOut, Unreachable

CONNECT_SECONDS, READ_SECONDS = 5.0, 40.0
"""Reading takes longer than the longest wait that the API grants (30 s)."""
SILENCE_SECONDS = 20.0
"""An event stream that says nothing for so long is dead: the API sends a heartbeat every 15 s."""
CONNECT_RETRIES = 2
LARGEST_EVENT = 16_777_216
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API answered; `body` is the decoded JSON, None if there was none."""

    status: int
    body: Any
    headers: Mapping[str, str]


class NoEventStream(CommandFailed):
    """The server, or something before it, does not stream events."""


class Client:
    """Speaks with the API at `url` (its root, as `http://127.0.0.1:8000`).

    `credential` is an API key or an access token; `tenant` selects the tenant for a token. With a `deadline`
    (`time.monotonic()`), no request lasts longer, and none begins after it: that raises `TimedOut`.
    """

    def __init__(
        self,
        url: str,
        *,
        credential: str | None = None,
        tenant: str | None = None,
        deadline: float | None = None,
        transport: httpx2.BaseTransport | None = None,
    ):
        self.url = url.rstrip("/")
        self.deadline = deadline
        self._credential, self._transport = credential, transport
        headers = {"Accept": "application/json, application/problem+json"}
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential}"
        if tenant is not None:
            headers["X-Project-ID"] = tenant
        try:
            host = urlsplit(self.url).hostname
            self._http = httpx2.Client(
                base_url=self.url,
                headers=headers,
                transport=transport or httpx2.HTTPTransport(retries=CONNECT_RETRIES),
                trust_env=host not in LOOPBACK,  # a proxy is no way to our own machine
            )
        except (ValueError, httpx2.InvalidURL, UnicodeError):
            raise CommandFailed(f"{url!r} is no address; give one such as https://nexus.example.com") from None
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise CommandFailed(f"{url!r} is no address; it begins with http:// or https://")

    def within(self, tenant: str) -> Client:
        """Another client with the same credential that selects this tenant."""
        return Client(
            self.url, credential=self._credential, tenant=tenant, deadline=self.deadline, transport=self._transport
        )

    def get(self, path: str, **parameters: Any) -> Any:
        """The body of `GET path`; parameters that are None are left out."""
        return self.send("GET", path, parameters=parameters).body

    def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """The body of `POST path`."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self.send("POST", path, body=body, headers=headers).body

    def send(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request below the root (`/api/v1/…`, `/metrics`). Raises `Problem`, `Unreachable` or `TimedOut`."""
        sent = dict(headers or {})
        if body is not None:
            content = json.dumps(body, allow_nan=False).encode()
            sent.setdefault("Content-Type", "application/json")
        query = {name: value for name, value in (parameters or {}).items() if value is not None}
        timeout = httpx2.Timeout(self._at_most(READ_SECONDS), connect=self._at_most(CONNECT_SECONDS))
        try:
            response = self._http.request(method, path, params=query, content=content, headers=sent, timeout=timeout)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from None
        return _reply(response)

    def download(self, path: str, file: BinaryIO) -> int:
        """Write the body of `GET path` into `file` as it comes; returns its bytes. Raises as `send`."""
        timeout = httpx2.Timeout(self._at_most(READ_SECONDS), connect=self._at_most(CONNECT_SECONDS))
        written = 0
        try:
            with self._http.stream("GET", path, headers={"Accept": "*/*"}, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    _reply(response)
                for chunk in response.iter_bytes():
                    written += file.write(chunk)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from None
        return written

    def upload(self, path: str, file: BinaryIO) -> Any:
        """The body of `POST path` with the file as it is. Raises as `send`."""
        timeout = httpx2.Timeout(None, connect=self._at_most(CONNECT_SECONDS))
        headers = {"Content-Type": "application/octet-stream"}
        try:
            response = self._http.post(
                path, content=iter(lambda: file.read(65_536), b""), headers=headers, timeout=timeout
            )
        except httpx2.TransportError as error:
            raise self._unreachable(error) from None
        return _reply(response).body

    @contextmanager
    def events(self, path: str, last_event_id: str | None = None) -> Iterator[Iterator[httpx2.ServerSentEvent]]:
        """The event stream at `path`, after the event `last_event_id`. Raises as `send`, and `NoEventStream`."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        timeout = httpx2.Timeout(self._at_most(SILENCE_SECONDS), connect=self._at_most(CONNECT_SECONDS))
        try:
            with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    _reply(response)
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise NoEventStream("The server sends no events.")
                yield iter(httpx2.EventSource(response, LARGEST_EVENT))
        except httpx2.TransportError as error:
            raise self._unreachable(error) from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _at_most(self, seconds: float) -> float:
        if self.deadline is None:
            return seconds
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimedOut("The time is up.")
        return min(seconds, max(left, 0.05))

    def _unreachable(self, error: httpx2.TransportError) -> CommandFailed:
        if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
            return CommandFailed(f"{self.url}: this request cannot be sent: {error}")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return TimedOut("The time is up.")
        reason = (
            "no answer in time" if isinstance(error, httpx2.TimeoutException) else str(error) or type(error).__name__
        )
        return Unreachable(f"{self.url} cannot be reached: {reason}")


def _reply(response: httpx2.Response) -> Reply:
    body: Any = None
    if response.content:
        try:
            body = response.json()
        except ValueError:
            body = response.text
    if response.is_success:
        return Reply(response.status_code, body, response.headers)
    problem = body if isinstance(body, dict) else {"detail": f"{response.request.url} answered {response.status_code}"}
    raise Problem(response.status_code, problem, response.headers.get("retry-after"))
