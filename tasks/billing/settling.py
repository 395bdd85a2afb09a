"""What a report of a payment does to our rows: the payment, its attempt, its invoice, the subscription.

The provider's inline answer and its webhooks come here alike, in any order and more than once. The payment's row is a
join of all reports; an invoice is paid once; an attempt ends once, and only its end counts as a failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.billing.dunning import after_failure
from domain.billing.invoices import outstanding
from domain.billing.payments import Payment, PaymentState, merge, settles
from models.tenant import Invoice, PaymentAttempt, Subscription
from models.tenant import Payment as PaymentRow
from models.tenant.owing import restore

PAYABLE = frozenset({"open", "uncollectible"})
UNDER_WAY = ("calling", "unknown", "pending")


@dataclass(frozen=True, slots=True)
class Settled:
    """What a payment is about: our invoice, and the attempt of ours that made it, if it was ours."""

    invoice: Invoice
    attempt: PaymentAttempt | None


def record(session: Session, tenant_id: UUID, provider: str, reported: Payment) -> Payment:
    """Merge the report into the payment's row, which is locked against other reports of the same payment."""
    key = {"tenant_id": tenant_id, "provider": provider, "provider_id": reported.provider_id}
    first = {
        **key,
        "state": reported.state.value,
        "amount": reported.amount,
        "currency": reported.currency,
        "invoice_id": reported.invoice_id,
    }
    session.execute(insert(PaymentRow).values(first).on_conflict_do_nothing(index_elements=list(key)))
    row = session.scalars(select(PaymentRow).filter_by(**key).with_for_update()).one()
    known = Payment(row.provider_id, PaymentState(row.state), row.amount, row.currency, row.invoice_id)
    merged = merge(known, reported)
    row.state, row.amount, row.currency = merged.state.value, merged.amount, merged.currency
    row.invoice_id = merged.invoice_id
    return merged


def settle(session: Session, tenant_id: UUID, payment: Payment, now: datetime) -> Settled | None:
    """Pay the invoice that the payment is meant for, if it is covered, and end its attempt.

    An attempt that has failed may still succeed, as its payment may: a bank asks its customer, who answers later.

    An id that is not one of this tenant's invoices names none: row-level security hides the others.
    """
    if payment.invoice_id is None:
        return None
    invoice = session.get(Invoice, (tenant_id, payment.invoice_id), with_for_update=True)
    if invoice is None:
        return None
    attempt = session.scalar(
        select(PaymentAttempt).where(
            PaymentAttempt.tenant_id == tenant_id, PaymentAttempt.invoice_id == invoice.id,
            PaymentAttempt.provider_id == payment.provider_id,
        )
    )  # fmt: skip
    due = outstanding(invoice.total, invoice.credited)
    if invoice.state in PAYABLE and settles(payment, due, invoice.currency):
        invoice.state, invoice.paid_at, invoice.collect_at = "paid", func.now(), None
        restore(session, invoice, ("incomplete", "past_due", "unpaid"))
    if attempt is not None and payment.state is not PaymentState.PENDING:
        _end(session, attempt, invoice, payment.state, now)
    return Settled(invoice, attempt)


def _end(session: Session, attempt: PaymentAttempt, invoice: Invoice, state: PaymentState, now: datetime) -> None:
    if state is not PaymentState.FAILED:
        if attempt.state != "succeeded":
            attempt.state, attempt.error_code, attempt.finished_at = "succeeded", None, now
    elif attempt.state in UNDER_WAY:
        attempt.state, attempt.finished_at = "failed", now
        fail(session, invoice, now)


def fail(session: Session, invoice: Invoice, now: datetime) -> None:
    """An attempt to collect the invoice has failed: try again later, or give up.

    What was given up before and is tried by hand is not tried again by itself.
    """
    if invoice.state != "open":
        invoice.collect_at = None
        return
    invoice.failures += 1
    dunning = after_failure(invoice.failures, now)
    invoice.collect_at = dunning.collect_at
    if dunning.collect_at is None:
        invoice.state = "uncollectible"
    subscription = _subscription(session, invoice)
    if subscription is not None and subscription.state in ("active", "past_due"):
        subscription.state = dunning.subscription_state
        subscription.version += 1


def _subscription(session: Session, invoice: Invoice) -> Subscription | None:
    if invoice.subscription_id is None:
        return None
    return session.get(Subscription, (invoice.tenant_id, invoice.subscription_id), with_for_update=True)
