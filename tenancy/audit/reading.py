"""Reading the audit: pages by filter, and all that a filter finds, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from domain.audit.entries import PLATFORM
from tenancy.audit.rows import COLUMNS
from tenancy.database import Database, Row, Scope
from tenancy.identity.keyset import keyset
from tenancy.scopes import operator_scope, tenant_scope

PIECE = 500
"""Entries that an export holds at once."""

_FIND: LiteralString = f"""
SELECT {COLUMNS}, s.sequence, encode(s.hash, 'hex') AS hash
  FROM audit_entries e LEFT JOIN audit_seals s ON s.tenant_id = e.tenant_id AND s.entry_id = e.id
 WHERE e.tenant_id = %(tenant_id)s
   AND (%(actor)s::text IS NULL OR e.actor = %(actor)s)
   AND (%(action)s::text IS NULL OR e.action = %(action)s)
   AND (%(resource)s::text IS NULL OR e.resource = %(resource)s)
   AND (%(occurred_from)s::timestamptz IS NULL OR e.occurred_at >= %(occurred_from)s)
   AND (%(occurred_to)s::timestamptz IS NULL OR e.occurred_at <= %(occurred_to)s)
"""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; None is no condition."""

    actor: str | None = None
    action: str | None = None
    resource: str | None = None
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None


def chain_scope(tenant_id: UUID) -> Scope:
    """What lets the API read a chain: the tenant's own, or the platform's for operators, which the caller has checked."""
    return operator_scope() if tenant_id == PLATFORM else tenant_scope(tenant_id)


def page(
    platform: Database,
    tenant_id: UUID,
    wanted: AuditFilter,
    *,
    after: UUID | None,
    limit: int,
    newest_first: bool = True,
) -> list[Row]:
    """Up to `limit` entries of a chain beyond the id `after`. `sequence` and `hash` are null until it is sealed."""
    parameters = {**asdict(wanted), "tenant_id": tenant_id, "after": after, "limit": limit}
    return platform.fetch(keyset(_FIND, "e.id", newest_first=newest_first), parameters, chain_scope(tenant_id))


def export(platform: Database, tenant_id: UUID, wanted: AuditFilter) -> Iterator[Row]:
    """Every entry that the filter finds, the oldest first, `PIECE` at a time: no transaction stays open between."""
    after: UUID | None = None
    while True:
        rows = page(platform, tenant_id, wanted, after=after, limit=PIECE, newest_first=False)
        yield from rows
        if len(rows) < PIECE:
            return
        after = rows[-1]["id"]
