"""What bounds and prices a tenant's calls of language models, and the calls that have not ended."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Index, SmallInteger, UniqueConstraint, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


class LlmOpenCall(Owned, Created, TenantBase):
    """A call that was begun. Whoever deletes the row accounts for it: the one that made it, or a later one for a lost worker.

    `lost_micros` is what is put down for a lost call: its input, for nobody knows how much was answered.
    """

    __tablename__ = "llm_open_calls"
    __table_args__ = (
        Index("ix_llm_open_calls_tenant_id_expires_at", "tenant_id", "expires_at"),
        Index("ix_llm_open_calls_tenant_id_job_id", "tenant_id", "job_id"),
    )

    job_id: Mapped[UUID]
    token: Mapped[UUID]
    attempt: Mapped[int] = mapped_column(SmallInteger)
    operation: Mapped[str]
    provider: Mapped[str]
    request_model: Mapped[str]
    key_source: Mapped[str]
    principal: Mapped[str]
    fallback_from: Mapped[str | None]
    input_tokens: Mapped[int]
    lost_micros: Mapped[int | None] = mapped_column(BigInteger)
    price_version: Mapped[str | None]
    reserved_micros: Mapped[int] = mapped_column(BigInteger)
    budget_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    expires_at: Mapped[datetime]


class LlmBudget(Owned, Created, TenantBase):
    """At most `limit_micros` (millionths of a US dollar) in each period, for calls on `key_source` and by `principal`, where
    these are set.
    """

    __tablename__ = "llm_budgets"

    name: Mapped[str]
    key_source: Mapped[str | None]
    principal: Mapped[str | None]
    period: Mapped[str]
    limit_micros: Mapped[int] = mapped_column(BigInteger)
    spent_micros: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reserved_micros: Mapped[int] = mapped_column(BigInteger, server_default="0")
    period_start: Mapped[datetime] = mapped_column(server_default=func.now())
    version: Mapped[int] = mapped_column(server_default="1")


class LlmPrice(Owned, Created, TenantBase):
    """What the tenant pays on its own keys for a model: millionths of a US dollar for a million tokens."""

    __tablename__ = "llm_prices"
    __table_args__ = (UniqueConstraint("tenant_id", "provider", "model"),)

    provider: Mapped[str]
    model: Mapped[str]
    input_micros: Mapped[int] = mapped_column(BigInteger)
    cached_input_micros: Mapped[int | None] = mapped_column(BigInteger)
    output_micros: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(server_default="1")


class LlmMinute(TenantBase):
    """What was begun in a minute, for the limits by the minute."""

    __tablename__ = "llm_minutes"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    requests: Mapped[int]
    tokens: Mapped[int] = mapped_column(BigInteger)
