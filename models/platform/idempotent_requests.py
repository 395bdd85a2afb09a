"""Answers of POST requests that create, kept so that a repeated request gets the first one's answer."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, PlatformBase


class IdempotentRequest(PlatformBase, Created):
    """Written in the transaction of the effect. `scope` is `tenant:<id>` or `user:<id>`."""

    __tablename__ = "idempotent_requests"
    __table_args__ = (Index(None, "created_at"),)

    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int | None]
    location: Mapped[str | None]
    resource_id: Mapped[UUID | None]
    body_sealed: Mapped[bytes | None]
