"""A tenant that is owed money, and a Stripe that does as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from domain.ids import new_id
from jobs.context import JobContext
from models.tenant import Customer, Invoice, PaymentMethod, Plan, Subscription
from tests.contracts.stripe_double import StripeDouble

MakeContext = Callable[..., Any]


@pytest.fixture
def stripe() -> Iterator[StripeDouble]:
    double = StripeDouble()
    yield double
    double.close()


@pytest.fixture
def open_job(
    make_context: MakeContext, pooled_tenant: UUID, stripe: StripeDouble, under: Callable[..., JobContext]
) -> Callable[..., Any]:
    """A claimed job of the tenant in a process that speaks to the double."""

    def make(kind: str, payload: dict[str, Any]) -> tuple[JobContext, Any]:
        context, loaded = make_context(kind, pooled_tenant, payload)
        return under(context, stripe_api_key=SecretStr("sk_test_1"), stripe_api_base=stripe.url), loaded

    return make


@pytest.fixture
def owed(open_job: Callable[..., Any]) -> Callable[..., UUID]:
    """An open invoice of a customer with a card."""

    def make(total: int = 2900, number: int = 1) -> UUID:
        context, _ = open_job("system.ping", {})
        keys = {"tenant_id": context.tenant_id}
        start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
        with context.session() as session:
            customer = Customer(**keys, name="Ada", email="ada@example.com", provider_customer_id="cus_ada")
            plan = Plan(**keys, code=f"p-{new_id()}", name="Pro", amount=total, currency="EUR", interval="month")
            session.add_all([customer, plan])
            session.flush()
            subscription = Subscription(
                **keys, customer_id=customer.id, plan_id=plan.id, anchor_at=start, next_cycle_at=datetime.now(UTC)
            )
            session.add(subscription)
            session.add(PaymentMethod(**keys, customer_id=customer.id, provider="stripe", provider_id="pm_1",
                                      brand="visa", last4="4242", is_default=True))  # fmt: skip
            session.flush()
            invoice = Invoice(
                **keys, number=number, subscription_id=subscription.id, customer_id=customer.id, period_start=start,
                period_end=end, currency="EUR", total=total, state="open", snapshot={}, collect_at=datetime.now(UTC),
            )  # fmt: skip
            session.add(invoice)
            session.flush()
            return invoice.id

    return make


def event_job(open_job: Callable[..., Any], event: dict[str, Any]) -> Any:
    """The job that takes in an event of Stripe."""
    return open_job("webhook.process", {"source": "stripe", "event": event})
