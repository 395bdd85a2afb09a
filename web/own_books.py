"""The one customer of the operator's tenant that the caller's tenant is, and what is in the books about it.

It is known by `external_id`, which only this module writes for a tenant's id. Every statement here names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.billing.subscriptions import LIVE
from domain.errors import NotFound
from domain.ids import new_id
from models.tenant import Customer, Invoice, Subscription
from web.bookkeeping import found
from web.context import tenancy, tenant_id
from web.operator_tenant import operator_tenant_id


def seller() -> UUID:
    """The operator's tenant, whose books these are."""
    return operator_tenant_id(tenancy())


def own_customer(session: Session, seller_id: UUID, *, to_change: bool = False) -> Customer:
    """The customer that the caller's tenant is. Raises `NotFound` before it has subscribed."""
    mine = select(Customer).where(Customer.tenant_id == seller_id, Customer.external_id == str(tenant_id()))
    customer = session.scalar(mine.with_for_update() if to_change else mine)
    if customer is None:
        raise NotFound(
            "This tenant has not subscribed to the platform: choose of GET /billing/plans and POST /billing/subscribe."
        )
    return customer


def own_customer_id(seller_id: UUID) -> UUID:
    """As `own_customer`, in a transaction of its own."""
    with tenancy().session(seller_id) as session:
        return own_customer(session, seller_id).id


def become_customer(session: Session, seller_id: UUID, body: Mapping[str, Any]) -> Customer:
    """The tenant's customer, locked, so that of two requests at once the second finds the first one's subscription.

    Name and address are those of the last request; the time zone stays, since periods are counted in it.
    """
    row = {
        "tenant_id": seller_id, "id": new_id(), "external_id": str(tenant_id()), "name": body["name"], "email": body["email"],
        "timezone": body["timezone"],
    }  # fmt: skip
    session.execute(insert(Customer).values(row).on_conflict_do_nothing(index_elements=["tenant_id", "external_id"]))
    customer = own_customer(session, seller_id, to_change=True)
    if (customer.name, customer.email) != (body["name"], body["email"]):
        customer.name, customer.email = body["name"], body["email"]
        customer.version += 1
    return customer


def live_subscription(session: Session, seller_id: UUID, customer_id: UUID) -> Subscription | None:
    """The customer's newest subscription that is not over, locked."""
    return session.scalars(
        select(Subscription)
        .where(Subscription.tenant_id == seller_id, Subscription.customer_id == customer_id)
        .where(Subscription.state.in_(LIVE))
        .order_by(Subscription.id.desc())
        .limit(1)
        .with_for_update()
    ).one_or_none()


def own_subscription(session: Session, seller_id: UUID) -> Subscription:
    """The newest subscription of the caller's tenant, over or not. Raises `NotFound`."""
    customer = own_customer(session, seller_id)
    newest = (
        select(Subscription)
        .where(Subscription.tenant_id == seller_id, Subscription.customer_id == customer.id)
        .order_by(Subscription.id.desc())
    )
    subscription = session.scalar(newest.limit(1))
    if subscription is None:
        raise NotFound("This tenant has no subscription to the platform.")
    return subscription


def own_invoice(session: Session, seller_id: UUID, invoice_id: UUID, *, to_change: bool = False) -> Invoice:
    """An invoice for the caller's tenant. Raises `NotFound`, also for another customer's and for a draft."""
    invoice = found(session, seller_id, Invoice, invoice_id, to_change=to_change)
    if invoice.customer_id != own_customer(session, seller_id).id or invoice.state == "draft":
        raise NotFound(f"There is no invoice {invoice_id}.")
    return invoice
