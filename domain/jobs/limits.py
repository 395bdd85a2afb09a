"""How much of the engine a tenant may use, as operators set it."""

from __future__ import annotations

import math
from dataclasses import dataclass

LIGHTEST, HEAVIEST = 0.01, 1000.0
"""Bounds of a weight. A tenant of weight 2 gets twice the share of one of weight 1 while both wait."""
MOST_RUNNING = 1_000_000
SLOWEST, FASTEST = 0.001, 100_000.0
"""Bounds of a rate in jobs per second."""
LARGEST_BURST = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """A tenant's share of the engine.

    `max_running` bounds how many jobs are dispatched or running at once; `rate_per_second` how many are dispatched over time,
    of which `burst` may go at once: the size of a token bucket, set wherever there is a rate. None is no bound.
    """

    weight: float = 1.0
    max_running: int | None = None
    rate_per_second: float | None = None
    burst: int | None = None


UNLIMITED = Limits()
"""What holds for a tenant of whom nothing was said."""


def default_burst(rate_per_second: float) -> int:
    """What the rate gives in one second, and at least one job."""
    return max(1, math.ceil(rate_per_second))
