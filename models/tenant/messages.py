"""Messages, one per recipient and channel, and the attempts to hand each to a provider."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, ForeignKeyConstraint, Index, SmallInteger, UniqueConstraint
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase

STATUSES = ("queued", "sent", "delivered", "delivery_attempted", "undelivered", "not_sent", "bounced", "unknown")


class Message(Owned, Created, TenantBase):
    """Its id is the id of the job that delivers it, so a job that runs twice finds the message it made."""

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint(f"status IN {STATUSES}", name="status"),
        Index(None, "search", postgresql_using="gin"),
    )

    channel: Mapped[str]
    recipient: Mapped[str]
    subject: Mapped[str]
    body_text: Mapped[str]
    body_html: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="queued")
    provider: Mapped[str | None]
    provider_id: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    search: Mapped[Any] = mapped_column(
        TSVECTOR,
        Computed(
            "setweight(to_tsvector('simple', subject), 'A') || setweight(to_tsvector('simple', body_text), 'B')",
            persisted=True,
        ),
        deferred=True,
    )


class MessageAttempt(Owned, TenantBase):
    """One provider call, written before the call. An attempt left in `calling` by a crash has an unknown outcome."""

    __tablename__ = "message_attempts"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "message_id"], ["messages.tenant_id", "messages.id"], ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "message_id", "number"),
        CheckConstraint("state IN ('calling', 'succeeded', 'failed', 'unknown')", name="state"),
    )

    message_id: Mapped[UUID]
    number: Mapped[int] = mapped_column(SmallInteger)
    provider: Mapped[str]
    state: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    error_code: Mapped[str | None]
    detail: Mapped[str | None]
