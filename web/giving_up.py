"""Giving an invoice up: nobody pays it any more, and what was taken from its customer for it goes back."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.errors import Conflict
from models.tenant import Invoice, InvoiceLine, PaymentAttempt
from models.tenant.balances import Balances
from models.tenant.owing import restore


def open_invoices(session: Session, tenant_id: UUID, subscription_id: UUID) -> Sequence[Invoice]:
    """The subscription's open invoices, locked. Whoever also locks the subscription locks these first, as payments do."""
    return session.scalars(
        select(Invoice)
        .where(Invoice.tenant_id == tenant_id, Invoice.subscription_id == subscription_id, Invoice.state == "open")
        .order_by(Invoice.id)
        .with_for_update()
    ).all()


def give_up(session: Session, invoice: Invoice, state: str) -> None:
    """Make the locked invoice `void` or `uncollectible`.

    Of a void one, what lowered it goes to the customer's balance: credits for what was paid before, and the balance that it
    had used. Raises `Conflict` while it is being collected.
    """
    check_idle(session, invoice)
    invoice.state, invoice.collect_at = state, None
    if state == "void":
        restore(session, invoice, ("past_due", "unpaid"))
        _give_back(session, invoice)


def check_idle(session: Session, invoice: Invoice) -> None:
    """Raise `Conflict` while an attempt to collect the locked invoice is under way."""
    under_way = select(PaymentAttempt.id).where(
        PaymentAttempt.tenant_id == invoice.tenant_id, PaymentAttempt.invoice_id == invoice.id,
        PaymentAttempt.state.in_(("calling", "unknown", "pending")),
    )  # fmt: skip
    if session.scalar(under_way.limit(1)) is not None:
        raise Conflict("An attempt to collect the invoice is under way; try again when its outcome is known.")


def _give_back(session: Session, invoice: Invoice) -> None:
    lowered = select(func.sum(InvoiceLine.amount)).where(
        InvoiceLine.tenant_id == invoice.tenant_id, InvoiceLine.invoice_id == invoice.id, InvoiceLine.amount < 0
    )
    taken = -int(session.scalar(lowered) or 0)
    if taken:
        balances = Balances(session, invoice.tenant_id, [invoice.customer_id])
        balances[invoice.customer_id, invoice.currency] += taken
        balances.write()
