"""When a payment that failed is tried again, and when it is given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

SCHEDULE = (timedelta(days=1), timedelta(days=3), timedelta(days=5), timedelta(days=7))
"""After the first failure, the second, and so on; after the last of these it is given up."""


@dataclass(frozen=True, slots=True)
class Dunning:
    """What follows a failure: the next attempt, or none, and the subscription's state meanwhile."""

    collect_at: datetime | None
    subscription_state: str


def after_failure(failures: int, now: datetime) -> Dunning:
    """What follows the failure that made it `failures` in all."""
    if failures <= len(SCHEDULE):
        return Dunning(now + SCHEDULE[failures - 1], "past_due")
    return Dunning(None, "unpaid")
