"""Submitting the job that provisions a tenant: once per tenant, however often it is asked for."""

from __future__ import annotations

from uuid import UUID

from domain.identity.principals import Principal
from jobs.submit import INTERNAL, NewJob, Submitted, submit
from tenancy.access import Tenancy

IDEMPOTENCY_KEY = f"{INTERNAL}provision"


def provisioning_job(tenant_id: UUID, owner_id: UUID) -> NewJob:
    """The submission, made in the owner's name: its key is the same every time, so it is one job per tenant."""
    owner = Principal(subject=f"user:{owner_id}", user_id=owner_id, tenant_id=tenant_id)
    return NewJob(
        kind="tenant.provision",
        payload={"owner_id": str(owner_id)},
        principal=owner,
        idempotency_key=IDEMPOTENCY_KEY,
    )


def ensure_provisioning(tenancy: Tenancy, tenant_id: UUID, owner_id: UUID) -> Submitted:
    """The tenant's provisioning job, submitted now if it was not before."""
    return submit(tenancy, provisioning_job(tenant_id, owner_id))
