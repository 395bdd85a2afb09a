"""Replaying the jobs that a filter finds: each once, as new jobs that name the old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from domain.errors import PermissionDenied
from domain.identity.principals import Principal
from jobs.bulk import Answer, submit_many
from jobs.control import again
from jobs.kinds import KINDS, kind
from jobs.rows import COLUMNS, FINISHED, KEPT
from tenancy.access import Tenancy
from tenancy.database import tenant_scope

REPLAY_LIMIT = 1_000
"""Jobs that one request replays."""

CHUNK = 100
"""Jobs whose payloads are open at once: each may be large."""

_FOUND: LiteralString = f"""
  FROM jobs j
 WHERE tenant_id = %(tenant_id)s AND state = %(state)s AND kind = ANY(%(kinds)s) AND {FINISHED} AND {KEPT}
   AND (%(queue)s::text IS NULL OR queue = %(queue)s)
   AND (%(error_code)s::text IS NULL OR error_code = %(error_code)s)
   AND (%(finished_from)s::timestamptz IS NULL OR finished_at >= %(finished_from)s)
   AND (%(finished_to)s::timestamptz IS NULL OR finished_at <= %(finished_to)s)
   AND NOT EXISTS (SELECT FROM jobs r WHERE r.replay_of = j.id)
"""

_COUNT: LiteralString = f"SELECT kind, count(*) AS jobs {_FOUND} GROUP BY kind ORDER BY kind"

_IDS: LiteralString = f"SELECT id {_FOUND} ORDER BY id LIMIT %(limit)s"

_ROWS: LiteralString = f"""
SELECT {COLUMNS}, payload_sealed FROM jobs WHERE tenant_id = %(tenant_id)s AND id = ANY(%(ids)s) ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class ReplayFilter:
    """Which finished jobs: `state` is `failed` or `cancelled`, times are those of finishing, None is no condition."""

    state: str
    kind: str | None = None
    queue: str | None = None
    error_code: str | None = None
    finished_from: datetime | None = None
    finished_to: datetime | None = None


def count(tenancy: Tenancy, principal: Principal, wanted: ReplayFilter) -> dict[str, int]:
    """How many jobs of each kind the filter finds that were not replayed before. Raises as `replay_all`."""
    parameters = _parameters(principal, wanted)
    rows = tenancy.platform.fetch(_COUNT, parameters, tenant_scope(parameters["tenant_id"]))
    return {row["kind"]: row["jobs"] for row in rows}


def replay_all(
    tenancy: Tenancy, principal: Principal, wanted: ReplayFilter, limit: int = REPLAY_LIMIT
) -> list[tuple[UUID, Answer]]:
    """Replay what the filter finds, the oldest first, `limit` at most; returns each old job's id with what came of it.

    A job that was replayed is not found again, and two that replay it at once make one new job. Kinds that the caller may
    not submit are left out. Raises `UnknownKind`, and `PermissionDenied` for a filter that names such a kind.
    """
    parameters = {**_parameters(principal, wanted), "limit": min(limit, REPLAY_LIMIT)}
    tenant_id = parameters["tenant_id"]
    ids = [row["id"] for row in tenancy.platform.fetch(_IDS, parameters, tenant_scope(tenant_id))]
    answers: list[tuple[UUID, Answer]] = []
    for start in range(0, len(ids), CHUNK):
        chunk = {"tenant_id": tenant_id, "ids": ids[start : start + CHUNK]}
        rows: Sequence[Mapping[str, Any]] = tenancy.platform.fetch(_ROWS, chunk, tenant_scope(tenant_id))
        made = submit_many(tenancy, [again(tenancy, principal, row) for row in rows])
        answers += zip((row["id"] for row in rows), made, strict=True)
    return answers


def _parameters(principal: Principal, wanted: ReplayFilter) -> dict[str, Any]:
    if principal.tenant_id is None:
        raise LookupError("a replay without a tenant")
    allowed = [each.name for each in KINDS.values() if each.permission is None or principal.may(each.permission)]
    if wanted.kind is not None and kind(wanted.kind).name not in allowed:
        raise PermissionDenied(f"The permission {kind(wanted.kind).permission} is missing.")
    return {
        "tenant_id": principal.tenant_id,
        "state": wanted.state,
        "kinds": allowed if wanted.kind is None else [wanted.kind],
        "queue": wanted.queue,
        "error_code": wanted.error_code,
        "finished_from": wanted.finished_from,
        "finished_to": wanted.finished_to,
    }
