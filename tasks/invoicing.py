"""Issuing the invoice of one period, within the caller's transaction."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.billing.money import Line, total
from domain.billing.periods import Period
from domain.ids import new_id
from models.tenant import Customer, Invoice, InvoiceCounter, InvoiceLine, Plan, Subscription


def issue(
    session: Session, subscription: Subscription, plan: Plan, customer: Customer, ended: Period
) -> Invoice | None:
    """Insert the invoice and its lines; None if the period has one already, or has no length.

    The number is taken in a savepoint, so that an invoice that was there already leaves no gap. A total of nothing is
    paid from the start.
    """
    if ended.start >= ended.end:
        return None
    lines = [Line(plan.name, Decimal(1), Decimal(plan.amount))]
    due = total(lines)
    with session.begin_nested() as savepoint:
        row = {
            "tenant_id": subscription.tenant_id,
            "id": new_id(),
            "number": _next_number(session, subscription),
            "subscription_id": subscription.id,
            "customer_id": customer.id,
            "period_start": ended.start,
            "period_end": ended.end,
            "currency": plan.currency,
            "total": due,
            "state": "open" if due else "paid",
            "paid_at": None if due else func.now(),
            "snapshot": _snapshot(plan, customer),
        }
        unique_period = ["tenant_id", "subscription_id", "period_start", "period_end"]
        statement = insert(Invoice).values(row).on_conflict_do_nothing(index_elements=unique_period)
        invoice: Invoice | None = session.scalar(statement.returning(Invoice))
        if invoice is None:
            savepoint.rollback()
            return None
        session.add_all(_row(invoice, line) for line in lines)
    return invoice


def _next_number(session: Session, subscription: Subscription) -> int:
    """The tenant's next invoice number. The counter stays locked until the commit, so numbers have no gaps."""
    counter = insert(InvoiceCounter).values(tenant_id=subscription.tenant_id, last_number=1)
    taken = counter.on_conflict_do_update(
        index_elements=["tenant_id"], set_={"last_number": InvoiceCounter.last_number + 1}
    ).returning(InvoiceCounter.last_number)
    return session.execute(taken).scalar_one()


def _row(invoice: Invoice, line: Line) -> InvoiceLine:
    return InvoiceLine(
        tenant_id=invoice.tenant_id,
        invoice_id=invoice.id,
        description=line.description,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        amount=line.amount,
    )


def _snapshot(plan: Plan, customer: Customer) -> dict[str, Any]:
    """Plan and customer as they were billed: the invoice does not change with them."""
    return {
        "plan": {
            "id": str(plan.id),
            "code": plan.code,
            "name": plan.name,
            "amount": plan.amount,
            "currency": plan.currency,
            "interval": plan.interval,
            "interval_count": plan.interval_count,
        },
        "customer": {
            "id": str(customer.id),
            "name": customer.name,
            "email": customer.email,
            "timezone": customer.timezone,
        },
    }
