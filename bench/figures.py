"""Sums over measurements, pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `percent` of them do not exceed. Raises `ValueError`."""
    if not values or not 0 < percent <= 100:
        raise ValueError(f"no {percent}th percentile of {len(values)} values")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over the rounds of ours to theirs in the same round. Raises `ValueError` unless there are as many of both."""
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {"p50": percentile(values, 50), "p95": percentile(values, 95), "samples": len(values)}


def rate(ends: Sequence[float]) -> float:
    """Ends per second between the first and the last. Raises `ValueError` for fewer than two moments."""
    if len(ends) < 2 or max(ends) == min(ends):
        raise ValueError(f"no rate of {len(ends)} ends")
    return (len(ends) - 1) / (max(ends) - min(ends))
