"""What payment providers tell us, once it was verified and stored. Any order of events ends in the same state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.billing.payments import Payment, PaymentState, merge, settles
from domain.billing.stripe_events import StripeEvent, read_event, read_payment
from domain.errors import Permanent
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import Invoice
from models.tenant import Payment as PaymentRow
from providers.payments import payment_provider


@handles("webhook.process")
def process(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take in one event: the payment moves forward, and its invoice is paid if the payment covers it.

    The object is read again from the provider where there is a key, so an old event brings new data. Raises
    `Permanent` (`malformed_event`, `source_not_supported`) and what the provider raises.
    """
    source = payload["source"]
    if source != "stripe":
        raise Permanent(f"There is no reader for events from {source[:80]!r}.", code="source_not_supported")
    event = read_event(payload["event"])
    if event is None:
        return {"handled": False}
    data, verified_by = _object(context, event)
    reported = read_payment(event.type, data)
    with context.session() as session:
        payment = _record(session, context, source, reported)
        invoice_state = _settle(session, context, payment)
    return {
        "handled": True,
        "payment_id": payment.provider_id,
        "payment_state": payment.state.value,
        "invoice_id": None if payment.invoice_id is None else str(payment.invoice_id),
        "invoice_state": invoice_state,
        "verified_by": verified_by,
    }


def _object(context: JobContext, event: StripeEvent) -> tuple[Mapping[str, Any], str]:
    """The object that the event speaks of, and what vouches for it: the provider itself, or the event's signature."""
    if context.settings.stripe_api_key is None:
        return event.data, "signature"
    return payment_provider(context.settings, "stripe").retrieve(event.object_type, event.object_id).data, "provider"


def _record(session: Session, context: JobContext, provider: str, reported: Payment) -> Payment:
    """Merge the report into the payment's row, which is locked against other events of the same payment."""
    key = {"tenant_id": context.tenant_id, "provider": provider, "provider_id": reported.provider_id}
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


def _settle(session: Session, context: JobContext, payment: Payment) -> str | None:
    """Pay the invoice that the payment is meant for, if it is open and covered; returns the invoice's state.

    An id that is not one of this tenant's invoices names none: row-level security hides the others.
    """
    if payment.invoice_id is None:
        return None
    invoice = session.get(Invoice, (context.tenant_id, payment.invoice_id), with_for_update=True)
    if invoice is None:
        return None
    if invoice.state == "open" and settles(payment, invoice.total, invoice.currency):
        invoice.state, invoice.paid_at = "paid", func.now()
        context.log.info("billing.invoice_paid", invoice_id=str(invoice.id))
        return "paid"
    return invoice.state
