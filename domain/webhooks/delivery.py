"""What follows an attempt to deliver a webhook: the answer in, the decision out.

The schedule is that of the Standard Webhooks specification: ten attempts within a little more than three days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

RETRY_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""The wait after each failed attempt but the last: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""

MAX_ATTEMPTS = len(RETRY_SECONDS) + 1
JITTER = 0.1
"""The part of a wait that is added at random at most, so that what failed together does not come back together."""

GIVE_UP_AFTER = timedelta(days=5)
"""An endpoint is disabled when nothing was delivered to it for this long, and something was tried."""

TIMEOUT_SECONDS = 15.0
"""For one attempt as a whole: resolving, connecting, sending, and the answer."""

RESPONSE_LIMIT = 4_096
"""Bytes of an answer that are kept."""

SECRET_OVERLAP = timedelta(hours=24)
"""How long a replaced secret still signs beside the new one."""


class Verdict(StrEnum):
    """What to do after an attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Decision:
    """`delay` (seconds) matters to `RETRY`. `gone` means that the receiver wants no more, of anything."""

    verdict: Verdict
    delay: float = 0.0
    gone: bool = False


def decide(status: int | None, attempt: int, draw: float, retry_after: float | None = None) -> Decision:
    """What follows attempt number `attempt` (from 1), answered with `status`; None: there was no answer.

    Only 2xx is a delivery: a redirect is not followed, so it is a failure. 410 ends the endpoint. A receiver's
    `retry_after` (seconds) is a minimum. `draw` is uniform in [0, 1).
    """
    if status is not None and 200 <= status < 300:
        return Decision(Verdict.DELIVERED)
    if status == 410:
        return Decision(Verdict.FAILED, gone=True)
    if attempt >= MAX_ATTEMPTS:
        return Decision(Verdict.FAILED)
    delay = RETRY_SECONDS[attempt - 1] * (1.0 + JITTER * draw)
    return Decision(Verdict.RETRY, max(delay, retry_after or 0.0))
