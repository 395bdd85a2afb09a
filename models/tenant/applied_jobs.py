"""Which steps of which jobs have had their effect here: written in the effect's own transaction, so each happens once."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, TenantBase


class AppliedJob(TenantBase, Created):
    """A step of a job whose effect is in this database."""

    __tablename__ = "applied_jobs"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
