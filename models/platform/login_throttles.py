"""How often logins of an account, or from an address, have failed of late."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import PlatformBase


class LoginThrottle(PlatformBase):
    """`subject` is a hash (`domain.identity.lockout`), also of emails that no account has. The first `allowance` failures
    lock nothing.
    """

    __tablename__ = "login_throttles"
    __table_args__ = (Index(None, "failed_at"),)

    subject: Mapped[bytes] = mapped_column(primary_key=True)
    failures: Mapped[int]
    allowance: Mapped[int]
    locked_until: Mapped[datetime | None]
    failed_at: Mapped[datetime] = mapped_column(server_default=func.now())
