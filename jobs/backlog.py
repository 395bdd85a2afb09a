"""How much waits, per queue: counted by the leader every few seconds, read by whoever shows it.

The API's account sees no tenant's jobs without naming the tenant, so it reads these totals, which name none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from jobs.controls import COUNT_IN_FLIGHT
from jobs.runtimes import MEASURE_RATES, RATE_SECONDS
from tenancy.database import RELAXED, Database

DEAF_SECONDS = 30.0
"""Workers that were free for so long and claimed none of what was dispatched to them are deaf."""
STEADY_SECONDS = 8.0
"""Unclaimed jobs are dispatched again and again: between two times they may be out of sight for one measurement."""
LIVE_SECONDS = 15.0
"""A worker whose last heartbeat is older is gone."""

_MEASURE: LiteralString = """
WITH queues AS (
    SELECT q.queue, EXISTS (SELECT 1 FROM dispatch_pauses WHERE scope = 'queue' AND name = q.queue) AS paused
      FROM unnest(%(queues)s::text[]) AS q (queue)
), counted AS (
    SELECT q.queue, coalesce(d.jobs, 0) + coalesce(w.late, 0) AS due, coalesce(w.jobs, 0) - coalesce(w.late, 0) AS waiting,
           least(d.oldest, w.oldest) AS oldest
      FROM queues q
      LEFT JOIN (SELECT queue, count(*) AS jobs, min(run_at) AS oldest FROM jobs WHERE stage = 'due' GROUP BY queue) d
        ON d.queue = q.queue
      LEFT JOIN (SELECT queue, count(*) AS jobs, count(*) FILTER (WHERE run_at <= now()) AS late,
                        min(run_at) FILTER (WHERE run_at <= now()) AS oldest
                   FROM jobs WHERE stage = 'waiting' GROUP BY queue) w ON w.queue = q.queue
), flying AS (
    SELECT queue, count(*) AS in_flight, bool_or(state = 'dispatched') AS dispatched
      FROM jobs WHERE stage = 'in_flight' GROUP BY queue
), served AS (
    SELECT q.queue, bool_or(w.running < w.slots) AS free, max(coalesce(w.last_claim_at, w.started_at)) AS last_claim
      FROM queues q JOIN workers w ON q.queue = ANY(w.queues)
     WHERE NOT w.stopping AND w.heartbeat_at > now() - make_interval(secs => %(live)s) GROUP BY q.queue
), able AS (
    SELECT q.queue, s.last_claim, s.free IS TRUE AND NOT q.paused AS able
      FROM queues q LEFT JOIN served s USING (queue)
), seen AS (
    SELECT a.*, a.able AND f.dispatched IS TRUE AS unclaimed, b.unclaimed_since, b.unclaimed_seen_at
      FROM able a LEFT JOIN flying f USING (queue) LEFT JOIN queue_backlogs b USING (queue)
)
INSERT INTO queue_backlogs
       (queue, due, waiting, in_flight, oldest_due_seconds, unclaimed_since, unclaimed_seen_at, measured_at)
SELECT queue, c.due, c.waiting, coalesce(f.in_flight, 0), coalesce(extract(epoch FROM now() - c.oldest), 0),
       CASE WHEN NOT s.able THEN NULL
            WHEN s.last_claim > s.unclaimed_since THEN CASE WHEN s.unclaimed THEN now() END
            WHEN s.unclaimed THEN coalesce(s.unclaimed_since, now())
            WHEN s.unclaimed_seen_at > now() - make_interval(secs => %(steady)s) THEN s.unclaimed_since END,
       CASE WHEN s.unclaimed THEN now() ELSE s.unclaimed_seen_at END, now()
  FROM counted c JOIN seen s USING (queue) LEFT JOIN flying f USING (queue)
ON CONFLICT (queue) DO UPDATE SET due = excluded.due, waiting = excluded.waiting, in_flight = excluded.in_flight,
    oldest_due_seconds = excluded.oldest_due_seconds, unclaimed_since = excluded.unclaimed_since,
    unclaimed_seen_at = excluded.unclaimed_seen_at, measured_at = excluded.measured_at
"""


_READ: LiteralString = """
SELECT queue, due, waiting, in_flight, oldest_due_seconds, measured_at,
       coalesce(extract(epoch FROM measured_at - unclaimed_since), 0)::float8 AS unclaimed_seconds
  FROM queue_backlogs ORDER BY queue
"""

SHARE = 0.02
"""The most of its time that the leader spends counting: a backlog of millions is counted less often, not less exactly."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """A queue's jobs: due now, waiting for their time, dispatched or running; and how long the oldest has been due.

    `unclaimed_seconds` says for how long free workers have claimed nothing of what was dispatched to them.
    """

    queue: str
    due: int
    waiting: int
    in_flight: int
    oldest_due_seconds: float
    unclaimed_seconds: float
    measured_at: datetime

    @property
    def deaf(self) -> bool:
        """Whether the queue's workers live and do not work."""
        return self.unclaimed_seconds >= DEAF_SECONDS


def measure(platform: Database, queues: Sequence[str]) -> None:
    """Count, work out rates, and write it all down."""
    parameters = {"queues": list(queues), "live": LIVE_SECONDS, "steady": STEADY_SECONDS}
    measurements: list[tuple[LiteralString, dict[str, Any]]] = [
        (_MEASURE, parameters),
        (MEASURE_RATES, {"window": RATE_SECONDS}),
        (COUNT_IN_FLIGHT, {}),
    ]
    platform.fetch_many(measurements, RELAXED)


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
    return [Backlog(**row) for row in platform.fetch(_READ, {})]
