"""Live worker processes and the dispatcher's leader: what operators see and fairness counts on."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class Worker(Identified, PlatformBase):
    """One Celery worker. `slots` jobs of its queues can run at once; progress is judged by `last_claim_at`."""

    __tablename__ = "workers"

    name: Mapped[str]
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text))
    slots: Mapped[int]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    last_claim_at: Mapped[datetime | None]
    stopping: Mapped[bool] = mapped_column(server_default="false")


class KindRuntime(PlatformBase):
    """How long jobs of a kind take, as an exponentially weighted mean: what batches are sized by."""

    __tablename__ = "kind_runtimes"

    kind: Mapped[str] = mapped_column(primary_key=True)
    mean_seconds: Mapped[float]
    runs: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime]


class TenantRuntime(PlatformBase):
    """How much of a queue's workers a tenant has used: what fairness settles its estimates with."""

    __tablename__ = "tenant_runtimes"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    runs: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float]
    updated_at: Mapped[datetime]


class QueueBacklog(PlatformBase):
    """How much waits in a queue, over all tenants, as the leader last counted."""

    __tablename__ = "queue_backlogs"

    queue: Mapped[str] = mapped_column(primary_key=True)
    due: Mapped[int]
    waiting: Mapped[int]
    in_flight: Mapped[int]
    oldest_due_seconds: Mapped[float]
    measured_at: Mapped[datetime]


class Leader(PlatformBase, Created):
    """Who leads, for people to see. The advisory lock decides; this row only tells."""

    __tablename__ = "leaders"

    role: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    epoch: Mapped[int]
    heartbeat_at: Mapped[datetime]
