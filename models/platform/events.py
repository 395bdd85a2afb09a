"""Events: what happened in a tenant, written with what happened, and the outbox that the relay empties."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class Event(Identified, Created, PlatformBase):
    """One event. `relay_at` is when the relay is to make its jobs and deliveries, null once it has.

    `key` makes a publisher that runs again publish once. The end of a job is written by the database itself, which cannot
    seal: then `job_id` is set and `payload_sealed` comes with the relay. `endpoint_id` gets the event whatever it subscribes to.
    """

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("tenant_id", "key"),
        Index("ix_events_relay_at", "relay_at", postgresql_where=text("relay_at IS NOT NULL")),
    )

    # No foreign key, as in `jobs`: a lock on the tenant's row for each event would buy nothing.
    tenant_id: Mapped[UUID]
    name: Mapped[str]
    key: Mapped[str | None]
    payload_sealed: Mapped[bytes | None]
    job_id: Mapped[UUID | None]
    endpoint_id: Mapped[UUID | None]
    request_id: Mapped[str | None]
    traceparent: Mapped[str | None]
    relay_at: Mapped[datetime | None] = mapped_column(server_default=text("now()"))
