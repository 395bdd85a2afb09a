"""Searches that were asked for, what each source answered, and the HTTP sources that the tenant registered."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


class Search(Owned, Created, TenantBase):
    """A search, and an entry of the query log unless `log` is `off`. Its id is the id of the `search.query` job, whose payload
    is the question: `query` is what the log keeps of it. Results that come after `deadline_at` are not merged.

    `terms` is what each source's weight and permission were, so that later changes do not shift the pages.
    """

    __tablename__ = "searches"
    __table_args__ = (
        Index(None, "tenant_id", "created_at"),
        CheckConstraint("log IN ('off', 'redacted', 'full')", name="log"),
    )

    query: Mapped[str]
    principal: Mapped[str]
    sources: Mapped[list[str]] = mapped_column(ARRAY(Text))
    hit_limit: Mapped[int]
    deadline_at: Mapped[datetime]
    mode: Mapped[str] = mapped_column(server_default="keyword")
    log: Mapped[str] = mapped_column(server_default="full")
    terms: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))


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
    notes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'::text[]"))


class SearchSource(Owned, Created, TenantBase):
    """An HTTP source of the tenant's own. `secret_sealed` is the value of the header `header_name`, which is never shown.

    `timeout_ms` and `concurrency` bound its calls, the latter in each worker. `permission` is what a caller needs beside
    `search:create`.
    """

    __tablename__ = "search_sources"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint("weight > 0 AND weight <= 100", name="weight"),
        CheckConstraint("timeout_ms BETWEEN 50 AND 30000", name="timeout_ms"),
        CheckConstraint("concurrency BETWEEN 1 AND 64", name="concurrency"),
    )

    name: Mapped[str]
    url: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    weight: Mapped[float] = mapped_column(server_default=text("1"))
    timeout_ms: Mapped[int] = mapped_column(server_default=text("3000"))
    concurrency: Mapped[int] = mapped_column(server_default=text("8"))
    permission: Mapped[str | None]
    header_name: Mapped[str] = mapped_column(server_default="authorization")
    secret_sealed: Mapped[bytes | None]
    secret_last_four: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
