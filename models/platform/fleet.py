"""Waves of migrations over the tenants' databases: what an operator asked for, and which databases failed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class FleetWave(Identified, Created, PlatformBase):
    """One wave to the revision `target`. How far it is stands in `tenants.schema_version`, not here.

    `databases` is how many were behind when it began. At most one wave is unfinished. A `stopped` one says why in `reason`
    and can be resumed, as a `paused` one can. `job_id` is the job that drives it, or drove it last.
    """

    __tablename__ = "fleet_waves"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'paused', 'stopped', 'finished')", name="state"),
        CheckConstraint("(state = 'finished') = (finished_at IS NOT NULL)", name="finished"),
        Index("uq_fleet_waves_unfinished", text("(true)"), unique=True, postgresql_where=text("state <> 'finished'")),
    )

    target: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="running")
    reason: Mapped[str | None]
    canaries: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    databases: Mapped[int | None]
    started_by: Mapped[str]
    job_id: Mapped[UUID | None]
    finished_at: Mapped[datetime | None]


class FleetFailure(PlatformBase, Created):
    """A database that a wave could not migrate, named by one of its tenants. The row goes once it has been migrated."""

    __tablename__ = "fleet_failures"

    wave_id: Mapped[UUID] = mapped_column(ForeignKey("fleet_waves.id", ondelete="CASCADE"), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    database_name: Mapped[str]
    stage: Mapped[str]
    code: Mapped[str]
    detail: Mapped[str]
