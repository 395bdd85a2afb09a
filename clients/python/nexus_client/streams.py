"""Server-sent events (HTML standard, section 9.2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

FINISHED = frozenset({"succeeded", "failed", "cancelled"})
SILENCE_SECONDS = 40.0
"""A stream that says nothing for so long is dead: the platform sends a heartbeat every 15 s."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name, its data as JSON, and its id, from which a stream can be taken up again."""

    name: str
    data: Any
    id: str


class StreamOver(Exception):
    """The platform says that nothing more will come."""


def job_finished(event: Event) -> bool:
    """Whether a job's stream ends with this event."""
    return event.name == "job" and event.data.get("state") in FINISHED


def completion_ended(event: Event) -> bool:
    """Whether a completion's stream ends with this event."""
    return event.name in {"completion", "error"}


def read_events(
    http: httpx2.Client,
    url: str,
    query: Mapping[str, Any],
    headers: Mapping[str, str],
    check: Callable[[httpx2.Response], None],
) -> Iterator[Event]:
    """The events of one connection. Ends when it does. `check` raises for an answer that is an error; 204 is `StreamOver`."""
    timeout = httpx2.Timeout(SILENCE_SECONDS, connect=5.0)
    with http.stream("GET", url, params=dict(query), headers=dict(headers), timeout=timeout) as response:
        if not response.is_success:
            response.read()
        check(response)
        if response.status_code == 204:
            raise StreamOver
        for sent in httpx2.EventSource(response, 16_777_216):
            if sent.data:
                yield Event(sent.event, json.loads(sent.data), sent.id)
