"""Live worker processes and the dispatcher's leader: what operators see and fairness counts on."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class Worker(Identified, PlatformBase):
    """One Celery worker. `slots` jobs of its queues can run at once; progress is judged by `last_claim_at`.

    `running` is how many it runs, as of the last heartbeat.
    """

    __tablename__ = "workers"

    name: Mapped[str]
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text))
    slots: Mapped[int]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    last_claim_at: Mapped[datetime | None]
    running: Mapped[int] = mapped_column(server_default="0")
    stopping: Mapped[bool] = mapped_column(server_default="false")


class WorkerJobs(PlatformBase):
    """The oldest jobs that a worker runs, as of its last heartbeat, with their progress.

    They name tenants, so they stand apart from the worker's row: only operators and the engine see them.
    """

    __tablename__ = "worker_jobs"

    worker_id: Mapped[UUID] = mapped_column(ForeignKey("workers.id", ondelete="CASCADE"), primary_key=True)
    jobs: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class KindRuntime(PlatformBase):
    """How long jobs of a kind take, as an exponentially weighted mean: what batches are sized by.

    `runs` and `failures` count attempts since ever, as the workers tell. From them the leader works out `rate_per_minute`;
    `measured_runs` is what it had read at `measured_at`.
    """

    __tablename__ = "kind_runtimes"

    kind: Mapped[str] = mapped_column(primary_key=True)
    mean_seconds: Mapped[float]
    runs: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int] = mapped_column(BigInteger, server_default="0")
    rate_per_minute: Mapped[float] = mapped_column(server_default="0")
    measured_runs: Mapped[int] = mapped_column(BigInteger, server_default="0")
    measured_at: Mapped[datetime | None]
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
    """How much waits in a queue, over all tenants, as the leader last counted.

    `unclaimed_since` is set while jobs are dispatched and none of the queue's live workers, one of which is free, claims
    any; `unclaimed_seen_at` is when that was last so.
    """

    __tablename__ = "queue_backlogs"

    queue: Mapped[str] = mapped_column(primary_key=True)
    due: Mapped[int]
    waiting: Mapped[int]
    in_flight: Mapped[int]
    oldest_due_seconds: Mapped[float]
    unclaimed_since: Mapped[datetime | None]
    unclaimed_seen_at: Mapped[datetime | None]
    measured_at: Mapped[datetime]


class Leader(PlatformBase, Created):
    """Who leads, for people to see. The advisory lock decides; this row only tells."""

    __tablename__ = "leaders"

    role: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    epoch: Mapped[int]
    heartbeat_at: Mapped[datetime]
