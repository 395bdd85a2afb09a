"""Submitting the jobs that make a tenant, once per tenant, and that undo one whose making was given up."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

import structlog

from domain.errors import NotFound, Transient, UniqueKeyTaken
from domain.identity.principals import Principal, system
from jobs.rows import LIVE
from jobs.submit import INTERNAL, NewJob, Submitted, submit
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.vault import SealBroken

IDEMPOTENCY_KEY = f"{INTERNAL}provision"

_GIVEN_UP: LiteralString = f"""
SELECT t.id AS tenant_id, j.attempt, coalesce(j.error_code, j.state) AS code
  FROM tenants t
  JOIN LATERAL (SELECT state, attempt, error_code, finished_at FROM jobs
                 WHERE tenant_id = t.id AND kind = 'tenant.provision' ORDER BY id DESC LIMIT 1) j ON true
 WHERE t.state IN ('provisioning', 'failed') AND (t.state = 'provisioning' OR t.settings -> 'undoing' IS NOT NULL)
   AND j.state IN ('failed', 'cancelled')
   AND NOT EXISTS (SELECT 1 FROM jobs WHERE tenant_id = t.id AND kind = 'tenant.provision' AND {LIVE})
"""

_TO_UNDO: LiteralString = f"""
{_GIVEN_UP}
   AND EXISTS (SELECT 1 FROM tenant_keys WHERE tenant_id = t.id)
   AND NOT EXISTS (SELECT 1 FROM jobs c WHERE c.tenant_id = t.id AND c.kind = 'tenant.compensate'
                      AND c.created_at > greatest(j.finished_at, now() - interval '10 minutes'))
 LIMIT 100
"""
"""Undoing that failed for good begins anew after a while: a server may be back, an account may have been mended. The
names on the servers are derived from the tenant's keys: without those there is nothing to look for."""

log = structlog.get_logger(__name__)


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


def given_up(tenancy: Tenancy, tenant_id: UUID) -> str | None:
    """Why the tenant will not be made: None if it was made, or may still be."""
    rows = tenancy.platform.fetch(
        f"{_GIVEN_UP} AND t.id = %(tenant_id)s", {"tenant_id": tenant_id}, tenant_scope(tenant_id)
    )
    return f"{rows[0]['code']}: provisioning was given up after {rows[0]['attempt']} attempts" if rows else None


def submit_compensations(tenancy: Tenancy) -> int:
    """Submit `tenant.compensate` for each tenant whose provisioning has ended without one; returns how many.

    However the provisioning ended: by its handler, by the loss of its last worker, or cancelled before it began.
    """
    submitted = 0
    for row in tenancy.platform.fetch(_TO_UNDO, {}):
        who = system("provisioning", row["tenant_id"])
        try:
            submitted += submit(tenancy, NewJob("tenant.compensate", {}, who, unique_key="compensate")).created
        except UniqueKeyTaken:
            continue
        except (NotFound, SealBroken, Transient):
            # One tenant whose keys cannot be read must not keep the others from being undone.
            log.warning("tenant.compensation_impossible", tenant_id=str(row["tenant_id"]))
            continue
        log.warning("tenant.provisioning_given_up", tenant_id=str(row["tenant_id"]), code=row["code"])
    return submitted
