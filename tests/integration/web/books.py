"""The operator's books, from both sides: what its tenants ask, and what its jobs do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.identity.principals import system
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import run

BILLING = "/api/v1/billing"
WHO = {"name": "Acme", "email": "billing@example.com"}


def subscribe(caller: Caller, plan_id: UUID, expect: int = 200) -> Any:
    """The subscription of the caller's tenant to the plan of the platform."""
    response = caller.post(f"{BILLING}/subscribe", json={"plan_id": str(plan_id), **WHO})
    assert response.status_code == expect, response.json
    return response.json


def operate(engine: Tenancy, operator_tenant: UUID, kind: str, payload: dict[str, Any]) -> Any:
    """Do one of the operator's jobs, as a worker would; returns its result."""
    job = submit(engine, NewJob(kind=kind, payload=payload, principal=system("beat", operator_tenant)))
    return run(engine, operator_tenant, job.id)


def collect(engine: Tenancy, operator_tenant: UUID, tenant_id: UUID) -> dict[str, Any]:
    """A run that collects, and this tenant's relay; returns the relay's result."""
    operate(engine, operator_tenant, "usage.collect", {})
    relayed: dict[str, Any] = operate(engine, operator_tenant, "usage.relay", {"tenant_id": str(tenant_id)})
    return relayed
