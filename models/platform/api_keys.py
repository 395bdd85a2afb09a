"""API keys: an id that can be looked up and a secret that cannot."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Identified, PlatformBase


class ApiKey(Identified, Created, PlatformBase):
    """A program's credential in one tenant. It can do what `scopes` allow and its owner may do, whichever is less."""

    __tablename__ = "api_keys"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "user_id"], ["memberships.tenant_id", "memberships.user_id"], ondelete="CASCADE"
        ),
        Index(None, "tenant_id"),
    )

    tenant_id: Mapped[UUID]
    user_id: Mapped[UUID]
    name: Mapped[str]
    secret_hash: Mapped[bytes]
    last_four: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
