"""`payment.refund`: give back what a credit note says, from the payment that settled its invoice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from domain.errors import Permanent
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import CreditNote, Payment
from providers.payments import payment_provider


@handles("payment.refund")
def refund(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refund the credit note's amount. Its id is the provider's key, so any number of runs give it back once.

    A refusal is written on the credit note, which then says `failed`, and raised.
    """
    key = (context.tenant_id, payload["credit_note_id"])
    with context.session() as session:
        note = session.get_one(CreditNote, key)
        if note.state != "pending":
            return {"state": note.state}
        payment = session.scalar(
            select(Payment).where(
                Payment.tenant_id == context.tenant_id, Payment.invoice_id == note.invoice_id, Payment.state == "succeeded"
            )
        )  # fmt: skip
        amount = note.amount
    state, refund_id = "done", None
    refusal: Permanent | None = None
    try:
        refund_id = _give_back(context, payment, amount, f"credit_note:{key[1]}")
    except Permanent as error:
        state, refusal = "failed", error
    with context.session() as session:
        note = session.get_one(CreditNote, key, with_for_update=True)
        if note.state == "pending":
            note.state, note.provider_id = state, refund_id
    if refusal is not None:
        raise refusal
    return {"state": state}


def _give_back(context: JobContext, payment: Payment | None, amount: int, key: str) -> str:
    if payment is None:
        raise Permanent("No payment of ours settled the invoice.", code="no_payment")
    return payment_provider(context.settings, payment.provider).refund(payment.provider_id, amount, key)
