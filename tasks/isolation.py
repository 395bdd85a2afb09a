"""`tenant.verify_isolation` tries one tenant's accounts on others; `platform.verify_isolation` does it for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

from domain.errors import NotFound, Permanent, TenantUnavailable
from domain.isolation.report import Result, summary
from jobs.context import JobContext
from jobs.handlers import handles
from tenancy.isolation.verify import Verifier

REPORTED_TENANTS = 100
"""Tenants with gaps that a report on all of them spells out."""

_ACTIVE: LiteralString = """
SELECT id, name FROM tenants WHERE state = 'active' AND dsn_sealed IS NOT NULL ORDER BY id
"""
_IS_OPERATOR: LiteralString = "SELECT is_operator FROM tenants WHERE id = %(id)s"


@handles("tenant.verify_isolation")
def verify_tenant(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Report on the job's tenant. Names no other tenant and no account."""
    verifier = Verifier(context.settings, context.tenancy)
    context.progress(0, 2, "the tenant")
    own = verifier.tenant(context.tenant_id)
    context.progress(1, 2, "the platform")
    return {"tenant_id": str(context.tenant_id), **summary([*own, *verifier.platform()])}


@handles("platform.verify_isolation")
def verify_all(context: JobContext, _payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Report on the platform and every active tenant, for operators: of tenants, what failed."""
    platform = context.tenancy.platform
    if not platform.fetch(_IS_OPERATOR, {"id": context.tenant_id})[0]["is_operator"]:
        raise Permanent("Only the operator's tenant may verify all.", code="not_an_operator")
    verifier = Verifier(context.settings, context.tenancy)
    shared = verifier.platform()
    tenants = platform.fetch(_ACTIVE, {})
    counts = dict.fromkeys(map(str, Result), 0)
    broken: list[dict[str, Any]] = []
    for number, row in enumerate(tenants):
        context.progress(number, len(tenants), row["name"])
        try:
            report = summary(verifier.tenant(row["id"]))
        except (NotFound, TenantUnavailable):
            continue  # removed since the list was read
        counts = {result: count + report[result] for result, count in counts.items()}
        if not report["isolated"]:
            failed = [check for check in report["checks"] if check["result"] == Result.FAILED]
            broken.append({"tenant_id": str(row["id"]), "checks": failed})
    whole = summary(shared)
    return {
        **whole,
        **{result: count + whole[result] for result, count in counts.items()},
        "isolated": whole["isolated"] and not broken,
        "tenants": len(tenants),
        "tenants_with_gaps": len(broken),
        "gaps": broken[:REPORTED_TENANTS],
    }
