"""What operators tell the dispatcher: what to hold back, and how much of the engine a tenant may use."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Double, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, PlatformBase


class DispatchPause(PlatformBase, Created):
    """A queue, a kind or a tenant of which nothing is dispatched while the row is there.

    `obeyed_at` is when the leader first read it. The leader counts `in_flight` at `measured_at`; a count of 0 that is younger
    than `obeyed_at` means that all is drained, for nothing can have been dispatched since.
    """

    __tablename__ = "dispatch_pauses"
    __table_args__ = (CheckConstraint("scope IN ('queue', 'kind', 'tenant')", name="scope"),)

    scope: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(server_default="")
    drain: Mapped[bool] = mapped_column(server_default="false")
    paused_by: Mapped[str]
    obeyed_at: Mapped[datetime | None]
    in_flight: Mapped[int | None]
    measured_at: Mapped[datetime | None]


class TenantLimits(PlatformBase):
    """A tenant's share. Without a row it has weight 1 and no bound. Null means no bound; rates are jobs per second."""

    __tablename__ = "tenant_limits"
    __table_args__ = (
        CheckConstraint("weight > 0", name="weight"),
        CheckConstraint("max_running > 0", name="max_running"),
        CheckConstraint("rate_per_second > 0", name="rate_per_second"),
        CheckConstraint("burst > 0", name="burst"),
        CheckConstraint("(burst IS NULL) = (rate_per_second IS NULL)", name="burst_with_rate"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    weight: Mapped[float] = mapped_column(Double(), server_default="1")
    max_running: Mapped[int | None]
    rate_per_second: Mapped[float | None] = mapped_column(Double())
    burst: Mapped[int | None]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_by: Mapped[str]
