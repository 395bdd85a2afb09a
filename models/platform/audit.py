"""The audit: entries that nobody changes, the seals that chain them, what is still to be sealed, and where chains begin.

`tenant_id` names the chain and is no foreign key: the record of a tenant outlives it. The nil UUID is the platform's own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import PlatformBase


class AuditEntry(PlatformBase):
    """Who did what, when, to which object. Inserted in the transaction of the change, and never changed."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_actor", "tenant_id", "actor", "id"),
        Index("ix_audit_entries_resource", "tenant_id", "resource", "id"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    actor: Mapped[str]
    user_id: Mapped[UUID | None]
    action: Mapped[str]
    resource: Mapped[str]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    request_id: Mapped[str | None]
    address: Mapped[str | None]


class AuditUnsealed(PlatformBase):
    """An entry that waits for its seal. A trigger puts it here, the sealer takes it away."""

    __tablename__ = "audit_unsealed"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    entry_id: Mapped[UUID] = mapped_column(primary_key=True)


class AuditSeal(PlatformBase):
    """An entry's place in its tenant's chain, and the hash over all up to there."""

    __tablename__ = "audit_seals"
    __table_args__ = (UniqueConstraint("tenant_id", "entry_id"), Index(None, "sealed_at"))

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    entry_id: Mapped[UUID]
    hash: Mapped[bytes]
    sealed_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AuditAnchor(PlatformBase):
    """The last link of what was pruned from a chain: the rest is verified from here."""

    __tablename__ = "audit_anchors"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes]
    pruned_at: Mapped[datetime] = mapped_column(server_default=func.now())
