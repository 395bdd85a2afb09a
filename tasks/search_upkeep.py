"""`search.sweep`: searches leave the query log, with their answers, when the tenant has kept them for long enough.

Once a day, and only while there is something to keep: each search makes sure of the next sweep, and a sweep that leaves
something of the following one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from domain.identity.principals import system
from domain.search.log import UNLOGGED
from jobs.context import JobContext
from jobs.handlers import handles
from jobs.submit import INTERNAL, NewJob, submit

SWEEP = "search.sweep"
_BATCH = 1000
_DAY = timedelta(days=1)

_REMOVE: LiteralString = """
DELETE FROM searches WHERE tenant_id = %(tenant_id)s AND id IN (
    SELECT id FROM searches
     WHERE tenant_id = %(tenant_id)s AND created_at < CASE WHEN log = 'off' THEN %(unlogged)s ELSE %(logged)s END
     ORDER BY created_at LIMIT %(batch)s)
RETURNING 1
"""
_ANY: LiteralString = "SELECT 1 FROM searches WHERE tenant_id = %(tenant_id)s LIMIT 1"


@handles(SWEEP)
def sweep(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Remove what has had its time, some at a time; returns how many searches."""
    del payload
    now, removed = datetime.now(UTC), 0
    parameters = {
        "tenant_id": context.tenant_id,
        "logged": now - timedelta(days=context.tenant.preferences.search_log_days),
        "unlogged": now - UNLOGGED,
        "batch": _BATCH,
    }
    while True:
        context.check()
        gone, left = context.tenancy.fetch_many(context.tenant_id, [(_REMOVE, parameters), (_ANY, parameters)])
        removed += len(gone)
        if len(gone) < _BATCH:
            break
    if left:
        submit(context.tenancy, next_sweep(context.tenant_id, now))
    return {"removed": removed}


def next_sweep(tenant_id: UUID, now: datetime) -> NewJob:
    """The tenant's next sweep: each tenant has its own moment of the day, so that not all sweep at once."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + timedelta(seconds=tenant_id.int % 86_400)
    if at <= now:
        at += _DAY
    return NewJob(
        kind=SWEEP, payload={}, principal=system("search", tenant_id), run_at=at,
        idempotency_key=f"{INTERNAL}search-sweep:{at.date().isoformat()}",
    )  # fmt: skip
