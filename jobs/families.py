"""Parents and children: who they are, how far they are, and cancelling them together."""

from __future__ import annotations

from collections.abc import Collection
from typing import LiteralString
from uuid import UUID

from domain.jobs.families import DEPTH_LIMIT, Relative
from domain.jobs.states import JobState
from jobs.hints import hints
from jobs.kinds import RETENTION, retentions
from jobs.rows import COLUMNS, KEPT, LIVE, PUBLIC_STATE, JobRow
from tenancy.access import Tenancy
from tenancy.audit import audited
from tenancy.database import tenant_scope

_RELATIVES: LiteralString = f"""
WITH RECURSIVE line AS (
    SELECT id AS job_id, parent_id, state, cancel_requested, 1 AS depth FROM jobs
     WHERE id = ANY(%(ids)s::uuid[]) AND tenant_id = %(tenant_id)s AND {KEPT}
    UNION ALL
    SELECT l.job_id, j.parent_id, l.state, l.cancel_requested, l.depth + 1
      FROM line l JOIN jobs j ON j.id = l.parent_id AND j.tenant_id = %(tenant_id)s WHERE l.depth < %(deepest)s
)
SELECT job_id, state, cancel_requested, max(depth) AS depth FROM line GROUP BY job_id, state, cancel_requested
"""

_COUNTS: LiteralString = f"""
SELECT {PUBLIC_STATE} AS state, count(*) AS jobs
  FROM jobs j WHERE tenant_id = %(tenant_id)s AND parent_id = %(id)s AND {KEPT} GROUP BY 1
"""

_CANCELLED: LiteralString = f"""
   SET state = CASE WHEN state = 'running' THEN state ELSE 'cancelled' END,
       cancel_requested = true,
       finished_at = CASE WHEN state = 'running' THEN NULL ELSE now() END,
       expires_at = CASE WHEN state = 'running' THEN NULL ELSE now() + {RETENTION} END,
       version = version + 1
"""

_CANCEL: LiteralString = f"""
UPDATE jobs j
{_CANCELLED}
 WHERE id = %(id)s AND tenant_id = %(tenant_id)s
   AND {LIVE} AND NOT cancel_requested
RETURNING {COLUMNS}
"""

# A statement of its own, so that it sees the children who came in while the first one waited for the parent's row. The
# rows are locked in the order of their ids, as by all who write several.
_CANCEL_CHILDREN: LiteralString = f"""
WITH RECURSIVE family AS (
    SELECT id FROM jobs WHERE parent_id = %(id)s AND tenant_id = %(tenant_id)s
    UNION
    SELECT j.id FROM jobs j JOIN family f ON j.parent_id = f.id WHERE j.tenant_id = %(tenant_id)s
), locked AS MATERIALIZED (
    SELECT id FROM jobs WHERE id IN (SELECT id FROM family) AND {LIVE}
     ORDER BY id FOR UPDATE
)
UPDATE jobs j
{_CANCELLED}
  FROM locked
 WHERE j.id = locked.id AND j.state IN ('scheduled', 'queued', 'dispatched', 'running', 'retrying') AND NOT j.cancel_requested
   AND EXISTS (SELECT FROM jobs p WHERE p.id = %(id)s AND p.tenant_id = %(tenant_id)s AND p.cancel_requested
                  AND p.state IN ('cancelled', 'running'))
RETURNING j.id
"""


def relatives(tenancy: Tenancy, tenant_id: UUID, ids: Collection[UUID]) -> dict[UUID, Relative]:
    """The tenant's jobs among `ids`, with their depth, counted up to the limit."""
    parameters = {"ids": list(ids), "tenant_id": tenant_id, "deepest": DEPTH_LIMIT}
    rows = tenancy.platform.fetch(_RELATIVES, parameters, tenant_scope(tenant_id))
    return {
        row["job_id"]: Relative(row["job_id"], JobState(row["state"]), row["cancel_requested"], row["depth"])
        for row in rows
    }


def children_by_state(tenancy: Tenancy, tenant_id: UUID, parent_id: UUID) -> dict[str, int]:
    """How many children the job has in each state that clients see; states without any are left out."""
    rows = tenancy.platform.fetch(_COUNTS, {"tenant_id": tenant_id, "id": parent_id}, tenant_scope(tenant_id))
    return {row["state"]: row["jobs"] for row in rows}


def cancel_family(tenancy: Tenancy, tenant_id: UUID, job_id: UUID) -> JobRow | None:
    """Cancel a live job and all its live descendants; None if it was no longer live, or its cancel was asked for before.

    Either way, what is asked for a job holds for the children that it has by now.
    """
    parameters = {"id": job_id, "tenant_id": tenant_id, **retentions()}
    scope = tenant_scope(tenant_id)
    cancel = audited(_CANCEL, parameters, scope, "job.cancelled", f"job:{job_id}")
    changed, children = tenancy.platform.fetch_many([cancel, (_CANCEL_CHILDREN, parameters)], scope)
    hints(tenancy.settings).changed(row["id"] for row in [*changed, *children])
    return changed[0] if changed else None
