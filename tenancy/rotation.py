"""Rotating a tenant's data keys and the platform's master keys, while everybody goes on.

A data key's life: *made* (the newest version seals, all open; a process that meets a version it does not know reads the
keys again), *retired* once all that stands under it has been sealed anew, *destroyed* `GRACE` later. The grace is for what
a rotation cannot reach: kept answers to repeated requests, which live a day, and attempts that took their keys before
the rotation and seal their result when they end. A last pass before the destruction finds what those have left.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

from tenancy.access import Tenancy
from tenancy.audit import audited
from tenancy.database import Row, tenant_scope
from tenancy.vault import data_key_place, new_data_key

GRACE = timedelta(hours=25)

_MADE: LiteralString = "SELECT version FROM tenant_keys WHERE tenant_id = %(tenant_id)s AND job_id = %(job_id)s"
_NEWEST: LiteralString = "SELECT max(version) AS version FROM tenant_keys WHERE tenant_id = %(tenant_id)s"
_INSERT: LiteralString = """
INSERT INTO tenant_keys (tenant_id, version, master_key_id, wrapped, job_id)
VALUES (%(tenant_id)s, %(version)s, %(master_key_id)s, %(wrapped)s, %(job_id)s)
ON CONFLICT DO NOTHING RETURNING version
"""
_RETIRE: LiteralString = """
UPDATE tenant_keys k SET retired_at = coalesce(retired_at, now())
 WHERE tenant_id = %(tenant_id)s AND version < %(newest)s RETURNING retired_at
"""
_DESTROY: LiteralString = """
DELETE FROM tenant_keys WHERE tenant_id = %(tenant_id)s AND retired_at < now() - %(grace)s
   AND version < (SELECT max(version) FROM tenant_keys WHERE tenant_id = %(tenant_id)s)
RETURNING version
"""


def add_version(tenancy: Tenancy, tenant_id: UUID, job_id: UUID) -> int:
    """The version that this rotation has made, now or in an earlier attempt: from now on it seals.

    Raises `Transient` while a key service is away.
    """
    where = {"tenant_id": tenant_id, "job_id": job_id}
    while not (made := tenancy.platform.fetch(_MADE, where, tenant_scope(tenant_id))):
        version = tenancy.platform.fetch(_NEWEST, where, tenant_scope(tenant_id))[0]["version"] + 1
        master_key_id, wrapped = tenancy.ring.wrap(new_data_key(), data_key_place(tenant_id, version))
        new = {**where, "version": version, "master_key_id": master_key_id, "wrapped": wrapped}
        scope = tenant_scope(tenant_id)
        shown = {"version": version}
        tenancy.platform.fetch(
            *audited(_INSERT, new, scope, "tenant.key_rotated", f"tenant:{tenant_id}", after=shown), scope
        )
    tenancy.directory.forget(tenant_id)
    return int(made[0]["version"])


def retire_older(tenancy: Tenancy, tenant_id: UUID, newest: int) -> datetime:
    """Note that nothing stands under the older versions any more; returns when they may be destroyed."""
    where = {"tenant_id": tenant_id, "newest": newest}
    rows = tenancy.platform.fetch(_RETIRE, where, tenant_scope(tenant_id))
    retired: datetime = max(row["retired_at"] for row in rows)
    return retired + GRACE


def destroy_retired(tenancy: Tenancy, tenant_id: UUID) -> list[int]:
    """Delete the versions whose grace is over, never the newest; returns their numbers."""
    scope, where = tenant_scope(tenant_id), {"tenant_id": tenant_id, "grace": GRACE}
    statement = audited(_DESTROY, where, scope, "tenant.key_destroyed", f"tenant:{tenant_id}")
    rows = tenancy.platform.fetch(*statement, scope)
    tenancy.directory.forget(tenant_id)
    return sorted(row["version"] for row in rows)


def versions(tenancy: Tenancy, tenant_id: UUID) -> list[Row]:
    """The tenant's data keys, without the keys: version, master key, made and retired."""
    query: LiteralString = """
    SELECT version, master_key_id, created_at, retired_at FROM tenant_keys WHERE tenant_id = %(tenant_id)s ORDER BY version
    """
    return tenancy.platform.fetch(query, {"tenant_id": tenant_id}, tenant_scope(tenant_id))
