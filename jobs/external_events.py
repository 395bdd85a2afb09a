"""Keeping an event that a payment provider sent: the row and its job in one statement, each event once.

Events that come at the same time share a round trip and a commit, and what they cost the server beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from domain.errors import NexusError
from domain.identity.principals import system
from domain.ids import new_id, parse_id
from jobs.hints import hints
from jobs.submit import NewJob, insert_parameters
from tenancy.access import Tenancy
from tenancy.gathering import Gathering
from tenancy.scopes import tenant_scope

# Neither the event nor its job is ever there without the other. One that was kept before inserts neither.
_KEEP: LiteralString = """
WITH first AS (
    INSERT INTO external_events (id, tenant_id, source, external_id, type, job_id)
    VALUES (%(event_id)s, %(tenant_id)s, %(source)s, %(external_id)s, %(type)s, %(id)s)
    ON CONFLICT DO NOTHING RETURNING job_id
)
INSERT INTO jobs (id, tenant_id, kind, queue, state, priority, max_attempts, deadline_seconds, run_at, payload_sealed,
                  principal, request_id, traceparent)
SELECT job_id, %(tenant_id)s::uuid, %(kind)s::text, %(queue)s::text, 'queued', %(priority)s::smallint,
       %(max_attempts)s::smallint, %(deadline_seconds)s::float8, now(), %(payload_sealed)s::bytea, %(principal)s::text,
       %(request_id)s::text, %(traceparent)s::text
  FROM first
RETURNING id
"""


def keep(
    tenancy: Tenancy,
    source: str,
    event: Mapping[str, Any],
    operator_tenant_id: UUID,
    *,
    request_id: str | None = None,
    traceparent: str | None = None,
) -> UUID | None:
    """Insert the event and its `webhook.process` job, whose id is returned; None: it was there before.

    It belongs to the tenant that its object's metadata names, since our own payments say there whose they are; any other
    is the operator's.
    """
    tenant_id = _owner(tenancy, event) or operator_tenant_id
    new = NewJob(
        kind="webhook.process", payload={"source": source, "event": event}, principal=system(source, tenant_id),
        request_id=request_id, traceparent=traceparent,
    )  # fmt: skip
    row = {
        **insert_parameters(tenancy, new),
        "event_id": new_id(),
        "source": source,
        "external_id": event["id"],
        "type": event["type"],
    }
    job_id = _KEEPING.ask((tenancy, tenant_id), row)
    if job_id is not None:
        hints(tenancy.settings).due()
    return job_id


_Key = tuple[Tenancy, UUID]
_Row = Mapping[str, Any]


def _keep(key: _Key, rows: Sequence[_Row]) -> list[UUID | None]:
    tenancy, tenant_id = key
    answers = tenancy.platform.fetch_many([(_KEEP, row) for row in rows], tenant_scope(tenant_id))
    return [answer[0]["id"] if answer else None for answer in answers]


_KEEPING: Gathering[_Key, _Row, UUID | None] = Gathering(_keep)


def _owner(tenancy: Tenancy, event: Mapping[str, Any]) -> UUID | None:
    data = event.get("data")
    found = data.get("object") if isinstance(data, Mapping) else None
    metadata = found.get("metadata") if isinstance(found, Mapping) else None
    written = metadata.get("tenant_id") if isinstance(metadata, Mapping) else None
    tenant_id = parse_id(written) if isinstance(written, str) else None
    if tenant_id is None:
        return None
    try:
        return tenant_id if tenancy.record(tenant_id).dsn is not None else None
    except NexusError:
        return None
