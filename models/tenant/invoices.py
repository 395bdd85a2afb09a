"""Invoices, their lines, gapless numbers and the payments that settle them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, Numeric, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


class Invoice(Owned, Created, TenantBase):
    """The bill of one period, half open in UTC. The unique period is what makes any number of beats bill it once."""

    __tablename__ = "invoices"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "subscription_id"], ["subscriptions.tenant_id", "subscriptions.id"]),
        ForeignKeyConstraint(["tenant_id", "customer_id"], ["customers.tenant_id", "customers.id"]),
        UniqueConstraint("tenant_id", "subscription_id", "period_start", "period_end"),
        UniqueConstraint("tenant_id", "number"),
        CheckConstraint("state IN ('draft', 'open', 'paid', 'void', 'uncollectible')", name="state"),
        CheckConstraint("period_start < period_end", name="period"),
        Index(None, "tenant_id", "created_at"),
    )

    number: Mapped[int] = mapped_column(BigInteger)
    subscription_id: Mapped[UUID]
    customer_id: Mapped[UUID]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    currency: Mapped[str]
    total: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str]
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB)
    paid_at: Mapped[datetime | None]


class InvoiceLine(Owned, TenantBase):
    """One charge: `amount` is quantity × unit amount, rounded once."""

    __tablename__ = "invoice_lines"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "invoice_id"], ["invoices.tenant_id", "invoices.id"], ondelete="CASCADE"),
    )

    invoice_id: Mapped[UUID]
    description: Mapped[str]
    quantity: Mapped[Decimal] = mapped_column(Numeric)
    unit_amount: Mapped[Decimal] = mapped_column(Numeric)
    amount: Mapped[int] = mapped_column(BigInteger)


class InvoiceCounter(TenantBase):
    """The last invoice number given out, taken in the invoice's own transaction: no gaps."""

    __tablename__ = "invoice_counters"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    last_number: Mapped[int] = mapped_column(BigInteger)


class Payment(Owned, Created, TenantBase):
    """Money that a provider says it moved. States only move forward, whatever order the provider's events come in."""

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("tenant_id", "provider", "provider_id"),
        CheckConstraint("state IN ('pending', 'failed', 'succeeded', 'refunded')", name="state"),
    )

    provider: Mapped[str]
    provider_id: Mapped[str]
    invoice_id: Mapped[UUID | None]
    state: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
