"""Tenants: where their data lives, sealed, and the keys that seal it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class Tenant(Identified, Created, PlatformBase):
    """A customer's workspace. What is sealed opens only with the tenant's own data key.

    `server_sealed` is the account that owns the schema on an external tenant's server. `transition` is what the tenant is in
    the middle of, while it is `migrating` or `deleting`; at `erase_at` a deleted one is erased. `preferences` is what it sets
    for itself (`domain.tenants.preferences`), `settings` what the platform notes.
    """

    __tablename__ = "tenants"
    __table_args__ = (
        CheckConstraint("tier IN ('dedicated', 'pooled', 'external')", name="tier"),
        CheckConstraint(
            "state IN ('provisioning', 'active', 'suspended', 'migrating', 'failed', 'deleting', 'deleted')",
            name="state",
        ),
        Index("ix_tenants_billing_due", "billing_due_at", postgresql_where=text("billing_due_at IS NOT NULL")),
        Index("ix_tenants_schema_version", "schema_version", "database_name"),
        Index("ix_tenants_unsettled", "id", postgresql_where=text("state IN ('provisioning', 'failed')")),
        Index("ix_tenants_erase_at", "erase_at", postgresql_where=text("erase_at IS NOT NULL")),
        Index("ix_tenants_migrating", "id", postgresql_where=text("state = 'migrating'")),
    )

    name: Mapped[str]
    tier: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="provisioning")
    is_operator: Mapped[bool] = mapped_column(server_default="false")
    dsn_sealed: Mapped[bytes | None]
    database_name: Mapped[str | None]
    bucket_sealed: Mapped[bytes | None]
    schema_version: Mapped[str | None]
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    llm_provider: Mapped[str] = mapped_column(server_default="nexus")
    llm_key_sealed: Mapped[bytes | None]
    llm_config_sealed: Mapped[bytes | None]
    billing_due_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    transition: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    erase_at: Mapped[datetime | None]
    preferences: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    preferences_version: Mapped[int] = mapped_column(server_default="1")
    server_sealed: Mapped[bytes | None]
    created_by: Mapped[UUID | None]


class TenantKey(PlatformBase, Created):
    """A data key, wrapped by the master key `master_key_id`. Destroying the rows erases all that they sealed.

    The highest version seals. `job_id` is the rotation that made it. `retired_at` is when all that an older one had sealed
    was sealed anew; its row stays a while for what nobody could reseal (`tenancy.rotation`).
    """

    __tablename__ = "tenant_keys"
    __table_args__ = (Index("uq_tenant_keys_job_id", "tenant_id", "job_id", unique=True),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    master_key_id: Mapped[str]
    wrapped: Mapped[bytes]
    job_id: Mapped[UUID | None]
    retired_at: Mapped[datetime | None]


class MasterKey(PlatformBase, Created):
    """What is remembered of a master key, never the key: since when it has sealed nothing new."""

    __tablename__ = "master_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    retired_at: Mapped[datetime | None]
