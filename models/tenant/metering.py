"""What the tenant used of the platform: written with the effect itself, and passed on to the operator's books from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from domain.ids import new_id
from models.base import Owned, TenantBase


class MeteredUsage(Owned, TenantBase):
    """Something used that may be billed, once for each source: `message.email` for the message `source_id`.

    `relayed_at` is when `usage.relay` passed it on to the operator's books; none, while it has not.
    """

    __tablename__ = "metered_usage"
    __table_args__ = (
        UniqueConstraint("tenant_id", "code", "source_id"),
        Index("ix_metered_usage_occurred_at", "tenant_id", "code", "occurred_at"),
        Index("ix_metered_usage_unrelayed", "tenant_id", "id", postgresql_where=text("relayed_at IS NULL")),
    )

    code: Mapped[str]
    quantity: Mapped[int] = mapped_column(BigInteger)
    source_kind: Mapped[str]
    source_id: Mapped[UUID]
    occurred_at: Mapped[datetime] = mapped_column(server_default=func.now())
    properties: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    relayed_at: Mapped[datetime | None]


def meter(
    session: Session,
    tenant_id: UUID,
    code: str,
    source_kind: str,
    source_ids: Sequence[UUID],
    *,
    quantity: int = 1,
    **properties: Any,
) -> None:
    """Count what the sources used, each source once however often this is called, in the transaction of the effect.

    `code` is a noun that `domain.billing.platform_usage` knows (`message.sms`, `completion`, `search`), `source_kind` says what
    the ids are of. `properties` are plain JSON that a meter may sum, such as tokens.
    """
    if not source_ids:
        return
    told: Mapping[str, Any] = {"properties": properties} if properties else {}
    rows = [
        {"tenant_id": tenant_id, "id": new_id(), "code": code, "quantity": quantity, "source_kind": source_kind,
         "source_id": source_id, **told}
        for source_id in source_ids
    ]  # fmt: skip
    session.execute(insert(MeteredUsage).values(rows).on_conflict_do_nothing())
