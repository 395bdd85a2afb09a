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

# Neither the event nor its job is ever there without the other. One that was kept before, or that stands here twice, inserts
# neither. In the order of the events, so that two processes that were sent the same ones wait for each other only one way.
_KEEP: LiteralString = """
WITH come AS MATERIALIZED (
    SELECT n.* FROM unnest(%(event_id)s::uuid[], %(external_id)s::text[], %(type)s::text[], %(id)s::uuid[],
                           %(payload_sealed)s::bytea[], %(request_id)s::text[], %(traceparent)s::text[])
        AS n (event_id, external_id, type, id, payload_sealed, request_id, traceparent)
     ORDER BY n.external_id
), first AS (
    INSERT INTO external_events (id, tenant_id, source, external_id, type, job_id)
    SELECT event_id, %(tenant_id)s::uuid, %(source)s::text, external_id, type, id FROM come
    ON CONFLICT DO NOTHING RETURNING job_id
)
INSERT INTO jobs (id, tenant_id, kind, queue, state, priority, max_attempts, deadline_seconds, run_at, payload_sealed,
                  principal, request_id, traceparent)
SELECT id, %(tenant_id)s::uuid, %(kind)s::text, %(queue)s::text, 'queued', %(priority)s::smallint, %(max_attempts)s::smallint,
       %(deadline_seconds)s::float8, now(), payload_sealed, %(principal)s::text, request_id, traceparent
  FROM come WHERE id IN (SELECT job_id FROM first)
RETURNING id
"""

_OF_EACH = ("event_id", "external_id", "type", "id", "payload_sealed", "request_id", "traceparent")
"""What events of one tenant and source differ in."""


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
        "external_id": event["id"],
        "type": event["type"],
    }
    job_id: UUID = row["id"]
    return job_id if _KEEPING.ask((tenancy, tenant_id, source), row) else None


_Key = tuple[Tenancy, UUID, str]
_Row = Mapping[str, Any]


def _keep(key: _Key, rows: Sequence[_Row]) -> list[bool]:
    """Whether each of the events came for the first time."""
    tenancy, tenant_id, source = key
    columns = {name: [row[name] for row in rows] for name in _OF_EACH}
    made = tenancy.platform.fetch(_KEEP, {**rows[0], **columns, "source": source}, tenant_scope(tenant_id))
    if made:
        hints(tenancy.settings).due()
    kept = {row["id"] for row in made}
    return [row["id"] in kept for row in rows]


_KEEPING: Gathering[_Key, _Row, bool] = Gathering(_keep)


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
