"""Reading jobs, always within one tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString
from uuid import UUID

from domain.errors import NotFound
from jobs.rows import COLUMNS, KEPT, JobRow
from tenancy.access import Tenancy
from tenancy.database import tenant_scope

_GET: LiteralString = f"SELECT {COLUMNS} FROM jobs WHERE id = %(id)s AND tenant_id = %(tenant_id)s AND {KEPT}"

FILTERS: dict[str, LiteralString] = {
    "kind": "kind = %(kind)s",
    "queue": "queue = %(queue)s",
    "parent_id": "parent_id = %(parent_id)s",
    "created_at[gte]": "created_at >= %(created_at[gte])s",
    "created_at[lte]": "created_at <= %(created_at[lte])s",
}
"""Filters by their name in the query string. `state` stands apart, because clients see other states than rows have."""

_STATES: dict[str, LiteralString] = {
    "scheduled": "state = 'scheduled' AND run_at > now()",
    "queued": "(state IN ('queued', 'dispatched') OR (state = 'scheduled' AND run_at <= now()))",
    "running": "state = 'running'",
    "retrying": "state = 'retrying'",
    "succeeded": "state = 'succeeded'",
    "failed": "state = 'failed'",
    "cancelled": "state = 'cancelled'",
}


def get(tenancy: Tenancy, tenant_id: UUID, job_id: UUID) -> JobRow:
    """One job of the tenant. Raises `NotFound`, also for another tenant's."""
    rows = tenancy.platform.fetch(_GET, {"id": job_id, "tenant_id": tenant_id}, tenant_scope(tenant_id))
    if not rows:
        raise NotFound(f"There is no job {job_id}.")
    return rows[0]


def page(
    tenancy: Tenancy,
    tenant_id: UUID,
    *,
    state: str | None = None,
    filters: Mapping[str, Any] | None = None,
    after: UUID | None = None,
    newest_first: bool = True,
    limit: int = 50,
) -> list[JobRow]:
    """Up to `limit` jobs that come after the id `after`, by time of submission (ids sort by it)."""
    conditions: list[LiteralString] = ["tenant_id = %(tenant_id)s", KEPT]
    parameters: dict[str, Any] = {"tenant_id": tenant_id, "limit": limit, "after": after}
    if state is not None:
        conditions.append(_STATES[state])
    for name, value in (filters or {}).items():
        conditions.append(FILTERS[name])
        parameters[name] = value
    if after is not None:
        conditions.append("id < %(after)s" if newest_first else "id > %(after)s")
    where: LiteralString = " AND ".join(conditions)
    order: LiteralString = "DESC" if newest_first else "ASC"
    query: LiteralString = f"SELECT {COLUMNS} FROM jobs WHERE {where} ORDER BY id {order} LIMIT %(limit)s"
    return list(tenancy.platform.fetch(query, parameters, tenant_scope(tenant_id)))
