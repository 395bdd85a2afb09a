"""The call log: every attempt at a language model, what it used and what it cost."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


class ApiCallLog(Owned, Created, TenantBase):
    """One attempt. Tokens are counted in total, the cached part apart; cost is in millionths of a US dollar.

    `attempt` counts the calls of a job. `fallback_from` names the target that failed before, `principal` who asked, and
    `ttft_ms` is the time to a stream's first piece.

    Names follow the OpenTelemetry semantic conventions for generative AI where those have one.
    """

    __tablename__ = "api_call_logs"
    __table_args__ = (
        Index("ix_api_call_logs_tenant_id_job_id", "tenant_id", "job_id"),
        Index(None, "tenant_id", "created_at"),
    )

    job_id: Mapped[UUID]
    attempt: Mapped[int] = mapped_column(SmallInteger)
    operation: Mapped[str]
    provider: Mapped[str]
    request_model: Mapped[str]
    response_model: Mapped[str | None]
    response_id: Mapped[str | None]
    finish_reason: Mapped[str | None]
    input_tokens: Mapped[int | None]
    cached_input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    usage_source: Mapped[str | None]
    cost_micros: Mapped[int | None] = mapped_column(BigInteger)
    price_version: Mapped[str | None]
    key_source: Mapped[str]
    duration_ms: Mapped[int]
    error_code: Mapped[str | None]
    principal: Mapped[str | None]
    fallback_from: Mapped[str | None]
    ttft_ms: Mapped[int | None]
