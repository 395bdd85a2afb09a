"""Payment methods and the portal: what a customer's browser has set up at the provider becomes known to us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from domain.errors import Permanent
from domain.identity.principals import system
from domain.ids import new_id
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import Customer, Invoice, PaymentMethod
from providers.payments import PaymentProvider, payment_provider
from tasks.billing.due import refresh_due


@handles("payment_method.attach")
def attach(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Attach a payment method that the provider's form made, as the customer's default; open invoices are then collected."""
    context = _books(context, payload)
    provider, name = _provider(context)
    account = _account(context, provider, payload["customer_id"])
    method = provider.attach(account, payload["provider_id"], f"attach:{context.job_id}")
    with context.session() as session:
        of_customer = (
            PaymentMethod.tenant_id == context.tenant_id,
            PaymentMethod.customer_id == payload["customer_id"],
        )
        session.get_one(Customer, (context.tenant_id, payload["customer_id"]), with_for_update=True)
        session.execute(update(PaymentMethod).where(*of_customer).values(is_default=False))
        row = {
            "tenant_id": context.tenant_id, "id": new_id(), "customer_id": payload["customer_id"], "provider": name,
            "provider_id": method.id, "brand": method.brand, "last4": method.last4, "is_default": True,
        }  # fmt: skip
        known = insert(PaymentMethod).values(row).on_conflict_do_update(
            index_elements=["tenant_id", "customer_id", "provider", "provider_id"],
            set_={"is_default": True, "detached_at": None, "brand": method.brand, "last4": method.last4},
        )  # fmt: skip
        method_id = session.execute(known.returning(PaymentMethod.id)).scalar_one()
        session.execute(
            update(Invoice)
            .where(Invoice.tenant_id == context.tenant_id, Invoice.customer_id == payload["customer_id"])
            .where(Invoice.state == "open", Invoice.collect_at.is_(None))
            .values(collect_at=datetime.now(UTC))
        )
    refresh_due(context)
    return {"payment_method_id": str(method_id), "brand": method.brand, "last4": method.last4}


@handles("payment_method.detach")
def detach(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the payment method away at the provider. Our row has said so before."""
    context = _books(context, payload)
    with context.session() as session:
        method = session.get_one(PaymentMethod, (context.tenant_id, payload["payment_method_id"]))
        name, provider_id = method.provider, method.provider_id
    try:
        payment_provider(context.settings, name).detach(provider_id, f"detach:{context.job_id}")
    except Permanent as error:
        if error.job_code != "object_not_found":
            raise
    return {"detached": True}


@handles("payment_method.setup")
def set_up(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The secret with which the provider's form collects a payment method of the customer."""
    context = _books(context, payload)
    provider, name = _provider(context)
    account = _account(context, provider, payload["customer_id"])
    return {"provider": name, "client_secret": provider.set_up(account, f"setup:{context.job_id}")}


@handles("billing.portal")
def portal(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The address of the provider's page for the customer's payment methods."""
    context = _books(context, payload)
    provider, name = _provider(context)
    account = _account(context, provider, payload["customer_id"])
    address = provider.portal(account, payload["return_url"], f"portal:{context.job_id}")
    return {"provider": name, "url": address}


def _books(context: JobContext, payload: Mapping[str, Any]) -> JobContext:
    """The job in the books of whoever sells: the job's own tenant, or the operator, who sells the platform to it."""
    seller: UUID | None = payload["seller_id"]
    return context if seller is None else replace(context, principal=system("billing", seller))


def _provider(context: JobContext) -> tuple[PaymentProvider, str]:
    provider = payment_provider(context.settings, "stripe")
    return provider, provider.name


def _account(context: JobContext, provider: PaymentProvider, customer_id: UUID) -> str:
    """The customer's id at the provider, made at the first need. The customer's id is the key, so one is made."""
    key = (context.tenant_id, customer_id)
    with context.session() as session:
        customer = session.get(Customer, key)
        if customer is None:
            raise Permanent(f"There is no customer {customer_id}.", code="customer_not_found")
        known, name, email = customer.provider_customer_id, customer.name, customer.email
    if known is not None:
        return known
    metadata = {"customer_id": str(customer_id), "tenant_id": str(context.tenant_id)}
    made = provider.create_customer(name, email, metadata, f"customer:{context.tenant_id}:{customer_id}")
    with context.session() as session:
        customer = session.get_one(Customer, key, with_for_update=True)
        customer.provider_customer_id = customer.provider_customer_id or made
        return customer.provider_customer_id
