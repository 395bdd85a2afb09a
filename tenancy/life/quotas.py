"""Quotas: set by operators, held by triggers where a row is made, shown with what is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString
from uuid import UUID

from domain.errors import NotFound, PreconditionFailed
from tenancy.access import Tenancy
from tenancy.audit import audited
from tenancy.database import Database, Row, tenant_scope
from tenancy.scopes import operator_scope

BOUNDS = ("jobs_per_day", "storage_bytes", "members", "api_keys", "schedules")

_COLUMNS: LiteralString = "jobs_per_day, storage_bytes, members, api_keys, schedules, version"
_GET: LiteralString = f"SELECT {_COLUMNS} FROM tenant_quotas WHERE tenant_id = %(id)s"
_PUT: LiteralString = f"""
INSERT INTO tenant_quotas AS q (tenant_id, jobs_per_day, storage_bytes, members, api_keys, schedules, updated_by)
VALUES (%(id)s, %(jobs_per_day)s, %(storage_bytes)s, %(members)s, %(api_keys)s, %(schedules)s, %(by)s)
ON CONFLICT (tenant_id) DO UPDATE
   SET jobs_per_day = excluded.jobs_per_day, storage_bytes = excluded.storage_bytes, members = excluded.members,
       api_keys = excluded.api_keys, schedules = excluded.schedules, updated_by = excluded.updated_by, updated_at = now(), version = q.version + 1
 WHERE q.version = %(version)s
RETURNING {_COLUMNS}
"""
_USED: LiteralString = """
SELECT coalesce((SELECT jobs FROM tenant_usage WHERE tenant_id = %(id)s AND day = (now() AT TIME ZONE 'UTC')::date), 0)
           AS jobs_per_day,
       (SELECT count(*) FROM memberships WHERE tenant_id = %(id)s) AS members,
       (SELECT count(*) FROM api_keys WHERE tenant_id = %(id)s AND revoked_at IS NULL) AS api_keys,
       (SELECT count(*) FROM schedules WHERE tenant_id = %(id)s) AS schedules,
       (SELECT count(*) FROM jobs WHERE tenant_id = %(id)s AND state = 'running') AS concurrent_jobs,
       (SELECT max_running FROM tenant_limits WHERE tenant_id = %(id)s) AS most_concurrent
"""
_THERE: LiteralString = "SELECT 1 FROM tenants WHERE id = %(id)s AND state <> 'deleted'"
_UNSET: Row = {**dict.fromkeys(BOUNDS), "version": 0}


def shown(tenancy: Tenancy, tenant_id: UUID) -> Row:
    """The tenant's quotas and what is used of them. Objects are counted where they are, so this may take a while."""
    set_, used = tenancy.platform.fetch_many(
        [(_GET, {"id": tenant_id}), (_USED, {"id": tenant_id})], tenant_scope(tenant_id)
    )
    quotas = set_[0] if set_ else _UNSET
    usage = dict(used[0])
    most = usage.pop("most_concurrent")
    stored = tenancy.record(tenant_id).bucket is not None
    usage["storage_bytes"] = sum(info.size for info in tenancy.bucket(tenant_id).list()) if stored else 0
    return {**{name: quotas[name] for name in BOUNDS}, "concurrent_jobs": most, "used": usage}


def get(platform: Database, tenant_id: UUID) -> Row:
    """The quotas with their version, which is 0 where none were ever set. For operators. Raises `NotFound`."""
    if not platform.fetch(_THERE, {"id": tenant_id}, operator_scope()):
        raise NotFound(f"There is no tenant {tenant_id}.")
    rows = platform.fetch(_GET, {"id": tenant_id}, operator_scope())
    return rows[0] if rows else _UNSET


def put(platform: Database, tenant_id: UUID, quotas: Mapping[str, int | None], *, version: int, by: str) -> Row:
    """Set all quotas, in place of those of `version`. For operators. Raises `PreconditionFailed`."""
    wanted, operators = {**quotas, "id": tenant_id, "version": version, "by": by}, operator_scope()
    statement = audited(_PUT, wanted, operators, "tenant.quotas_set", f"tenant:{tenant_id}", after=quotas)
    rows = platform.fetch(*statement, operators)
    if not rows:
        raise PreconditionFailed("The quotas were changed meanwhile; read them again.")
    return rows[0]
