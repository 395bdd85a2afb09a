"""Messages, one per recipient and channel, the attempts to hand each to a provider, and what was heard of it since."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase

STATUSES = ("queued", "sent", "delivered", "delivery_attempted", "undelivered", "not_sent", "bounced", "unknown")


class Message(Owned, Created, TenantBase):
    """Its id is the id of the job that delivers it, so a job that runs twice finds the message it made.

    A message of a broadcast is delivered with others by one job, and has an id of its own. `notification_id` is what it
    belongs to: a broadcast, or the job that sent to several people and channels. `reason` is the rule that decided.
    """

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint(f"status IN {STATUSES}", name="status"),
        Index(None, "search", postgresql_using="gin"),
        Index("ix_messages_notification", "tenant_id", "notification_id", "status"),
        Index(
            "uq_messages_broadcast_recipient", "tenant_id", "notification_id", "recipient_id", unique=True,
            postgresql_where=text("in_broadcast"),
        ),
        Index("ix_messages_provider_id", "tenant_id", "provider_id"),
        Index("ix_messages_feed", "tenant_id", "recipient_id", "id", postgresql_where=text("channel = 'in_app'")),
    )  # fmt: skip

    channel: Mapped[str]
    recipient: Mapped[str]
    subject: Mapped[str]
    body_text: Mapped[str]
    body_html: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="queued")
    provider: Mapped[str | None]
    provider_id: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    notification_id: Mapped[UUID | None]
    in_broadcast: Mapped[bool] = mapped_column(server_default=text("false"))
    recipient_id: Mapped[UUID | None]
    category: Mapped[str] = mapped_column(server_default="")
    locale: Mapped[str | None]
    template: Mapped[str | None]
    template_version: Mapped[int | None]
    reason: Mapped[str | None]
    held_until: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    clicked_at: Mapped[datetime | None]
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


class MessageEvent(Owned, TenantBase):
    """Something heard of a message after it left. `key` is the teller's, so that what is told twice is kept once."""

    __tablename__ = "message_events"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "message_id"], ["messages.tenant_id", "messages.id"], ondelete="CASCADE"),
        UniqueConstraint("tenant_id", "message_id", "key"),
    )

    message_id: Mapped[UUID]
    key: Mapped[str]
    event: Mapped[str]
    source: Mapped[str]
    detail: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
