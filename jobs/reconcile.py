"""Healing, by the leader: what a crash left half done is found by time alone and put back to where it can go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import LiteralString
from uuid import UUID

import structlog

from config.telemetry.counters import count
from config.telemetry.measures import LOST, REQUEUED
from domain.errors import NotFound, Transient
from jobs.hints import hints
from jobs.outcomes import lost, record
from tenancy.access import Tenancy
from tenancy.vault import SealBroken, Vault

STALE_DISPATCH_SECONDS = 10.0
"""A message not claimed for this long is taken for lost. If it comes later after all, its claim finds nothing."""

UNCLAIMED_SECONDS = 2.0
"""A message that a worker was given is claimed within milliseconds. One that is neither claimed nor waiting is lost."""

_EXPIRED: LiteralString = """
SELECT id, tenant_id, kind, attempt, max_attempts, token FROM jobs
 WHERE state = 'running' AND stage = 'in_flight' AND lease_until < now() ORDER BY lease_until LIMIT 1000
"""

_REQUEUE: LiteralString = """
UPDATE jobs SET state = 'queued', dispatched_at = NULL
 WHERE state = 'dispatched' AND stage = 'in_flight' AND dispatched_at < now() - make_interval(secs => %(older)s)
RETURNING id
"""

_UNCLAIMED: LiteralString = """
SELECT DISTINCT queue FROM jobs
 WHERE state = 'dispatched' AND stage = 'in_flight' AND dispatched_at < now() - make_interval(secs => %(older)s)
"""

_REQUEUE_IN: LiteralString = """
UPDATE jobs SET state = 'queued', dispatched_at = NULL
 WHERE state = 'dispatched' AND stage = 'in_flight' AND dispatched_at < now() - make_interval(secs => %(older)s) AND queue = ANY(%(queues)s)
RETURNING id
"""

_FORGET_WORKERS: LiteralString = "DELETE FROM workers WHERE heartbeat_at < now() - interval '1 minute' RETURNING name"

log = structlog.get_logger(__name__)


def reclaim_expired(tenancy: Tenancy, draw: Callable[[], float]) -> int:
    """Retry, or end as `worker_lost`, every running job whose lease ran out; returns how many.

    An answer that was long in coming is not believed: while the database stood still, nobody could renew.
    """
    asked = time.monotonic()
    rows = tenancy.platform.fetch(_EXPIRED, {})
    if not rows or time.monotonic() - asked > tenancy.settings.lease_seconds / 2:
        return 0
    outcomes = [
        lost(
            row["id"], row["token"], row["kind"], row["attempt"], row["max_attempts"],
            _vault(tenancy, row["tenant_id"]), draw(),
        )
        for row in rows
    ]  # fmt: skip
    taken = record(tenancy.platform, outcomes)
    hints(tenancy.settings).changed(taken)
    for outcome in outcomes:
        if outcome.job_id in taken:
            count(LOST)
            log.warning("job.lease_expired", job_id=str(outcome.job_id), kind=outcome.kind, state=outcome.state.value)
    return len(taken)


def _vault(tenancy: Tenancy, tenant_id: UUID) -> Vault | None:
    """None if the keys cannot be had: one tenant's trouble must not keep the others' jobs from coming back."""
    try:
        return tenancy.vault(tenant_id)
    except (NotFound, SealBroken, Transient):
        return None


def requeue_undelivered(tenancy: Tenancy, older_than: float = STALE_DISPATCH_SECONDS) -> int:
    """Queue again what was dispatched and never claimed; with 0, all of it, as after the broker lost its memory."""
    rows = tenancy.platform.fetch(_REQUEUE, {"older": older_than})
    if rows:
        count(REQUEUED, by=len(rows))
        log.warning("jobs.requeued_undelivered", count=len(rows), older_than=older_than)
    return len(rows)


def requeue_drained(tenancy: Tenancy, drained: Callable[[Collection[str]], Collection[str]]) -> int:
    """Queue again what was dispatched a moment ago, if its queue in the broker is empty: the message was lost.

    `drained` gives those of the queues in which no message waits. A message that comes later after all finds its job
    claimed or claims it; the other of the two then finds nothing. So a wrong guess costs a message, never a second run.
    """
    queues = [row["queue"] for row in tenancy.platform.fetch(_UNCLAIMED, {"older": UNCLAIMED_SECONDS})]
    empty = list(drained(queues)) if queues else []
    if not empty:
        return 0
    rows = tenancy.platform.fetch(_REQUEUE_IN, {"older": UNCLAIMED_SECONDS, "queues": empty})
    if rows:
        count(REQUEUED, by=len(rows))
        log.warning("jobs.requeued_lost", count=len(rows), queues=empty)
    return len(rows)


def forget_dead_workers(tenancy: Tenancy) -> int:
    """Remove workers that have said nothing for a minute."""
    return len(tenancy.platform.fetch(_FORGET_WORKERS, {}))
