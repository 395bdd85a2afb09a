"""What this process has counted and not yet handed over. Counting is adding under a lock; `jobs.readings` writes it down."""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from config.telemetry.measures import Measure

Labels = tuple[str, ...]
Key = tuple[str, Labels]


@dataclass(slots=True)
class Reading:
    """What was counted under one name and labels. `buckets` of a histogram count each observation once, the last those beyond."""

    count: int = 0
    total: float = 0.0
    buckets: list[int] | None = None

    def add(self, other: Reading) -> None:
        """Take in another of the same name and labels."""
        self.count += other.count
        self.total += other.total
        if other.buckets is not None:
            mine = self.buckets or [0] * len(other.buckets)
            self.buckets = [one + two for one, two in zip(mine, other.buckets, strict=True)]


_lock = threading.Lock()
_kept: dict[Key, Reading] = {}
_gauges: list[tuple[str, Callable[[], Mapping[Labels, float]]]] = []
_recording = True


def turn_off() -> None:
    """Count nothing in this process from now on."""
    global _recording  # noqa: PLW0603 - one per process by nature
    _recording = False


def count(measure: Measure, *labels: str, by: float = 1.0) -> None:
    """Add to a counter."""
    if not _recording:
        return
    with _lock:
        reading = _kept.get((measure.name, labels))
        if reading is None:
            reading = _kept[measure.name, labels] = Reading()
        reading.count += 1
        reading.total += by


def observe(measure: Measure, seconds: float, *labels: str) -> None:
    """Add an observation to a histogram."""
    if not _recording:
        return
    with _lock:
        reading = _kept.get((measure.name, labels))
        if reading is None:
            reading = _kept[measure.name, labels] = Reading(buckets=[0] * (len(measure.buckets) + 1))
        reading.count += 1
        reading.total += seconds
        if reading.buckets is not None:
            reading.buckets[bisect_left(measure.buckets, seconds)] += 1


def register_gauge(measure: Measure, read: Callable[[], Mapping[Labels, float]]) -> None:
    """Have `read` asked for what this process says of this moment, whenever its figures are written down."""
    _gauges.append((measure.name, read))


def gauges() -> list[tuple[str, Labels, float]]:
    """What this process says of this moment."""
    return [(name, labels, value) for name, read in _gauges for labels, value in read().items()]


def take() -> dict[Key, Reading]:
    """All that was counted since the last time, to be written down."""
    global _kept
    with _lock:
        taken, _kept = _kept, {}
    return taken


def put_back(readings: Mapping[Key, Reading]) -> None:
    """What could not be written down is added to what came meanwhile."""
    with _lock:
        for key, reading in readings.items():
            if key in _kept:
                _kept[key].add(reading)
            else:
                _kept[key] = reading


def summed(values: Iterable[tuple[Labels, float]]) -> dict[Labels, float]:
    """Added up by labels, for gauges that many things of a process have a share in."""
    found: dict[Labels, float] = {}
    for labels, value in values:
        found[labels] = found.get(labels, 0.0) + value
    return found


def _anew() -> None:
    """In a forked child: what the parent counted is the parent's to write, and its lock may be held by a thread that is not here."""
    global _lock  # noqa: PLW0603 - see above
    _lock = threading.Lock()
    _kept.clear()


os.register_at_fork(after_in_child=_anew)
