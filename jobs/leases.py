"""Holding a job while it runs: claim it, renew the lease, tell its progress, hand it back.

Every statement after the claim names the claim's token, so a worker that lost its lease changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from jobs.kinds import RETENTION, retentions
from jobs.messages import Item
from tenancy.database import RELAXED, Database

ClaimedRow = Mapping[str, Any]

_TAKE: LiteralString = """
   SET state = 'running', attempt = j.attempt + 1, token = %(token)s, worker_id = %(worker_id)s,
       lease_until = now() + make_interval(secs => %(lease)s), started_at = now(), version = version + 1,
       progress_done = NULL, progress_total = NULL, progress_message = NULL
"""

_TAKEN: LiteralString = """
RETURNING j.id, j.tenant_id, j.kind, j.queue, j.attempt, j.max_attempts, j.deadline_seconds, j.payload_sealed, j.checkpoint_sealed,
          j.principal, j.request_id, j.traceparent,
          (SELECT t.version FROM tenants t WHERE t.id = j.tenant_id) AS tenant_version
"""

# The lease marks do not wait for the disk (`synchronous_commit`): a crash of PostgreSQL that forgets a claim leaves the job
# dispatched, and the claimant's token names nothing. The setting is local to the statement, which says so where it finds a row.
_CLAIM_ONE: LiteralString = f"""
UPDATE jobs j {_TAKE}
 WHERE j.id = %(id)s AND j.attempt = %(attempt)s AND j.state = 'dispatched'
   AND set_config('synchronous_commit', 'off', true) = 'off'
{_TAKEN}"""
"""Half of what `_CLAIM` costs for one job: PostgreSQL keeps its plan, where it makes one for every array."""

_CLAIM: LiteralString = f"""
WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE jobs j {_TAKE}
  FROM relaxed, unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS m (id, attempt)
 WHERE j.id = m.id AND j.attempt = m.attempt AND j.state = 'dispatched'
{_TAKEN}"""

_RENEW: LiteralString = """
UPDATE jobs j SET lease_until = now() + make_interval(secs => %(lease)s)
  FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[]) AS m (id, token)
 WHERE j.id = m.id AND j.token = m.token AND j.state = 'running'
RETURNING j.id, j.cancel_requested
"""

_PROGRESS: LiteralString = """
UPDATE jobs j
   SET progress_done = m.done, progress_total = m.total, progress_message = m.message, version = version + 1
  FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[], %(done)s::int[], %(total)s::int[], %(messages)s::text[])
    AS m (id, token, done, total, message)
 WHERE j.id = m.id AND j.token = m.token AND j.state = 'running'
"""

_HAND_BACK: LiteralString = f"""
UPDATE jobs j
   SET state = CASE WHEN j.cancel_requested THEN 'cancelled' ELSE 'queued' END,
       finished_at = CASE WHEN j.cancel_requested THEN now() END,
       expires_at = CASE WHEN j.cancel_requested THEN now() + {RETENTION} END,
       attempt = j.attempt - 1, token = NULL, worker_id = NULL, lease_until = NULL, started_at = NULL,
       version = version + 1
 WHERE j.id = ANY(%(ids)s) AND j.token = %(token)s AND j.state = 'running'
"""


_HELD: LiteralString = """
SELECT id, token FROM jobs WHERE state = 'running' AND stage = 'in_flight' AND worker_id = %(worker_id)s
"""


def claim(
    platform: Database, items: Sequence[Item], *, token: UUID, worker_id: UUID, lease_seconds: float
) -> list[ClaimedRow]:
    """Take the jobs that still wait for this very attempt, in the order of `items`; others are someone else's by now."""
    holder = {"token": token, "worker_id": worker_id, "lease": lease_seconds}
    if len(items) == 1:
        return list(platform.fetch(_CLAIM_ONE, {"id": items[0][0], "attempt": items[0][1], **holder}))
    ids, attempts = [job_id for job_id, _ in items], [attempt for _, attempt in items]
    rows = {row["id"]: row for row in platform.fetch(_CLAIM, {"ids": ids, "attempts": attempts, **holder})}
    return [rows[job_id] for job_id in ids if job_id in rows]


def renew(platform: Database, held: Mapping[UUID, UUID], lease_seconds: float) -> dict[UUID, bool]:
    """Renew the leases of `held` (job id → token). Returns, for those still ours, whether a cancel was asked for."""
    parameters = {"ids": list(held), "tokens": list(held.values()), "lease": lease_seconds}
    return {row["id"]: row["cancel_requested"] for row in platform.fetch(_RENEW, parameters, RELAXED)}


Progress = tuple[UUID, UUID, int, int | None, str]
"""Job id, token, done, total, message."""


def write_progress(platform: Database, latest: Sequence[Progress]) -> None:
    """Write the latest progress of several jobs."""
    ids, tokens, done, total, messages = (list(column) for column in zip(*latest, strict=True))
    parameters = {"ids": ids, "tokens": tokens, "done": done, "total": total, "messages": messages}
    platform.fetch(_PROGRESS, parameters)


def hand_back(platform: Database, ids: Sequence[UUID], token: UUID) -> None:
    """Give claimed jobs back to the queue; it does not count as an attempt."""
    platform.fetch(_HAND_BACK, {"ids": list(ids), "token": token, **retentions()})


def hand_back_all(platform: Database, worker_id: UUID) -> list[UUID]:
    """Give back whatever this worker still runs, begun or not; returns the ids. Nobody may be running it any more."""
    rows = platform.fetch(_HELD, {"worker_id": worker_id})
    for token in {row["token"] for row in rows}:
        hand_back(platform, [row["id"] for row in rows if row["token"] == token], token)
    return [row["id"] for row in rows]
