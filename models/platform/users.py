"""People. An email is stored normalised (lower case, IDNA), so that its unique constraint means what it says."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class User(Identified, Created, PlatformBase):
    """An account. `is_operator` runs the platform; everything else a user may do comes from memberships.

    `failed_logins` and `locked_until` are what releases before `LoginThrottle` count; nothing reads them any more.
    """

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email"),)

    email: Mapped[str]
    name: Mapped[str] = mapped_column(server_default="")
    password_hash: Mapped[str]
    is_operator: Mapped[bool] = mapped_column(server_default="false")
    email_verified_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    failed_logins: Mapped[int] = mapped_column(server_default="0")
    locked_until: Mapped[datetime | None]
