"""The API's `audit`. Made from the API's description by `make reference`; edits here are lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from nexus_client.api import models
from nexus_client.pages import items
from nexus_client.transport import Transport, segment


class Audit:
    """The operations whose path begins with `audit`."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def list_audit_entries(self, *, actor: str | None = None, action: str | None = None, resource: str | None = None, occurred_at_gte: str | None = None, occurred_at_lte: str | None = None, limit: int | None = None, cursor: str | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> models.AuditEntryPage:
        """List what was changed in the tenant, and by whom.

        Needs the permission `audit:read`.
        """
        answer: models.AuditEntryPage = self._transport.send("GET", "/api/v1/audit", query={"actor": actor, "action": action, "resource": resource, "occurred_at[gte]": occurred_at_gte, "occurred_at[lte]": occurred_at_lte, "limit": limit, "cursor": cursor, "sort": sort})
        return answer

    def iterate_audit_entries(self, *, actor: str | None = None, action: str | None = None, resource: str | None = None, occurred_at_gte: str | None = None, occurred_at_lte: str | None = None, limit: int | None = None, sort: Literal["created_at", "-created_at"] | None = None) -> Iterator[models.AuditEntry]:
        """Every item of `list_audit_entries`, page after page."""
        return items(lambda cursor: self.list_audit_entries(actor=actor, action=action, resource=resource, occurred_at_gte=occurred_at_gte, occurred_at_lte=occurred_at_lte, limit=limit, sort=sort, cursor=cursor))

    def verify_audit(self, *, after: int | None = None, limit: int | None = None, head: str | None = None) -> models.AuditVerdict:
        """Hold a piece of the tenant's chain to its hashes.

        Go on with `next` as `after` until it is null. Whatever was altered, removed or put elsewhere is among `faults`. Note
        the last `head` elsewhere and send it the next time.

        Needs the permission `audit:read`.
        """
        answer: models.AuditVerdict = self._transport.send("GET", "/api/v1/audit/verify", query={"after": after, "limit": limit, "head": head})
        return answer

    def export_audit(self, *, actor: str | None = None, action: str | None = None, resource: str | None = None, occurred_at_gte: str | None = None, occurred_at_lte: str | None = None, format: Literal["ndjson", "csv"] | None = None) -> bytes:
        """Download what was changed in the tenant, the oldest first.

        Needs the permission `audit:read`.
        """
        answer: bytes = self._transport.send("GET", "/api/v1/audit/export", query={"actor": actor, "action": action, "resource": resource, "occurred_at[gte]": occurred_at_gte, "occurred_at[lte]": occurred_at_lte, "format": format})
        return answer

    def create_audit_export(self, *, wait: int | None = None, idempotency_key: str | None = None) -> models.Job:
        """Write the whole chain of the tenant's changes into a file in its bucket.

        `nexus audit verify FILE` verifies it without the platform. Note the `head` of the result elsewhere.

        Needs the permission `audit:read`.
        """
        answer: models.Job = self._transport.send("POST", "/api/v1/audit/exports", query={"wait": wait}, keyed=True, idempotency_key=idempotency_key)
        return answer

    def download_audit_export(self, export_id: str, /) -> bytes:
        """Download what a job has written. `conflict` while it has not finished.

        Needs the permission `audit:read`.
        """
        answer: bytes = self._transport.send("GET", f"/api/v1/audit/exports/{segment(export_id)}")
        return answer
