"""Submitting what a tenant's life needs without anybody asking: settling what was given up, erasing, backups."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

import structlog

from domain.errors import NotFound, UniqueKeyTaken
from domain.identity.principals import Principal, system
from jobs.rows import LIVE
from jobs.submit import NewJob, submit
from tenancy.access import Tenancy
from tenancy.database import tenant_scope
from tenancy.vault import SealBroken

_STUCK: LiteralString = f"""
SELECT t.id AS tenant_id, coalesce(j.error_code, j.state, 'gone') AS code
  FROM tenants t LEFT JOIN jobs j ON j.id = (t.transition ->> 'job')::uuid
 WHERE t.state = 'migrating' AND t.transition IS NOT NULL
   AND NOT EXISTS (SELECT FROM jobs l WHERE l.id = (t.transition ->> 'job')::uuid AND {LIVE})
"""
_TO_SETTLE: LiteralString = f"""
{_STUCK}
   AND NOT EXISTS (SELECT FROM jobs c WHERE c.tenant_id = t.id AND c.kind = 'tenant.settle'
                      AND c.created_at > greatest(coalesce(j.finished_at, t.created_at), now() - interval '10 minutes'))
 LIMIT 100
"""
"""Settling that failed for good begins anew after ten minutes, as undoing does."""

_DUE: LiteralString = """
SELECT t.id AS tenant_id, (SELECT o.id FROM tenants o WHERE o.is_operator LIMIT 1) AS operator_id
  FROM tenants t
 WHERE t.erase_at <= now() AND t.state = 'deleting'
   AND NOT EXISTS (SELECT FROM jobs e WHERE e.kind = 'tenant.erase' AND e.unique_key = t.id::text
                      AND e.created_at > now() - interval '10 minutes')
 ORDER BY t.erase_at LIMIT 100
"""
_BACKUPS: LiteralString = """
SELECT t.id AS tenant_id FROM tenants t
 WHERE t.state IN ('active', 'suspended') AND coalesce((t.preferences ->> 'backups')::boolean, true)
   AND NOT EXISTS (SELECT FROM tenant_archives a WHERE a.tenant_id = t.id AND a.kind = 'backup'
                      AND a.created_at > now() - make_interval(secs => %(seconds)s))
   AND NOT EXISTS (SELECT FROM jobs b WHERE b.tenant_id = t.id AND b.kind = 'tenant.export' AND b.unique_key = 'backup'
                      AND b.created_at > now() - make_interval(secs => least(%(seconds)s, 3600)))
 ORDER BY t.id LIMIT 100
"""
"""A backup that failed is tried again an hour later."""

log = structlog.get_logger(__name__)


def given_up(tenancy: Tenancy, tenant_id: UUID) -> str | None:
    """Why what the tenant was in the middle of will not go on: None if it may."""
    rows = tenancy.platform.fetch(f"{_STUCK} AND t.id = %(id)s", {"id": tenant_id}, tenant_scope(tenant_id))
    return f"{rows[0]['code']}: it was given up" if rows else None


def submit_settlements(tenancy: Tenancy) -> int:
    """Submit `tenant.settle` for each tenant whose move or restore has ended without it; returns how many."""
    return sum(
        _submit(tenancy, NewJob("tenant.settle", {}, system("life", row["tenant_id"]), unique_key="settle"))
        for row in tenancy.platform.fetch(_TO_SETTLE, {})
    )


def submit_erasures(tenancy: Tenancy) -> int:
    """Submit `tenant.erase`, in the operator's tenant, for each whose grace is over; returns how many."""
    return sum(
        _submit(tenancy, _erasure(row["tenant_id"], system("life", row["operator_id"])))
        for row in tenancy.platform.fetch(_DUE, {})
        if row["operator_id"] is not None
    )


def submit_backups(tenancy: Tenancy) -> int:
    """Submit a backup for each tenant whose last one is older than the setting says; returns how many."""
    hours = tenancy.settings.backup_hours
    if hours <= 0:
        return 0
    return sum(
        _submit(
            tenancy,
            NewJob("tenant.export", {"kind": "backup"}, system("beat", row["tenant_id"]), unique_key="backup"),
        )
        for row in tenancy.platform.fetch(_BACKUPS, {"seconds": hours * 3600})
    )


def _erasure(tenant_id: UUID, who: Principal) -> NewJob:
    return NewJob("tenant.erase", {"tenant_id": str(tenant_id)}, who, unique_key=str(tenant_id))


def _submit(tenancy: Tenancy, new: NewJob) -> bool:
    try:
        return submit(tenancy, new).created
    except UniqueKeyTaken:
        return False
    except (NotFound, SealBroken):
        # One tenant whose keys cannot be read must not keep the others waiting.
        log.warning("tenant.life_impossible", kind=new.kind, tenant_id=str(new.principal.tenant_id))
        return False
