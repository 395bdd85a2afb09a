"""How customers pay: their payment methods, each attempt to collect, and what providers say has moved."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


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


class PaymentMethod(Owned, Created, TenantBase):
    """A card or account as the provider knows it. We hold its name there and what a person recognises it by."""

    __tablename__ = "payment_methods"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "customer_id"], ["customers.tenant_id", "customers.id"]),
        UniqueConstraint("tenant_id", "customer_id", "provider", "provider_id"),
        Index(
            "uq_payment_methods_default",
            "tenant_id",
            "customer_id",
            unique=True,
            postgresql_where=text("is_default AND detached_at IS NULL"),
        ),
    )

    customer_id: Mapped[UUID]
    provider: Mapped[str]
    provider_id: Mapped[str]
    brand: Mapped[str]
    last4: Mapped[str]
    is_default: Mapped[bool] = mapped_column(server_default="false")
    detached_at: Mapped[datetime | None]


class PaymentAttempt(Owned, Created, TenantBase):
    """One attempt to collect an invoice, written before the provider is called; at most one is under way per invoice."""

    __tablename__ = "payment_attempts"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "invoice_id"], ["invoices.tenant_id", "invoices.id"]),
        ForeignKeyConstraint(
            ["tenant_id", "payment_method_id"], ["payment_methods.tenant_id", "payment_methods.id"]
        ),
        UniqueConstraint("tenant_id", "invoice_id", "number"),
        CheckConstraint("state IN ('calling', 'unknown', 'pending', 'succeeded', 'failed')", name="state"),
        Index(
            "uq_payment_attempts_under_way",
            "tenant_id",
            "invoice_id",
            unique=True,
            postgresql_where=text("state IN ('calling', 'unknown', 'pending')"),
        ),
    )  # fmt: skip

    invoice_id: Mapped[UUID]
    payment_method_id: Mapped[UUID]
    number: Mapped[int]
    state: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    provider_id: Mapped[str | None]
    error_code: Mapped[str | None]
    finished_at: Mapped[datetime | None]
