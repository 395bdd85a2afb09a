"""How much waits, per queue: counted by the leader every few seconds, read by whoever shows it.

The API's account sees no tenant's jobs without naming the tenant, so it reads these totals, which name none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from tenancy.database import Database

_MEASURE: LiteralString = """
INSERT INTO queue_backlogs AS b (queue, due, waiting, in_flight, oldest_due_seconds, measured_at)
SELECT q.queue, count(j.id) FILTER (WHERE j.run_at <= now()), count(j.id) FILTER (WHERE j.run_at > now()),
       (SELECT count(*) FROM jobs f WHERE f.queue = q.queue AND f.state IN ('dispatched', 'running')),
       coalesce(extract(epoch FROM now() - min(j.run_at) FILTER (WHERE j.run_at <= now())), 0), now()
  FROM unnest(%(queues)s::text[]) AS q (queue)
  LEFT JOIN jobs j ON j.queue = q.queue AND j.state IN ('scheduled', 'queued', 'retrying')
 GROUP BY q.queue
ON CONFLICT (queue) DO UPDATE SET due = excluded.due, waiting = excluded.waiting, in_flight = excluded.in_flight,
    oldest_due_seconds = excluded.oldest_due_seconds, measured_at = excluded.measured_at
"""


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


def backlogs(platform: Database) -> list[Backlog]:
    """The last totals, by queue."""
    rows = platform.fetch(
        "SELECT queue, due, waiting, in_flight, oldest_due_seconds FROM queue_backlogs ORDER BY queue", {}
    )
    return [Backlog(**row) for row in rows]
