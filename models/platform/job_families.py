"""Jobs that wait for others. Rows are there only for such jobs, so all others pay nothing."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import PlatformBase


class JobWait(PlatformBase):
    """A job that is held back. The row goes when the job is released or cancelled.

    `remaining` counts the jobs that it still waits for, `unsuccessful` those that spoiled it (always 0 under
    `all_finished`). `run_at` is the earliest start that was asked for.
    """

    __tablename__ = "job_waits"
    __table_args__ = (
        CheckConstraint("policy IN ('all_succeeded', 'all_finished')", name="policy"),
        CheckConstraint("remaining >= 0 AND unsuccessful >= 0", name="counts"),
        Index("ix_job_waits_decided", "job_id", postgresql_where=text("remaining = 0 OR unsuccessful > 0")),
    )

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    policy: Mapped[str]
    run_at: Mapped[datetime | None]
    remaining: Mapped[int]
    unsuccessful: Mapped[int] = mapped_column(server_default="0")


class JobDependency(PlatformBase):
    """One job that another waits for, or waited for. `outcome` is its final state once the leader has seen it.

    No foreign keys: both jobs leave with their own retention; `expired` is the outcome of one that left unseen.
    """

    __tablename__ = "job_dependencies"
    __table_args__ = (
        CheckConstraint("outcome IN ('succeeded', 'failed', 'cancelled', 'expired')", name="outcome"),
        Index("ix_job_dependencies_open", "depends_on", "job_id", postgresql_where=text("outcome IS NULL")),
    )

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    depends_on: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    outcome: Mapped[str | None]
