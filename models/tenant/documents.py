"""The tenant's own searchable documents."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Computed, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import REGCONFIG, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


class Document(Owned, Created, TenantBase):
    """`external_id` is the tenant's own name for it: putting the same one again replaces the document."""

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("tenant_id", "external_id"), Index(None, "search", postgresql_using="gin"))

    external_id: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    url: Mapped[str | None]
    language: Mapped[str] = mapped_column(REGCONFIG, server_default="simple")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    search: Mapped[Any] = mapped_column(
        TSVECTOR,
        Computed(
            "setweight(to_tsvector(language, title), 'A') || setweight(to_tsvector(language, body), 'B')",
            persisted=True,
        ),
        deferred=True,
    )
