"""Links that were mailed to an account: one per purpose, gone once it is used."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, PlatformBase


class IdentityLink(PlatformBase, Created):
    """The link's text is `id` signed with a master key (`domain.identity.links`), so nothing here opens anything."""

    __tablename__ = "identity_links"
    __table_args__ = (CheckConstraint("purpose IN ('verify_email', 'reset_password')", name="purpose"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    purpose: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID]
    expires_at: Mapped[datetime]
