"""Invoices, their lines, credit notes and gapless numbers."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, Numeric, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


class Invoice(Owned, Created, TenantBase):
    """A bill. Of a subscription it has a period, half open in UTC, whose uniqueness makes any number of beats bill it once.

    A draft has no number yet. Once it has one, neither lines nor total change. `announced_at` and `collect_at` are the
    work that is still to be done for it: the event that tells of it, and the next attempt to collect.
    """

    __tablename__ = "invoices"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "subscription_id"], ["subscriptions.tenant_id", "subscriptions.id"]),
        ForeignKeyConstraint(["tenant_id", "customer_id"], ["customers.tenant_id", "customers.id"]),
        UniqueConstraint("tenant_id", "subscription_id", "period_start", "period_end"),
        UniqueConstraint("tenant_id", "number"),
        CheckConstraint("state IN ('draft', 'open', 'paid', 'void', 'uncollectible')", name="state"),
        CheckConstraint("period_start < period_end", name="period"),
        CheckConstraint("number IS NOT NULL OR state = 'draft'", name="numbered"),
        Index(None, "tenant_id", "created_at"),
        Index("ix_invoices_to_announce", "tenant_id", postgresql_where=text("announced_at IS NULL")),
        Index("ix_invoices_to_collect", "tenant_id", "collect_at", postgresql_where=text("collect_at IS NOT NULL")),
    )

    number: Mapped[int | None] = mapped_column(BigInteger)
    subscription_id: Mapped[UUID | None]
    customer_id: Mapped[UUID]
    period_start: Mapped[datetime | None]
    period_end: Mapped[datetime | None]
    currency: Mapped[str]
    total: Mapped[int] = mapped_column(BigInteger)
    credited: Mapped[int] = mapped_column(BigInteger, server_default="0")
    state: Mapped[str]
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB)
    paid_at: Mapped[datetime | None]
    announced_at: Mapped[datetime | None] = mapped_column(server_default=text("now()"))
    collect_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(server_default="0")


class InvoiceLine(Owned, TenantBase):
    """One charge: `amount` is quantity × unit amount, rounded once.

    `charge` is `fee`, the id of the plan's charge, or null; with it and the span that the line bills it is known what has
    been billed for a span. `code` is the meter's.
    """

    __tablename__ = "invoice_lines"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "invoice_id"], ["invoices.tenant_id", "invoices.id"], ondelete="CASCADE"),
        Index("ix_invoice_lines_invoice_id", "tenant_id", "invoice_id"),
    )

    invoice_id: Mapped[UUID]
    description: Mapped[str]
    quantity: Mapped[Decimal] = mapped_column(Numeric)
    unit_amount: Mapped[Decimal] = mapped_column(Numeric)
    amount: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(server_default="fee")
    charge: Mapped[str | None]
    code: Mapped[str | None]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]


class CreditNote(Owned, Created, TenantBase):
    """Money given back for an invoice, which itself stays as it is. `state` is that of the refund where there is one."""

    __tablename__ = "credit_notes"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "invoice_id"], ["invoices.tenant_id", "invoices.id"]),
        UniqueConstraint("tenant_id", "number"),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("kind IN ('reduction', 'balance', 'refund')", name="kind"),
        CheckConstraint("state IN ('pending', 'done', 'failed')", name="state"),
    )

    number: Mapped[int] = mapped_column(BigInteger)
    invoice_id: Mapped[UUID]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    reason: Mapped[str]
    kind: Mapped[str]
    state: Mapped[str]
    provider_id: Mapped[str | None]


class InvoiceCounter(TenantBase):
    """The last invoice number given out, taken in the invoice's own transaction: no gaps."""

    __tablename__ = "invoice_counters"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    last_number: Mapped[int] = mapped_column(BigInteger)


class CreditNoteCounter(TenantBase):
    """As `InvoiceCounter`, for credit notes."""

    __tablename__ = "credit_note_counters"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    last_number: Mapped[int] = mapped_column(BigInteger)
