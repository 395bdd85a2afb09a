"""How far tenants have used their budgets, for those who watch over the platform: noted by whoever closes a call, written with the
figures of its process.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, LiteralString
from uuid import UUID

from jobs.readings import Statement, register_source

STANDING: LiteralString = """
SELECT count(*)::int AS budgets, count(*) FILTER (WHERE spent_micros >= limit_micros)::int AS exhausted,
       coalesce(max(spent_micros::float8 / greatest(limit_micros, 1)), 0) AS used_share,
       min(CASE period WHEN 'day' THEN (period_start AT TIME ZONE 'UTC' + interval '1 day') AT TIME ZONE 'UTC'
                       WHEN 'month' THEN (period_start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' END) AS valid_until
  FROM llm_budgets WHERE tenant_id = %(tenant_id)s
"""
"""What is noted, to be read in the tenant's database."""

_WRITE: LiteralString = """
INSERT INTO llm_budget_standings (tenant_id, budgets, exhausted, used_share, valid_until, updated_at)
SELECT n.tenant_id, n.budgets, n.exhausted, n.used_share, n.valid_until, now()
  FROM jsonb_to_recordset(%(noted)s::jsonb)
    AS n (tenant_id uuid, budgets int, exhausted int, used_share float8, valid_until timestamptz)
 WHERE n.budgets > 0 ORDER BY n.tenant_id
ON CONFLICT (tenant_id) DO UPDATE SET budgets = excluded.budgets, exhausted = excluded.exhausted,
    used_share = excluded.used_share, valid_until = excluded.valid_until, updated_at = now()
"""

_FORGET: LiteralString = "DELETE FROM llm_budget_standings WHERE tenant_id = ANY(%(tenants)s)"

_lock = threading.Lock()
_noted: dict[UUID, Mapping[str, Any]] = {}


def note(tenant_id: UUID, standing: Mapping[str, Any]) -> None:
    """Keep the latest of a tenant: a row of `STANDING`."""
    with _lock:
        _noted[tenant_id] = standing


def _take() -> list[Statement]:
    with _lock:
        noted = dict(_noted)
        _noted.clear()
    if not noted:
        return []
    rows = [{"tenant_id": tenant_id, **standing} for tenant_id, standing in noted.items()]
    without = [tenant_id for tenant_id, standing in noted.items() if not standing["budgets"]]
    return [(_WRITE, {"noted": json.dumps(rows, default=str)}), (_FORGET, {"tenants": without})]


register_source(_take)
