"""How a tenant notifies: its defaults and providers, templates, suppressions and broadcasts."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase

BROADCAST_STATES = ("running", "paused", "cancelled", "finished")


class NotificationSettings(Owned, TenantBase):
    """One row for each tenant, whose id is the tenant's. `version` also counts changes of the providers."""

    __tablename__ = "notification_settings"
    __table_args__ = (
        CheckConstraint("platform_providers IN ('when_none', 'fallback', 'never')", name="platform_providers"),
    )

    preferences: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    quiet_hours: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    locale: Mapped[str] = mapped_column(server_default="en")
    platform_providers: Mapped[str] = mapped_column(server_default="when_none")
    version: Mapped[int] = mapped_column(server_default=text("0"))
    providers_version: Mapped[int] = mapped_column(server_default=text("0"))


class NotificationProvider(Owned, Created, TenantBase):
    """An account of the tenant's own. `secret_sealed` is JSON of the secret fields, which are never shown."""

    __tablename__ = "notification_providers"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    name: Mapped[str]
    channel: Mapped[str]
    type: Mapped[str]
    priority: Mapped[int]
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    config: Mapped[dict[str, Any]] = mapped_column(JSONB)
    secret_sealed: Mapped[bytes]
    last_four: Mapped[dict[str, str]] = mapped_column(JSONB)


class Template(Owned, Created, TenantBase):
    """A template by its `key`; what it says is in its versions, of which `version` is the present one."""

    __tablename__ = "templates"
    __table_args__ = (UniqueConstraint("tenant_id", "key"),)

    key: Mapped[str]
    category: Mapped[str] = mapped_column(server_default="")
    default_locale: Mapped[str] = mapped_column(server_default="en")
    version: Mapped[int] = mapped_column(server_default=text("1"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TemplateVersion(Owned, Created, TenantBase):
    """Never changed. `variants` is a list of `{channel, locale, subject, text, html}`, `variables` the names they read."""

    __tablename__ = "template_versions"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "template_id"], ["templates.tenant_id", "templates.id"], ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "template_id", "number"),
    )

    template_id: Mapped[UUID]
    number: Mapped[int]
    variants: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    variables: Mapped[list[str]] = mapped_column(JSONB)


class Suppression(Owned, Created, TenantBase):
    """An address that is not written to; with a category, not about that."""

    __tablename__ = "suppressions"
    __table_args__ = (UniqueConstraint("tenant_id", "channel", "address", "category", "reason"),)

    channel: Mapped[str]
    address: Mapped[str]
    category: Mapped[str] = mapped_column(server_default="")
    reason: Mapped[str]
    message_id: Mapped[UUID | None]


class Broadcast(Owned, Created, TenantBase):
    """A message to many. Its id is that of the job which fans it out; `through` is the last recipient handed to a batch.

    `handing` is the last one of a batch that is being handed over: whoever goes on after a crash hands over that same batch, so
    that batches never overlap.
    """

    __tablename__ = "broadcasts"
    __table_args__ = (
        CheckConstraint(f"state IN {BROADCAST_STATES}", name="state"),
        Index("ix_broadcasts_state", "tenant_id", "state"),
    )

    name: Mapped[str]
    channel: Mapped[str]
    category: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str] = mapped_column(server_default="running")
    total: Mapped[int]
    fanned_out: Mapped[int] = mapped_column(server_default=text("0"))
    through: Mapped[UUID | None]
    handing: Mapped[UUID | None]
    version: Mapped[int] = mapped_column(server_default=text("1"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class BroadcastBatch(Owned, Created, TenantBase):
    """Who of a batch is being written to at this moment, by which provider: `recipients`, and beside them the ids of their `messages`.

    Its id is that of the batch's job, and `token` that of the attempt which may go on. What a killed attempt leaves in it is in doubt.
    """

    __tablename__ = "broadcast_batches"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "broadcast_id"], ["broadcasts.tenant_id", "broadcasts.id"], ondelete="CASCADE"
        ),
    )

    broadcast_id: Mapped[UUID]
    token: Mapped[UUID]
    provider: Mapped[str | None]
    recipients: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    messages: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    marked_at: Mapped[datetime | None]
