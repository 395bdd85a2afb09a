"""`payment.refund`: give back what a credit note says, from the payment that settled its invoice.

A note is `pending`, then `done` or `failed`. One that is done may fail yet, when the provider learns that the money did not arrive.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.billing.payments import KEY_LIFE
from domain.billing.stripe_events import refund_key
from domain.errors import Permanent
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import CreditNote, Invoice, Payment
from providers.payments import RefundRequest, payment_provider
from tasks.billing.collecting import OURS_TO_MEND


@handles("payment.refund")
def refund(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refund the credit note's amount. Its id is the provider's key, so any number of runs give it back once; when the
    provider may have forgotten the key, the refund is looked for first.

    A refusal is written on the credit note, which then says `failed` and takes nothing off its invoice any more, and raised.
    """
    key = (context.tenant_id, payload["credit_note_id"])
    with context.session() as session:
        note = session.get_one(CreditNote, key)
        if note.state != "pending":
            return {"state": note.state}
        payment = _payment_of(session, note)
    try:
        refund_id = _give_back(context, payment, note)
    except Permanent as error:
        if error.job_code not in OURS_TO_MEND:
            _end(context, note.id, "failed", None)
        raise
    return {"state": _end(context, note.id, "done", refund_id)}


def bounced(context: JobContext, note_id: UUID, refund_id: str) -> str | None:
    """The provider says that this refund did not arrive, whatever we know of it so far. Returns the credit note's state, or None if there
    is no such note to refund; a note that another refund settled stays as it is."""
    return _end(context, note_id, "failed", refund_id, of=("pending", "done"))


def _payment_of(session: Session, note: CreditNote) -> Payment | None:
    """The payment that settled the invoice. The provider may have told that it is refunded before its answer came."""
    moved = (
        select(Payment)
        .where(Payment.tenant_id == note.tenant_id, Payment.invoice_id == note.invoice_id)
        .where(Payment.state.in_(("succeeded", "refunded")), Payment.currency == note.currency)
    )
    return session.scalars(moved.order_by(Payment.state.desc(), Payment.amount.desc(), Payment.id).limit(1)).first()


def _give_back(context: JobContext, payment: Payment | None, note: CreditNote) -> str:
    if payment is None:
        raise Permanent("No payment of ours settled the invoice.", code="no_payment")
    provider = payment_provider(context.settings, payment.provider)
    whose = {"tenant_id": str(context.tenant_id)}  # so that what is heard of the refund comes back to this tenant
    request = RefundRequest(payment.provider_id, note.amount, note.currency, refund_key(note.id), whose)
    known = provider.find_refund(request) if datetime.now(UTC) - note.created_at >= KEY_LIFE else None
    return known or provider.refund(request)


def _end(
    context: JobContext, note_id: UUID, state: str, refund_id: str | None, of: Collection[str] = ("pending",)
) -> str | None:
    """Write how a note that is in one of the states `of` has ended; returns the state that it has then."""
    with context.session() as session:
        note = session.get(CreditNote, (context.tenant_id, note_id), with_for_update=True)
        if note is None or note.kind != "refund":
            return None
        if note.state in of and note.provider_id in {None, refund_id}:
            note.state, note.provider_id = state, refund_id
            if state == "failed":
                invoice = session.get_one(Invoice, (context.tenant_id, note.invoice_id), with_for_update=True)
                invoice.credited -= note.amount
        return note.state
