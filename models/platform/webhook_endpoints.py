"""Webhook endpoints of tenants, what is delivered to them, and each attempt at it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class WebhookEndpoint(Identified, Created, PlatformBase):
    """Where a tenant wants its events sent. `event_types` are selectors: `*`, `job.*`, `job.failed`.

    `disabled_at` is set by the tenant or, with another `disabled_reason` than `by_request`, by the platform. `failing_since` is
    the first failure after the last delivery.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        # Looked into whenever a job ends: empty for tenants that do not ask for that.
        Index(
            "ix_webhook_endpoints_wants_jobs",
            "tenant_id",
            postgresql_where=text(
                "disabled_at IS NULL AND event_types && ARRAY['*', 'job.*', 'job.succeeded', 'job.failed', 'job.cancelled']"
            ),
        ),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    url: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    event_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret_sealed: Mapped[bytes]
    previous_secret_sealed: Mapped[bytes | None]
    previous_secret_until: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    failing_since: Mapped[datetime | None]
    created_by: Mapped[str]
    version: Mapped[int] = mapped_column(server_default="1")


class WebhookDelivery(Identified, Created, PlatformBase):
    """One event on its way to one endpoint. The job `job_id` makes the attempts; a redelivery is a row of its own."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(
            ["tenant_id", "endpoint_id"], ["webhook_endpoints.tenant_id", "webhook_endpoints.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(["tenant_id", "event_id"], ["events.tenant_id", "events.id"], ondelete="CASCADE"),
        CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state"),
        Index("ix_webhook_deliveries_endpoint_id_id", "endpoint_id", "id"),
        Index(
            "uq_webhook_deliveries_event_id_endpoint_id",
            "event_id",
            "endpoint_id",
            unique=True,
            postgresql_where=text("redelivery_of IS NULL"),
        ),
        Index("ix_webhook_deliveries_event_id", "event_id"),
    )

    tenant_id: Mapped[UUID]
    endpoint_id: Mapped[UUID]
    event_id: Mapped[UUID]
    job_id: Mapped[UUID]
    redelivery_of: Mapped[UUID | None]
    state: Mapped[str] = mapped_column(server_default="pending")
    finished_at: Mapped[datetime | None]


class WebhookAttempt(Identified, PlatformBase):
    """One call of the endpoint, written before it is made. Without `finished_at` it runs, or its worker was lost."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "delivery_id"], ["webhook_deliveries.tenant_id", "webhook_deliveries.id"], ondelete="CASCADE"
        ),
        UniqueConstraint("delivery_id", "number"),
    )

    tenant_id: Mapped[UUID]
    delivery_id: Mapped[UUID]
    number: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None]
    response_status: Mapped[int | None]
    error_code: Mapped[str | None]
    response_sealed: Mapped[bytes | None]
