"""When a failed attempt is tried again: exception and attempt in, decision out.

Backoff is exponential with full jitter (a uniform draw up to the exponential bound), so that jobs that failed together
do not come back together. Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import Cancelled, JobError, NotNow


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max_attempts` counts the first one. Delays are in seconds."""

    max_attempts: int = 5
    base_delay: float = 1.0
    max_delay: float = 600.0

    def delay(self, attempt: int, draw: float, at_least: float = 0.0) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1), for a uniform `draw` in [0, 1)."""
        bound = min(self.max_delay, self.base_delay * 2.0 ** min(attempt - 1, 32))
        return max(at_least, bound * draw)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again in `delay` seconds. An attempt that could not begin is not `counted`."""

    delay: float
    counted: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The attempt was the last one; `cancelled` if that is what the job asked for."""

    cancelled: bool = False


def decide(error: BaseException, attempt: int, policy: RetryPolicy, draw: float) -> Retry | GiveUp:
    """What follows attempt number `attempt`, which ended in `error`.

    Anything that is not a `JobError` is a bug of ours: retried, because the next deployment may mend it.
    """
    if isinstance(error, Cancelled):
        return GiveUp(cancelled=True)
    if isinstance(error, JobError) and not error.retryable:
        return GiveUp()
    if isinstance(error, NotNow):
        return Retry((error.retry_after or 0.0) * (1.0 + draw), counted=False)
    if attempt >= policy.max_attempts:
        return GiveUp()
    at_least = error.retry_after or 0.0 if isinstance(error, JobError) else 0.0
    return Retry(policy.delay(attempt, draw, at_least))
