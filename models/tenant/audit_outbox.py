"""What of this database waits to be told to the platform's audit: written by triggers, in the change's own transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TenantBase


class AuditNote(TenantBase):
    """One change. The columns are those of the platform's `audit_entries`, where it stands under the same id a moment later."""

    __tablename__ = "audit_outbox"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    actor: Mapped[str]
    user_id: Mapped[UUID | None]
    action: Mapped[str]
    resource: Mapped[str]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    request_id: Mapped[str | None]
    address: Mapped[str | None]
