"""What a tenant sells and to whom: plans, customers, subscriptions. Money is in integer minor units of `currency`."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Created, Owned, TenantBase


class Plan(Owned, Created, TenantBase):
    """A fixed fee per period, and charges for usage (`models.tenant.usage`). A price never changes: a new one is a new plan.

    `pay_in_advance` bills the fee when a period begins, not when it has ended. `entitlements` are features by name,
    `quotas` the most that a period may use, by meter code.
    """

    __tablename__ = "plans"
    __table_args__ = (
        UniqueConstraint("tenant_id", "code"),
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint("interval IN ('day', 'week', 'month', 'year')", name="interval"),
        CheckConstraint("interval_count BETWEEN 1 AND 366", name="interval_count"),
        CheckConstraint("trial_days BETWEEN 0 AND 730", name="trial_days"),
    )

    code: Mapped[str]
    name: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    interval: Mapped[str]
    interval_count: Mapped[int] = mapped_column(server_default="1")
    pay_in_advance: Mapped[bool] = mapped_column(server_default="false")
    trial_days: Mapped[int] = mapped_column(server_default="0")
    entitlements: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    quotas: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))


class Customer(Owned, Created, TenantBase):
    """Who pays. Periods are counted in `timezone` (an IANA name).

    `external_id` is the seller's own name for the customer; the operator's customers bear their tenant's id there.
    """

    __tablename__ = "customers"
    __table_args__ = (UniqueConstraint("tenant_id", "external_id"),)

    name: Mapped[str]
    email: Mapped[str]
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    external_id: Mapped[str | None]
    provider_customer_id: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")


class Balance(TenantBase):
    """What a customer has left over in a currency: credits that were larger than the invoice they came on."""

    __tablename__ = "customer_balances"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "customer_id"], ["customers.tenant_id", "customers.id"]),
        CheckConstraint("amount >= 0", name="amount"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)


class Subscription(Owned, Created, TenantBase):
    """A customer's plan. `anchor_at` fixes the day of month for ever; `next_cycle_at` is when there is something to bill."""

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
        Index(
            "ix_subscriptions_waking",
            "tenant_id",
            "next_cycle_at",
            postgresql_where=text("state IN ('incomplete', 'trialing', 'active', 'past_due', 'paused')"),
        ),
        Index("ix_subscriptions_customer_id", "tenant_id", "customer_id"),
    )

    customer_id: Mapped[UUID]
    plan_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(server_default="active")
    anchor_at: Mapped[datetime]
    periods_billed: Mapped[int] = mapped_column(server_default="0")
    next_cycle_at: Mapped[datetime]
    cancel_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")


class SubscriptionChange(Owned, Created, TenantBase):
    """From `at` on the subscription has this plan and runs or is paused. A second change at the same second replaces it."""

    __tablename__ = "subscription_changes"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "subscription_id"], ["subscriptions.tenant_id", "subscriptions.id"]),
        ForeignKeyConstraint(["tenant_id", "plan_id"], ["plans.tenant_id", "plans.id"]),
        UniqueConstraint("tenant_id", "subscription_id", "at"),
    )

    subscription_id: Mapped[UUID]
    at: Mapped[datetime]
    plan_id: Mapped[UUID]
    paused: Mapped[bool] = mapped_column(server_default="false")
