"""What a client may do to a job that is there: cancel it, replay it."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from domain.errors import IllegalTransition
from domain.identity.principals import Principal
from domain.jobs.states import TERMINAL, JobState
from jobs.kinds import kind
from jobs.queries import get
from jobs.rows import COLUMNS, LIVE, JobRow, open_json
from jobs.submit import INTERNAL, NewJob, Submitted, submit
from tenancy.access import Tenancy
from tenancy.database import tenant_scope

_CANCEL: LiteralString = f"""
UPDATE jobs
   SET state = CASE WHEN state = 'running' THEN state ELSE 'cancelled' END,
       cancel_requested = true,
       finished_at = CASE WHEN state = 'running' THEN NULL ELSE now() END,
       expires_at = CASE WHEN state = 'running' THEN NULL ELSE now() + %(retention)s END,
       version = version + 1
 WHERE id = %(id)s AND tenant_id = %(tenant_id)s
   AND {LIVE} AND NOT cancel_requested
RETURNING {COLUMNS}
"""

_PAYLOAD: LiteralString = "SELECT payload_sealed FROM jobs WHERE id = %(id)s AND tenant_id = %(tenant_id)s"


def cancel(tenancy: Tenancy, tenant_id: UUID, job_id: UUID) -> JobRow:
    """Cancel a job: at once before it runs, by request while it runs (its handler sees it within seconds).

    Cancelling twice is the same as once. Raises `NotFound`, and `IllegalTransition` for a job that has finished.
    """
    row = get(tenancy, tenant_id, job_id)
    parameters = {"id": job_id, "tenant_id": tenant_id, "retention": kind(row["kind"]).retention}
    changed = tenancy.platform.fetch(_CANCEL, parameters, tenant_scope(tenant_id))
    if changed:
        return changed[0]
    row = get(tenancy, tenant_id, job_id)
    if row["state"] in TERMINAL and row["state"] != JobState.CANCELLED:
        raise IllegalTransition(f"Job {job_id} has {row['state']}; only a live job can be cancelled.")
    return row


def replay(tenancy: Tenancy, principal: Principal, job_id: UUID, idempotency_key: str | None = None) -> Submitted:
    """Submit a failed or cancelled job's payload again as a new job that names the old one.

    Raises `NotFound`, and `IllegalTransition` for a job that is live or succeeded.
    """
    tenant_id = principal.tenant_id
    if tenant_id is None:
        raise LookupError("a replay without a tenant")
    row = get(tenancy, tenant_id, job_id)
    if row["state"] not in {JobState.FAILED, JobState.CANCELLED}:
        raise IllegalTransition(f"Job {job_id} is {row['state']}; only a failed or cancelled job can be replayed.")
    where = {"id": job_id, "tenant_id": tenant_id}
    sealed = tenancy.platform.fetch(_PAYLOAD, where, tenant_scope(tenant_id))[0]["payload_sealed"]
    payload = open_json(bytes(sealed), "payload_sealed", job_id, tenancy.vault(tenant_id))
    again = NewJob(
        kind=row["kind"], payload=payload, principal=principal, priority=row["priority"], unique_key=row["unique_key"],
        parent_id=row["parent_id"], replay_of=job_id, idempotency_key=idempotency_key or f"{INTERNAL}replay:{job_id}:{row['version']}",
    )  # fmt: skip
    return submit(tenancy, again)
