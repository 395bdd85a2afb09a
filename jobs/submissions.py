"""What was submitted: a job's payload, opened for whoever shows the thing that the job is about to make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from domain.errors import NotFound
from jobs.rows import COLUMNS, KEPT, JobRow, open_json
from tenancy.access import Tenancy
from tenancy.database import tenant_scope

_GET: LiteralString = f"""
SELECT {COLUMNS}, payload_sealed FROM jobs WHERE id = %(id)s AND tenant_id = %(tenant_id)s AND kind = %(kind)s AND {KEPT}
"""


@dataclass(frozen=True, slots=True)
class Submission:
    """A job and its payload, as it was accepted."""

    row: JobRow
    payload: Mapping[str, Any]


def submission(tenancy: Tenancy, tenant_id: UUID, kind: str, job_id: UUID) -> Submission:
    """The tenant's job of that kind. Raises `NotFound`, also for another tenant's job and for one of another kind."""
    parameters = {"id": job_id, "tenant_id": tenant_id, "kind": kind}
    rows = tenancy.platform.fetch(_GET, parameters, tenant_scope(tenant_id))
    if not rows:
        raise NotFound(f"There is no {kind} {job_id}.")
    sealed = bytes(rows[0]["payload_sealed"])
    return Submission(rows[0], open_json(sealed, "payload_sealed", job_id, tenancy.vault(tenant_id)))
