"""Around every call of a provider: a line in the log, a count, the time it took, and a span. Never a word of what was said."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

import structlog

from config.telemetry import spans
from config.telemetry.counters import count, observe
from config.telemetry.measures import PROVIDER_CALLS, PROVIDER_SECONDS
from domain.errors import JobError, NexusError

OK, BUG = "ok", "handler_bug"

log = structlog.get_logger(__name__)


class Calling:
    """A call of `operation` at `provider`, both words of ours: as `with Calling("stripe", "refunds.create"):` around it.

    It has failed if the block raises, by the error's code, or says so. `quiet` ones, of which a job makes many, are logged at the
    level `debug` alone.
    """

    __slots__ = ("_began", "_entered", "_operation", "_outcome", "_provider", "_quiet", "_span")

    def __init__(self, provider: str, operation: str, *, quiet: bool = False):
        self._provider, self._operation, self._quiet, self._outcome = provider, operation, quiet, OK

    def failed(self, code: str) -> None:
        """The answer was no success, though nothing was raised."""
        self._outcome = code
        self._entered.fail(code)

    def __enter__(self) -> Self:
        self._span = spans.span(f"{self._provider} {self._operation}", "client")
        self._entered = self._span.__enter__()
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._began
        if error is not None:
            self._outcome = _code(error)
        self._span.__exit__(kind, error, trace)
        tell(self._provider, self._operation, self._outcome, seconds, quiet=self._quiet)


def tell(provider: str, operation: str, outcome: str, seconds: float, *, quiet: bool = False) -> None:
    """Count and log a call that is over, for who makes many on one connection without waiting for each answer."""
    count(PROVIDER_CALLS, provider, operation, outcome)
    observe(PROVIDER_SECONDS, seconds, provider, operation)
    write = log.debug if quiet else log.info if outcome == OK else log.warning
    write(
        "provider.call", provider=provider, operation=operation, outcome=outcome, duration_ms=round(seconds * 1000, 1)
    )


def _code(error: BaseException) -> str:
    if isinstance(error, JobError):
        return error.job_code
    return error.code if isinstance(error, NexusError) else BUG
