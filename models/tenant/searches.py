"""Searches that were asked for, and what each source answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


class Search(Owned, Created, TenantBase):
    """The query log. Its id is the id of the `search.query` job; results that come after `deadline_at` are not merged."""

    __tablename__ = "searches"
    __table_args__ = (Index(None, "tenant_id", "created_at"),)

    query: Mapped[str]
    principal: Mapped[str]
    sources: Mapped[list[str]] = mapped_column(ARRAY(Text))
    hit_limit: Mapped[int]
    deadline_at: Mapped[datetime]


class SearchResult(TenantBase, Created):
    """What one source answered: its hits in its own order."""

    __tablename__ = "search_results"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "search_id"], ["searches.tenant_id", "searches.id"], ondelete="CASCADE"),
        CheckConstraint("status IN ('ok', 'timeout', 'error', 'skipped', 'unauthorized')", name="status"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    search_id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    took_ms: Mapped[int]
    hits: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    error: Mapped[str | None]
