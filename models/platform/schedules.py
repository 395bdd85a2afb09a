"""Schedules: what a tenant wants done again and again, by a cron expression on a wall clock."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class Schedule(Identified, Created, PlatformBase):
    """A job to submit at each firing of `cron` in `timezone`, as `principal`: who last decided what it does.

    `next_at` is the earliest period that was not fired; without one the schedule rests, and `disabled_reason` says why.
    `last_fired_at` is the latest period that was fired, and `last_job_id` its job, which may be gone by retention.
    `version` grows with each edit, not with firings.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("missed IN ('skip', 'last', 'all')", name="missed"),
        CheckConstraint("(next_at IS NULL) = (disabled_reason IS NOT NULL)", name="resting_for_a_reason"),
        UniqueConstraint("tenant_id", "name"),
        Index("ix_schedules_tenant_id_id", "tenant_id", "id"),
        Index("ix_schedules_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    name: Mapped[str]
    kind: Mapped[str]
    payload_sealed: Mapped[bytes]
    cron: Mapped[str]
    timezone: Mapped[str]
    missed: Mapped[str]
    priority: Mapped[int | None] = mapped_column(SmallInteger)
    principal: Mapped[str]
    next_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    last_fired_at: Mapped[datetime | None]
    last_job_id: Mapped[UUID | None]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
