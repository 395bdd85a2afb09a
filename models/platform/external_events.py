"""Events that others send us, each once: the unique key is what makes a repeated webhook harmless."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class ExternalEvent(Identified, Created, PlatformBase):
    """A verified webhook; its body travels sealed in the job `job_id`, which was inserted with this row."""

    __tablename__ = "external_events"
    __table_args__ = (UniqueConstraint("tenant_id", "source", "external_id"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    source: Mapped[str]
    external_id: Mapped[str]
    type: Mapped[str]
    job_id: Mapped[UUID]
