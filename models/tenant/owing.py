"""What of a subscription is still owed, and its going on once nothing is."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from models.tenant.billing import Subscription
from models.tenant.invoices import Invoice


def owed_state(session: Session, tenant_id: UUID, subscription_id: UUID) -> str:
    """`unpaid` with an invoice that was given up, `past_due` with one that could not be collected yet, else `active`."""
    owing = select(Invoice.state).where(
        Invoice.tenant_id == tenant_id,
        Invoice.subscription_id == subscription_id,
        or_(Invoice.state == "uncollectible", (Invoice.state == "open") & (Invoice.failures > 0)),
    )
    states = set(session.scalars(owing))
    return "unpaid" if "uncollectible" in states else "past_due" if states else "active"


def restore(session: Session, invoice: Invoice, waiting: Collection[str]) -> None:
    """Let the invoice's subscription go on, if it is in one of these states and nothing of it is owed any more."""
    if invoice.subscription_id is None:
        return
    session.flush()
    subscription = session.get(Subscription, (invoice.tenant_id, invoice.subscription_id), with_for_update=True)
    if subscription is None or subscription.state not in waiting:
        return
    if owed_state(session, invoice.tenant_id, subscription.id) == "active":
        subscription.state = "active"
        subscription.version += 1
