"""`completion.sweep`: model calls whose worker was lost and that no later call of their tenant has put down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

from domain.errors import NexusError
from jobs.context import JobContext
from jobs.handlers import handles
from tasks.ledger import close_lost

_SUSPECTS: LiteralString = """
SELECT DISTINCT tenant_id FROM jobs
 WHERE finished_at > now() - interval '3 hours' AND (attempt > 1 OR state IN ('failed', 'cancelled'))
"""
"""A job that went well at once has closed its calls. A sweep an hour looks far enough back for the longest call to end."""


@handles("completion.sweep")
def sweep(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Look at every tenant that had a job which did not go well at once. One that cannot be reached is left to the next sweep."""
    del payload
    closed = 0
    suspects = context.tenancy.platform.fetch(_SUSPECTS, {})
    for number, row in enumerate(suspects):
        context.progress(number, len(suspects), "tenants")
        try:
            closed += close_lost(context.tenancy, row["tenant_id"])
        except NexusError as error:
            context.log.warning("completion.sweep_skipped", of=str(row["tenant_id"]), code=error.code)
    return {"tenants": len(suspects), "closed": closed}
