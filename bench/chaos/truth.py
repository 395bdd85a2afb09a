"""Whether the API says the truth: what a client may see of one job after another, and which answers a client may get.

A client does not see every move, so a state may follow another if `MOVES` lead there by any way. What has finished never
changes. An answer is the truth, or `503` as problem+json, or none at all, and the latter two only while a server is away.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from domain.jobs.states import MOVES, TERMINAL, JobState

GRACE_SECONDS = 20.0
"""How long after a server's return requests may still be answered as if it were away."""


def _reach(start: JobState) -> frozenset[JobState]:
    found: set[JobState] = {start}
    edge = {start}
    while edge:
        edge = {after for state in edge for after in MOVES[state]} - found
        found |= edge
    return frozenset(found)


REACHABLE: Mapping[JobState, frozenset[JobState]] = {state: _reach(state) for state in JobState}
"""From each state, those that a client may see later; itself among them."""


def untruth(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str | None:
    """What is wrong with a job as the API shows it, after it has shown it as `before`; None if nothing is."""
    state = JobState(now["state"])
    finished = state in TERMINAL
    if finished != (now["finished_at"] is not None):
        return f"is {state} and finished at {now['finished_at']}"
    if now["result"] is not None and state is not JobState.SUCCEEDED:
        return f"is {state} and has a result"
    if not 0 <= now["attempt"] <= now["max_attempts"]:
        return f"is at attempt {now['attempt']} of {now['max_attempts']}"
    if before is None:
        return None
    if state not in REACHABLE[JobState(before["state"])]:
        return f"was {before['state']} and is {state}"
    if JobState(before["state"]) in TERMINAL and before != now:
        return "changed after it had finished"
    if now["attempt"] < before["attempt"] - 1:  # handed back, its last attempt does not count
        return f"was at attempt {before['attempt']} and is at {now['attempt']}"
    return None


@dataclass(slots=True)
class Witness:
    """Hears every answer of the API, from any thread, and knows when a server was away."""

    answers: Counter[str] = field(default_factory=Counter)
    untruths: list[str] = field(default_factory=list)
    longest_silence: float = 0.0
    _excusable: list[tuple[float, float, str]] = field(default_factory=list)
    _away: list[tuple[float, float]] = field(default_factory=list)
    _last_word: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, request: str, began: float, answer: httpx2.Response | httpx2.TransportError) -> None:
        """One request, begun at `began` of the monotonic clock, and its answer, or why there was none."""
        now = time.monotonic()
        with self._lock:
            if isinstance(answer, httpx2.TransportError):
                self.answers["none"] += 1
                self._excusable.append((began, now, f"{request}: {type(answer).__name__}"))
                return
            self.answers[str(answer.status_code)] += 1
            if answer.status_code >= 500:
                said = f"{request}: {answer.status_code} {answer.text[:200]}"
                if not is_honest(answer):
                    self.untruths.append(said)
                self._excusable.append((began, now, said))
                return
            self.longest_silence = max(self.longest_silence, now - self._last_word)
            self._last_word = now

    def say(self, problem: str) -> None:
        """Note an untruth."""
        with self._lock:
            self.untruths.append(problem)

    @contextmanager
    def away(self) -> Iterator[None]:
        """A server is away in the block, and may seem so a little longer."""
        began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._away.append((began, time.monotonic() + GRACE_SECONDS))

    def unexcused(self) -> list[str]:
        """Errors and silences of moments when every server was there."""
        with self._lock:
            return [said for began, ended, said in self._excusable if not _overlaps(began, ended, self._away)]


def is_honest(answer: httpx2.Response) -> bool:
    """Whether a server error is one that says what is the matter and when to come again."""
    return (
        answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE
        and answer.headers.get("Content-Type") == "application/problem+json"
        and "Retry-After" in answer.headers
        and answer.json().get("code") == "service_unavailable"
    )


def _overlaps(began: float, ended: float, spans: Iterable[tuple[float, float]]) -> bool:
    return any(began <= last and first <= ended for first, last in spans)
