"""Logins. A session is one refresh-token family; revoking it ends its access tokens at their next request."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class Session(Identified, Created, PlatformBase):
    """One login on one device. `tenant_id` binds its access tokens to a tenant, if it was asked for."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index(None, "user_id"),
        Index("ix_sessions_ended", text("least(expires_at, revoked_at)")),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    tenant_id: Mapped[UUID | None]
    address: Mapped[str] = mapped_column(server_default="")
    user_agent: Mapped[str] = mapped_column(server_default="")
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]


class RefreshToken(Identified, Created, PlatformBase):
    """One link of a family. Only a hash is kept; `used_at` set means that it was exchanged for its successor."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (UniqueConstraint("token_hash"), Index(None, "session_id"), Index(None, "expires_at"))

    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    token_hash: Mapped[bytes]
    used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
