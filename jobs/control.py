"""What a client may do to a job that is there: cancel it, replay it."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from domain.errors import IllegalTransition
from domain.identity.principals import Principal
from domain.jobs.states import TERMINAL, JobState
from jobs.families import cancel_family
from jobs.queries import get
from jobs.rows import JobRow, open_json
from jobs.submit import INTERNAL, NewJob, Submitted, submit
from tenancy.access import Tenancy
from tenancy.database import tenant_scope

_PAYLOAD: LiteralString = "SELECT payload_sealed FROM jobs WHERE id = %(id)s AND tenant_id = %(tenant_id)s"


def cancel(tenancy: Tenancy, tenant_id: UUID, job_id: UUID) -> JobRow:
    """Cancel a job and its live descendants: at once before they run, by request while they run (within seconds).

    Cancelling twice is the same as once. Raises `NotFound`, and `IllegalTransition` for a job that has finished.
    """
    row = get(tenancy, tenant_id, job_id)
    changed = cancel_family(tenancy, tenant_id, job_id)
    if changed is not None:
        return changed
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
    return submit(tenancy, again(tenancy, principal, {**row, "payload_sealed": sealed}, idempotency_key))


def again(tenancy: Tenancy, principal: Principal, row: JobRow, idempotency_key: str | None = None) -> NewJob:
    """The submission that repeats the finished job `row`, which holds its payload too: one new job, unless a key says more."""
    job_id, vault = row["id"], tenancy.vault(row["tenant_id"])
    return NewJob(
        kind=row["kind"], payload=open_json(bytes(row["payload_sealed"]), "payload_sealed", job_id, vault), principal=principal,
        priority=row["priority"], unique_key=row["unique_key"], parent_id=row["parent_id"], replay_of=job_id,
        idempotency_key=idempotency_key or f"{INTERNAL}replay:{job_id}:{row['version']}",
    )  # fmt: skip
