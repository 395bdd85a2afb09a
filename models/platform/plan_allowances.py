"""What a tenant may use by its plan, beside what it has used: counted by a trigger where jobs are made."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.base import PlatformBase


class PlanAllowance(PlatformBase):
    """A quota of the running period, taken over from the operator's books once a minute. A `hard` one refuses what is beyond.

    `used` counts what was asked for, or what was metered if that is more. `told` says that the event of it is out.
    """

    __tablename__ = "plan_allowances"
    __table_args__ = (
        CheckConstraint("quota >= 0", name="quota"),
        CheckConstraint("used >= 0", name="used"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    quota: Mapped[int] = mapped_column(BigInteger)
    hard: Mapped[bool]
    used: Mapped[int] = mapped_column(BigInteger, server_default="0")
    told: Mapped[bool] = mapped_column(server_default="false")
