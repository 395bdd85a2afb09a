"""The workers' rows: what they tell of themselves, and what operators and the dispatcher see of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from tenancy.database import RELAXED, Database
from tenancy.scopes import operator_scope

SHOWN_JOBS = 20
"""How many of the jobs that a worker runs it tells of by name."""

# A worker tells what it runs by asking for its own rows: its pool's processes hold them, not the one that beats.
_BEAT: LiteralString = """
WITH held AS (
    SELECT id, tenant_id, kind, attempt, started_at, progress_done AS done, progress_total AS total,
           progress_message AS message
      FROM jobs WHERE worker_id = %(id)s AND state = 'running' AND stage = 'in_flight'
), beaten AS (
    INSERT INTO workers (id, name, queues, slots, pid, started_at, heartbeat_at, stopping, running)
    VALUES (%(id)s, %(name)s, %(queues)s, %(slots)s, %(pid)s, now(), now(), %(stopping)s, (SELECT count(*) FROM held))
    ON CONFLICT (id) DO UPDATE SET heartbeat_at = now(), queues = excluded.queues, slots = excluded.slots,
        stopping = excluded.stopping, running = excluded.running,
        last_claim_at = greatest(workers.last_claim_at, (SELECT max(started_at) FROM held))
    RETURNING id
)
INSERT INTO worker_jobs AS w (worker_id, jobs)
SELECT b.id, coalesce((SELECT jsonb_agg(h ORDER BY h.started_at)
                         FROM (SELECT * FROM held ORDER BY started_at LIMIT %(shown)s) h), '[]')
  FROM beaten b
ON CONFLICT (worker_id) DO UPDATE SET jobs = excluded.jobs WHERE w.jobs <> excluded.jobs
"""

_CLAIMED: LiteralString = "UPDATE workers SET last_claim_at = now() WHERE id = %(id)s"

_WITHDRAW: LiteralString = "DELETE FROM workers WHERE id = %(id)s"

_LIST: LiteralString = """
SELECT w.id, w.name, w.queues, w.slots, w.pid, w.started_at, w.heartbeat_at, w.last_claim_at, w.stopping, w.running,
       extract(epoch FROM now() - w.heartbeat_at)::float8 AS heartbeat_age_seconds, coalesce(j.jobs, '[]') AS jobs
  FROM workers w LEFT JOIN worker_jobs j ON j.worker_id = w.id ORDER BY w.name, w.id
"""

_SERVING: LiteralString = """
SELECT queues, sum(slots)::int AS slots FROM workers
 WHERE heartbeat_at > now() - interval '10 seconds' AND NOT stopping GROUP BY queues
"""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker runs. `total` is null where it is not known, `done` where nothing was told."""

    id: UUID
    tenant_id: UUID
    kind: str
    attempt: int
    started_at: datetime
    done: int | None
    total: int | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as of its last heartbeat. `jobs` are the oldest of the `running` ones."""

    id: UUID
    name: str
    queues: list[str]
    slots: int
    pid: int
    started_at: datetime
    heartbeat_at: datetime
    heartbeat_age_seconds: float
    last_claim_at: datetime | None
    stopping: bool
    running: int
    jobs: list[RunningJob]


def beat(platform: Database, facts: Mapping[str, Any]) -> None:
    """Say that a worker lives: `facts` are its id, name, queues, slots and pid, and whether it is stopping."""
    platform.fetch(_BEAT, {**facts, "shown": SHOWN_JOBS}, RELAXED)


def claimed(platform: Database, worker_id: UUID) -> None:
    """Say that the worker has claimed jobs just now."""
    platform.fetch(_CLAIMED, {"id": worker_id}, RELAXED)


def withdraw(platform: Database, worker_id: UUID) -> None:
    """Forget a worker that leaves in order."""
    platform.fetch(_WITHDRAW, {"id": worker_id})


def serving(platform: Database) -> dict[tuple[str, ...], int]:
    """Jobs at once that live workers have room for, by the queues that they serve; for the dispatcher."""
    return {tuple(row["queues"]): row["slots"] for row in platform.fetch(_SERVING, {})}


def workers(platform: Database) -> list[Worker]:
    """All workers that were not forgotten yet, by name; for operators, which the caller has checked."""
    rows = platform.fetch(_LIST, {}, operator_scope())
    return [Worker(**{**row, "jobs": [_running(job) for job in row["jobs"]]}) for row in rows]


def _running(job: dict[str, Any]) -> RunningJob:
    return RunningJob(
        id=UUID(job["id"]),
        tenant_id=UUID(job["tenant_id"]),
        kind=job["kind"],
        attempt=job["attempt"],
        started_at=datetime.fromisoformat(job["started_at"]),
        done=job["done"],
        total=job["total"],
        message=job["message"],
    )
