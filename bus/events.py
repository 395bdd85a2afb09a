"""Publishing what happened, and reading it back.

An event is a row in the platform database, written in the publisher's own transaction: it is there if and only if what it
tells of is. The relay (`bus.relay`) makes of it one job for each subscriber and one delivery for each endpoint that wants it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy.orm import Session

from config.telemetry.trace import traceparent
from domain.errors import NotFound
from domain.events import EVENTS
from domain.ids import new_id
from jobs.context import JobContext
from tenancy.access import Tenancy
from tenancy.audit import current_origin
from tenancy.database import Row, tenant_scope
from tenancy.identity.keyset import keyset
from tenancy.vault import Vault

# A publisher that runs again finds its event: the no-op update makes the row come back.
_INSERT: LiteralString = """
INSERT INTO events (id, tenant_id, name, key, payload_sealed, endpoint_id, request_id, traceparent, relay_at)
VALUES (%(id)s, %(tenant_id)s, %(name)s, %(key)s, %(payload_sealed)s, %(endpoint_id)s, %(request_id)s, %(traceparent)s,
        CASE WHEN %(relayed)s THEN now() END)
ON CONFLICT (tenant_id, key) DO UPDATE SET key = excluded.key
RETURNING id
"""

_COLUMNS: LiteralString = "id, name, payload_sealed, created_at"
_READABLE: LiteralString = f"""
SELECT {_COLUMNS} FROM events
 WHERE tenant_id = %(tenant_id)s AND payload_sealed IS NOT NULL AND (%(name)s::text IS NULL OR name = %(name)s)
"""
_GET: LiteralString = f"""
SELECT {_COLUMNS} FROM events WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND payload_sealed IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as subscribers, endpoints and readers get it. `data` is JSON."""

    id: UUID
    type: str
    timestamp: datetime
    data: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The body of a webhook: the envelope of the Standard Webhooks specification, and the event's id."""
        return {
            "id": str(self.id),
            "type": self.type,
            "timestamp": self.timestamp.isoformat().replace("+00:00", "Z"),
            "data": self.data,
        }


def publish(
    session: Session,
    vault: Vault,
    name: str,
    payload: Mapping[str, Any],
    *,
    key: str | None = None,
    endpoint_id: UUID | None = None,
    relayed: bool = True,
) -> UUID:
    """Write an event of the vault's tenant in the caller's transaction on the platform database; returns its id.

    The same `key` in a tenant is the same event, however often it is published. `endpoint_id` gets the event whatever it
    subscribes to; with `relayed` false nobody else does, and the caller makes the delivery. Raises `LookupError` for a name
    that `domain.events` does not list.
    """
    parameters = _parameters(vault, name, payload, key, endpoint_id, relayed=relayed)
    event_id: UUID = session.connection().exec_driver_sql(_INSERT, parameters).scalar_one()
    return event_id


def announce(context: JobContext, name: str, payload: Mapping[str, Any], *, key: str = "") -> UUID:
    """Publish from a job whose effect is in the tenant's database, once per job and `key`; returns the event's id.

    Call it after the effect's commit and before the handler returns. The job itself is the outbox: killed in between, it
    runs again, finds its effect done and comes here once more. Raises `LookupError` as `publish`.
    """
    vault = context.tenancy.vault(context.tenant_id)
    parameters = _parameters(vault, name, payload, f"{context.job_id}:{name}:{key}", None, relayed=True)
    event_id: UUID = context.tenancy.platform.fetch(_INSERT, parameters)[0]["id"]
    return event_id


def get(tenancy: Tenancy, tenant_id: UUID, event_id: UUID) -> Event:
    """One event of the tenant. Raises `NotFound`, also for another tenant's."""
    rows = tenancy.platform.fetch(_GET, {"tenant_id": tenant_id, "id": event_id}, tenant_scope(tenant_id))
    if not rows:
        raise NotFound(f"There is no event {event_id}.")
    return opened(rows[0], tenancy.vault(tenant_id))


def page(
    tenancy: Tenancy, tenant_id: UUID, *, name: str | None, after: UUID | None, limit: int, newest_first: bool
) -> Sequence[Event]:
    """Up to `limit` events beyond the id `after`."""
    parameters = {"tenant_id": tenant_id, "name": name, "after": after, "limit": limit}
    query = keyset(_READABLE, "id", newest_first=newest_first)
    vault = tenancy.vault(tenant_id)
    return [opened(row, vault) for row in tenancy.platform.fetch(query, parameters, tenant_scope(tenant_id))]


def sealed(payload: Mapping[str, Any], event_id: UUID, vault: Vault) -> bytes:
    """The payload for its place in `events`. It must be plain JSON."""
    return vault.seal(json.dumps(payload, separators=(",", ":")).encode(), "events", "payload_sealed", event_id)


def opened(row: Row, vault: Vault) -> Event:
    """The event of a row with `id`, `name`, `payload_sealed` and `created_at`."""
    plain = vault.open(bytes(row["payload_sealed"]), "events", "payload_sealed", row["id"])
    return Event(row["id"], row["name"], row["created_at"], json.loads(plain))


def _parameters(
    vault: Vault, name: str, payload: Mapping[str, Any], key: str | None, endpoint_id: UUID | None, *, relayed: bool
) -> dict[str, Any]:
    if name not in EVENTS:
        raise LookupError(f"{name} is not in domain.events")
    event_id = new_id()
    return {
        "id": event_id,
        "tenant_id": vault.tenant_id,
        "name": name,
        "key": key,
        "payload_sealed": sealed(payload, event_id, vault),
        "endpoint_id": endpoint_id,
        "request_id": current_origin().request_id,
        "traceparent": traceparent(),
        "relayed": relayed,
    }
