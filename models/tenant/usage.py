"""What is measured and what it costs: meters, a plan's charges, and the events that are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Numeric, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from domain.ids import new_id
from models.base import Created, Owned, TenantBase


class Meter(Owned, Created, TenantBase):
    """How events of a code become a quantity; `property` names what is summed, compared or told apart."""

    __tablename__ = "meters"
    __table_args__ = (
        UniqueConstraint("tenant_id", "code"),
        CheckConstraint("aggregation IN ('count', 'sum', 'max', 'unique', 'latest')", name="aggregation"),
        CheckConstraint("(aggregation = 'count') = (property IS NULL)", name="property"),
    )

    code: Mapped[str]
    name: Mapped[str]
    aggregation: Mapped[str]
    property: Mapped[str | None]


class Charge(Owned, TenantBase):
    """The price of a meter's quantity in a plan; `terms` are those of the model (`domain.billing.pricing`)."""

    __tablename__ = "charges"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "plan_id"], ["plans.tenant_id", "plans.id"]),
        ForeignKeyConstraint(["tenant_id", "meter_id"], ["meters.tenant_id", "meters.id"]),
        UniqueConstraint("tenant_id", "plan_id", "meter_id"),
        CheckConstraint("model IN ('standard', 'graduated', 'volume', 'package')", name="model"),
    )

    plan_id: Mapped[UUID]
    meter_id: Mapped[UUID]
    name: Mapped[str]
    model: Mapped[str]
    terms: Mapped[dict[str, Any]] = mapped_column(JSONB)


class UsageEvent(Owned, Created, TenantBase):
    """Something a customer used, once for ever by `transaction_id`. `source_type` and `source_id` name where it came from.

    `value` and `item` are what the meter's property held: a number, or the text that is told apart.
    """

    __tablename__ = "usage_events"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "customer_id"], ["customers.tenant_id", "customers.id"]),
        UniqueConstraint("tenant_id", "transaction_id"),
        Index("ix_usage_events_metered", "tenant_id", "customer_id", "code", "timestamp"),
    )

    transaction_id: Mapped[str]
    customer_id: Mapped[UUID]
    code: Mapped[str]
    timestamp: Mapped[datetime]
    properties: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    value: Mapped[Decimal | None] = mapped_column(Numeric)
    item: Mapped[str | None]
    source_type: Mapped[str | None]
    source_id: Mapped[str | None]


class UsageCursor(TenantBase):
    """How far the platform's own usage has been collected."""

    __tablename__ = "usage_cursors"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]


def record_usage(session: Session, tenant_id: UUID, events: Sequence[Mapping[str, Any]]) -> int:
    """Insert usage events, each `transaction_id` once for ever; returns how many were new."""
    if not events:
        return 0
    rows = [{"tenant_id": tenant_id, "id": new_id(), **event} for event in events]
    known = insert(UsageEvent).on_conflict_do_nothing().returning(UsageEvent.id)
    return len(session.scalars(known, rows).all())
