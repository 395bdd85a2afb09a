"""The routes that verify isolation: who may ask, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from tenancy.access import Tenancy
from tests.integration.web.callers import Caller
from tests.integration.web.engine import code_of, run

ALL = "/api/v1/admin/verify-isolation"


def path(tenant_id: UUID) -> str:
    return f"/api/v1/tenants/{tenant_id}/verify-isolation"


@pytest.fixture
def operator(caller: Caller, web_tenancy: Tenancy, engine_tenancy: Tenancy) -> Caller:
    """The caller, made an operator of the platform who belongs to its own tenant too."""
    engine_tenancy.platform.fetch("UPDATE users SET is_operator = true WHERE id = %(id)s", {"id": caller.user_id})
    engine_tenancy.platform.fetch(
        "INSERT INTO memberships (tenant_id, user_id) SELECT id, %(user)s FROM tenants WHERE is_operator",
        {"user": caller.user_id},
    )
    return caller


def test_a_tenants_report_is_the_result_of_a_job(caller: Caller, engine_tenancy: Tenancy) -> None:
    submitted = caller.post(path(caller.tenant_id))
    run(engine_tenancy, caller.tenant_id, UUID(submitted.json["id"]))
    job = caller.get(f"/api/v1/jobs/{submitted.json['id']}").json

    assert (submitted.status_code, job["kind"], job["state"]) == (202, "tenant.verify_isolation", "succeeded")
    assert job["result"]["isolated"] is True
    assert {"name", "tried", "expected", "result", "found"} == set(job["result"]["checks"][0])


def test_a_repeated_request_is_one_job(caller: Caller) -> None:
    first, second = (caller.post(path(caller.tenant_id), headers={"Idempotency-Key": "once"}) for _ in range(2))

    assert first.json["id"] == second.json["id"]


def test_another_tenant_cannot_be_verified(caller: Caller, stranger: Caller) -> None:
    mixed = replace(caller, headers={"Authorization": caller.headers["Authorization"]})

    assert code_of(caller.post(path(stranger.tenant_id))) == (404, "not_found")
    assert code_of(mixed.post(path(stranger.tenant_id))) == (404, "not_found")


def test_a_viewer_may_not(sign_in: Callable[..., Caller], pooled_tenant: UUID) -> None:
    assert code_of(sign_in(pooled_tenant, role="viewer").post(path(pooled_tenant))) == (403, "permission_denied")


def test_only_an_operator_verifies_all(caller: Caller) -> None:
    assert code_of(caller.post(ALL)) == (403, "permission_denied")
    assert code_of(caller.post("/api/v1/jobs", json={"kind": "platform.verify_isolation"}))[0] == 422


def test_an_operator_is_told_which_tenant_to_read_the_report_in(operator: Caller, engine_tenancy: Tenancy) -> None:
    submitted = operator.post(ALL)
    tenant_id = UUID(submitted.json["tenant_id"])
    headers = {**operator.headers, "X-Project-ID": str(tenant_id)}
    row = engine_tenancy.platform.fetch("SELECT is_operator FROM tenants WHERE id = %(id)s", {"id": tenant_id})

    assert submitted.status_code == 202
    assert row == [{"is_operator": True}]
    assert operator.get(f"/api/v1/jobs/{submitted.json['id']}", headers=headers).status_code == 403, "no role there yet"
