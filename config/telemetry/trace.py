"""Where in which trace this request or job is: W3C Trace Context (https://www.w3.org/TR/trace-context/), recorded or not.

Logs, jobs and events carry it always, so that one id leads from a request to all that it caused. Whether spans are recorded as
well is decided in `config.telemetry.spans`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from uuid import UUID

_HEADER = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 1

NOWHERE = "0" * 16
"""The span id of a trace that has no span yet."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: ids in lower-case hexadecimal, and whether whoever began the trace wants it recorded."""

    trace_id: str
    span_id: str
    sampled: bool = False

    def __str__(self) -> str:
        """As a `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


_current: ContextVar[TraceContext | None] = ContextVar("nexus_trace", default=None)


def current() -> TraceContext | None:
    """Where this request or job is; None outside of either."""
    return _current.get()


def traceparent() -> str | None:
    """The same as text, for what is caused from here."""
    context = _current.get()
    return None if context is None else str(context)


def enter(context: TraceContext | None) -> None:
    """From here on, this thread or greenlet is there, until something else is said."""
    _current.set(context)


@contextmanager
def within(context: TraceContext | None) -> Iterator[None]:
    """Be there for the block."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def parse(text: str | None) -> TraceContext | None:
    """The place that a `traceparent` names; None if it is not a valid one."""
    found = None if text is None else _HEADER.fullmatch(text)
    return None if found is None else TraceContext(found[1], found[2], bool(int(found[3], 16) & _SAMPLED))


def begun() -> TraceContext:
    """The beginning of a new trace."""
    drawn = secrets.token_hex(24)
    return TraceContext(drawn[:32], drawn[32:])


def of_job(job_id: UUID, traceparent: str | None) -> TraceContext:
    """Where a job belongs: to what submitted it, or to a trace of its own, the same for all of its attempts."""
    return parse(traceparent) or TraceContext(hashlib.sha256(job_id.bytes).hexdigest()[:32], NOWHERE)


def of_attempt(job_id: UUID, attempt: int, traceparent: str | None) -> TraceContext:
    """The place of an attempt of a job. It follows from these, so that a retry hours later can name the attempt before."""
    job = of_job(job_id, traceparent)
    span_id = hashlib.sha256(job_id.bytes + attempt.to_bytes(4)).hexdigest()[:16]
    return replace(job, span_id=span_id)
