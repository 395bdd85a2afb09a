"""Keeping an event that a payment provider sent: the row and its job in one transaction, each event once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from domain.errors import NexusError
from domain.identity.principals import system
from domain.ids import parse_id
from jobs.hints import hints
from jobs.submit import INSERT, NewJob, insert_parameters
from models.platform import ExternalEvent
from tenancy.access import Tenancy
from tenancy.scopes import tenant_scope


def keep(
    tenancy: Tenancy,
    source: str,
    event: Mapping[str, Any],
    operator_tenant_id: UUID,
    *,
    request_id: str | None = None,
    traceparent: str | None = None,
) -> UUID | None:
    """Insert the event and its `webhook.process` job; neither is there without the other. None: it was there before.

    It belongs to the tenant that its object's metadata names, since our own payments say there whose they are; any other
    is the operator's.
    """
    tenant_id = _owner(tenancy, event) or operator_tenant_id
    new = NewJob(
        kind="webhook.process", payload={"source": source, "event": event}, principal=system(source, tenant_id),
        request_id=request_id, traceparent=traceparent,
    )  # fmt: skip
    job = insert_parameters(tenancy, new)
    row = {
        "tenant_id": tenant_id,
        "source": source,
        "external_id": event["id"],
        "type": event["type"],
        "job_id": job["id"],
    }
    statement = insert(ExternalEvent).values(row).on_conflict_do_nothing().returning(ExternalEvent.id)
    with tenancy.platform.session(tenant_scope(tenant_id)) as session:
        first = session.scalar(statement) is not None
        if first:
            session.connection().exec_driver_sql(INSERT, job)
    if not first:
        return None
    hints(tenancy.settings).due()
    job_id: UUID = job["id"]
    return job_id


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
