"""How much waits, per queue: counted by the leader every few seconds, read by whoever shows it.

The API's account sees no tenant's jobs without naming the tenant, so it reads these totals, which name none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from tenancy.database import Database

_MEASURE: LiteralString = """
INSERT INTO queue_backlogs AS b (queue, due, waiting, in_flight, oldest_due_seconds, measured_at)
SELECT q.queue, coalesce(d.jobs, 0) + coalesce(w.late, 0), coalesce(w.jobs, 0) - coalesce(w.late, 0), coalesce(f.jobs, 0),
       coalesce(extract(epoch FROM now() - least(d.oldest, w.oldest)), 0), now()
  FROM unnest(%(queues)s::text[]) AS q (queue)
  LEFT JOIN (SELECT queue, count(*) AS jobs, min(run_at) AS oldest FROM jobs WHERE stage = 'due' GROUP BY queue) d
    ON d.queue = q.queue
  LEFT JOIN (SELECT queue, count(*) AS jobs, count(*) FILTER (WHERE run_at <= now()) AS late,
                    min(run_at) FILTER (WHERE run_at <= now()) AS oldest
               FROM jobs WHERE stage = 'waiting' GROUP BY queue) w ON w.queue = q.queue
  LEFT JOIN (SELECT queue, count(*) AS jobs FROM jobs WHERE stage = 'in_flight' GROUP BY queue) f ON f.queue = q.queue
ON CONFLICT (queue) DO UPDATE SET due = excluded.due, waiting = excluded.waiting, in_flight = excluded.in_flight,
    oldest_due_seconds = excluded.oldest_due_seconds, measured_at = excluded.measured_at
"""

SHARE = 0.02
"""The most of its time that the leader spends counting: a backlog of millions is counted less often, not less exactly."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """A queue's jobs: due now, waiting for their time, dispatched or running; and how long the oldest has been due."""

    queue: str
    due: int
    waiting: int
    in_flight: int
    oldest_due_seconds: float


def measure(platform: Database, queues: Sequence[str]) -> None:
    """Count, and write the totals down."""
    platform.fetch(_MEASURE, {"queues": list(queues)})


class Meter:
    """Measures when it is called, unless the last count took so long that it should rest for now."""

    def __init__(self, platform: Database, queues: Sequence[str]):
        self._platform = platform
        self._queues = queues
        self._rests_until = 0.0

    def __call__(self) -> None:
        """Measure, or rest."""
        started = time.monotonic()
        if started >= self._rests_until:
            measure(self._platform, self._queues)
            ended = time.monotonic()
            self._rests_until = ended + (ended - started) / SHARE


def backlogs(platform: Database) -> list[Backlog]:
    """The last totals, by queue."""
    rows = platform.fetch(
        "SELECT queue, due, waiting, in_flight, oldest_due_seconds FROM queue_backlogs ORDER BY queue", {}
    )
    return [Backlog(**row) for row in rows]
