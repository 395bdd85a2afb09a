"""What a tenant sells and to whom: plans, customers, subscriptions. Money is in integer minor units of `currency`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


class Plan(Owned, Created, TenantBase):
    """A fixed price per period. A price never changes: a new one is a new plan."""

    __tablename__ = "plans"
    __table_args__ = (
        UniqueConstraint("tenant_id", "code"),
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint("interval IN ('day', 'week', 'month', 'year')", name="interval"),
        CheckConstraint("interval_count BETWEEN 1 AND 366", name="interval_count"),
    )

    code: Mapped[str]
    name: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    interval: Mapped[str]
    interval_count: Mapped[int] = mapped_column(server_default="1")


class Customer(Owned, Created, TenantBase):
    """Who pays. Periods are counted in `timezone` (an IANA name)."""

    __tablename__ = "customers"

    name: Mapped[str]
    email: Mapped[str]
    timezone: Mapped[str] = mapped_column(server_default="UTC")


class Subscription(Owned, Created, TenantBase):
    """A customer's plan. `anchor_at` fixes the day of month for ever; `next_cycle_at` is the end of the last period billed."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "customer_id"], ["customers.tenant_id", "customers.id"]),
        ForeignKeyConstraint(["tenant_id", "plan_id"], ["plans.tenant_id", "plans.id"]),
        CheckConstraint(
            "state IN ('incomplete', 'trialing', 'active', 'past_due', 'canceled', 'unpaid', 'paused')", name="state"
        ),
        Index(
            "ix_subscriptions_due",
            "tenant_id",
            "next_cycle_at",
            postgresql_where=text("state IN ('active', 'past_due')"),
        ),
    )

    customer_id: Mapped[UUID]
    plan_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(server_default="active")
    anchor_at: Mapped[datetime]
    periods_billed: Mapped[int] = mapped_column(server_default="0")
    next_cycle_at: Mapped[datetime]
    canceled_at: Mapped[datetime | None]
