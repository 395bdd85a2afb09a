"""The limits of tenants: read and set by operators, obeyed through `jobs.controls`."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from domain.errors import PreconditionFailed
from domain.jobs.limits import UNLIMITED, Limits, default_burst
from jobs.controls import check_tenant
from tenancy.audit import audited
from tenancy.database import Database, Row
from tenancy.scopes import operator_scope

_COLUMNS: LiteralString = "weight, max_running, rate_per_second, burst, version, updated_at, updated_by"

_GET: LiteralString = f"SELECT {_COLUMNS} FROM tenant_limits WHERE tenant_id = %(tenant_id)s"

_PUT: LiteralString = f"""
INSERT INTO tenant_limits AS l (tenant_id, weight, max_running, rate_per_second, burst, updated_by)
VALUES (%(tenant_id)s, %(weight)s, %(max_running)s, %(rate_per_second)s, %(burst)s, %(by)s)
ON CONFLICT (tenant_id) DO UPDATE
   SET weight = excluded.weight, max_running = excluded.max_running, rate_per_second = excluded.rate_per_second,
       burst = excluded.burst, updated_by = excluded.updated_by, updated_at = now(), version = l.version + 1
 WHERE l.version = %(version)s
RETURNING {_COLUMNS}
"""

_UNSET: Row = {
    "weight": UNLIMITED.weight, "max_running": None, "rate_per_second": None, "burst": None,
    "version": 0, "updated_at": None, "updated_by": None,
}  # fmt: skip


def get(platform: Database, tenant_id: UUID) -> Row:
    """The tenant's limits with their version, which is 0 where none were ever set. Raises `NotFound`.

    For operators, which the caller has checked.
    """
    check_tenant(platform, tenant_id)
    rows = platform.fetch(_GET, {"tenant_id": tenant_id}, operator_scope())
    return {"tenant_id": tenant_id, **(rows[0] if rows else _UNSET)}


def put(platform: Database, tenant_id: UUID, limits: Limits, *, version: int, by: str) -> Row:
    """Set all limits of a tenant that is there, in place of those of `version`. A rate without a burst gets one.

    Raises `PreconditionFailed` if they were changed meanwhile.
    """
    burst = limits.burst
    if burst is None and limits.rate_per_second is not None:
        burst = default_burst(limits.rate_per_second)
    parameters = {
        "tenant_id": tenant_id, "weight": limits.weight, "max_running": limits.max_running,
        "rate_per_second": limits.rate_per_second, "burst": burst, "version": version, "by": by,
    }  # fmt: skip
    shown = {name: parameters[name] for name in ("weight", "max_running", "rate_per_second", "burst")}
    statement = audited(_PUT, parameters, operator_scope(), "tenant.limited", f"tenant:{tenant_id}", after=shown)
    rows = platform.fetch(*statement, operator_scope())
    if not rows:
        raise PreconditionFailed("The limits were changed meanwhile; read them again.")
    return {"tenant_id": tenant_id, **rows[0]}
