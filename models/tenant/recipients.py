"""The people whom a tenant writes to, their devices, and what they have chosen."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


class Recipient(Owned, Created, TenantBase):
    """`external_id` is the tenant's own name for the person. `preferences` and `quiet_hours` are the person's choices."""

    __tablename__ = "recipients"
    __table_args__ = (
        UniqueConstraint("tenant_id", "external_id"),
        Index("ix_recipients_email", "tenant_id", "email"),
        Index("ix_recipients_phone", "tenant_id", "phone"),
    )

    external_id: Mapped[str]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    locale: Mapped[str | None]
    timezone: Mapped[str | None]
    attributes: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    preferences: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    quiet_hours: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    version: Mapped[int] = mapped_column(server_default=text("1"))
    preferences_version: Mapped[int] = mapped_column(server_default=text("1"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RecipientDevice(Owned, Created, TenantBase):
    """Where push messages go. `target_sealed` is a subscription of Web Push as JSON, or a token of FCM."""

    __tablename__ = "recipient_devices"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "recipient_id"], ["recipients.tenant_id", "recipients.id"], ondelete="CASCADE"
        ),
        UniqueConstraint("tenant_id", "recipient_id", "target_hash"),
        CheckConstraint("kind IN ('web_push', 'fcm')", name="kind"),
    )

    recipient_id: Mapped[UUID]
    kind: Mapped[str]
    target_sealed: Mapped[bytes]
    target_hash: Mapped[bytes]
    last_four: Mapped[str]
    gone_at: Mapped[datetime | None]
