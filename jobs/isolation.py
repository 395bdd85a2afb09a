"""Submitting the jobs that verify isolation: of one tenant by its members, of all by an operator."""

from __future__ import annotations

from dataclasses import replace
from typing import LiteralString
from uuid import UUID

from domain.errors import NotFound
from jobs.submit import NewJob, Submitted, submit
from tenancy.access import Tenancy
from tenancy.scopes import operator_scope

_OPERATOR_TENANT: LiteralString = "SELECT id FROM tenants WHERE is_operator LIMIT 1"


def submit_for_all(tenancy: Tenancy, new: NewJob) -> tuple[Submitted, UUID]:
    """Submit `new` in the operator's tenant, whichever tenant its principal has selected; returns that tenant too.

    Raises `NotFound` on a platform whose operator's tenant is gone.
    """
    rows = tenancy.platform.fetch(_OPERATOR_TENANT, {}, operator_scope())
    if not rows:
        raise NotFound("The platform has no operator's tenant.")
    tenant_id: UUID = rows[0]["id"]
    return submit(tenancy, replace(new, principal=replace(new.principal, tenant_id=tenant_id))), tenant_id
