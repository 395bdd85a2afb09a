"""`payment.collect`: one attempt to collect an invoice, or the end of one whose outcome is unknown.

The attempt's row comes first, then the provider is called with a key made of it, then the outcome is written. Killed
anywhere, the next run finds the attempt under way and asks again with the same key, which the provider answers with the
payment that it made the first time. Keys are forgotten after a day: from then on the payment is looked for instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.billing.invoices import outstanding
from domain.billing.payments import KEY_LIFE, Payment, PaymentState
from domain.errors import Permanent, Transient
from domain.ids import new_id
from jobs.context import JobContext
from jobs.handlers import handles
from models.tenant import Customer, Invoice, PaymentAttempt, PaymentMethod
from providers.payments import ChargeRequest, ChargeResult, payment_provider
from tasks.billing.due import refresh_due
from tasks.billing.following import tell_outcome
from tasks.billing.settling import PAYABLE, UNDER_WAY, fail, record, settle

OURS_TO_MEND = frozenset({"provider_unauthorized", "provider_not_configured"})
"""What only the operator can put right; nothing was asked of the customer's bank."""
REMINDER = timedelta(minutes=15)
"""If nobody has written an attempt's outcome by then, the cycle has it looked for."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt under way, and what its provider must be told."""

    id: UUID
    invoice_id: UUID
    provider: str
    began_at: datetime
    payment_id: str | None
    request: ChargeRequest


@handles("payment.collect")
def collect(context: JobContext, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Collect the invoice from its customer's default payment method.

    Raises `Transient` if the outcome is unknown: the next attempt of the job goes on with the same attempt to collect.
    Raises `Permanent` if the platform itself cannot ask its provider, which is no failure of the customer's: the attempt
    stays under way, and a later cycle goes on with it.
    """
    attempt = _begin(context, payload["invoice_id"])
    if attempt is None:
        _tell_again(context, payload["invoice_id"])
        refresh_due(context)
        return {"attempted": False}
    context.confirm()
    try:
        result = _outcome(context, attempt)
    except Transient:
        _mark_unknown(context, attempt)
        raise
    except Permanent as error:
        if error.job_code in OURS_TO_MEND:
            refresh_due(context)
            raise
        result = ChargeResult(None, "failed", error.job_code)
    invoice, row = _finish(context, attempt, result)
    refresh_due(context)
    tell_outcome(context, invoice, row)
    return {"attempted": True, "outcome": result.state, "error_code": result.error_code, "invoice_state": invoice.state}


def _begin(context: JobContext, invoice_id: UUID) -> Attempt | None:
    """The attempt that is under way, or a new one; None if there is nothing to collect or nothing to collect it from."""
    now = datetime.now(UTC)
    with context.session() as session:
        invoice = session.get(Invoice, (context.tenant_id, invoice_id), with_for_update=True)
        if invoice is None:
            return None
        row = session.scalar(
            select(PaymentAttempt).where(
                PaymentAttempt.tenant_id == context.tenant_id, PaymentAttempt.invoice_id == invoice_id,
                PaymentAttempt.state.in_(UNDER_WAY),
            )
        )  # fmt: skip
        if row is None:
            row = _new_attempt(session, invoice)
        if row is None:
            invoice.collect_at = None
            return None
        invoice.collect_at = now + REMINDER
        method = session.get_one(PaymentMethod, (context.tenant_id, row.payment_method_id))
        customer = session.get_one(Customer, (context.tenant_id, invoice.customer_id))
        return _described(context, row, method, customer)


def _new_attempt(session: Session, invoice: Invoice) -> PaymentAttempt | None:
    amount = outstanding(invoice.total, invoice.credited)
    if invoice.state not in PAYABLE or amount == 0:
        return None
    method = session.scalar(
        select(PaymentMethod).where(
            PaymentMethod.tenant_id == invoice.tenant_id, PaymentMethod.customer_id == invoice.customer_id,
            PaymentMethod.is_default, PaymentMethod.detached_at.is_(None),
        )
    )  # fmt: skip
    if method is None:
        return None
    of_invoice = (PaymentAttempt.tenant_id == invoice.tenant_id, PaymentAttempt.invoice_id == invoice.id)
    earlier = session.scalar(select(func.max(PaymentAttempt.number)).where(*of_invoice)) or 0
    row = PaymentAttempt(
        tenant_id=invoice.tenant_id, id=new_id(), invoice_id=invoice.id, payment_method_id=method.id, number=earlier + 1,
        state="calling", amount=amount, currency=invoice.currency,
        created_at=datetime.now(UTC),
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def _described(context: JobContext, row: PaymentAttempt, method: PaymentMethod, customer: Customer) -> Attempt:
    key = f"inv:{row.invoice_id}:pm:{row.payment_method_id}:attempt:{row.number}"
    metadata = {"invoice_id": str(row.invoice_id), "tenant_id": str(context.tenant_id), "attempt": key}
    paid_by = customer.provider_customer_id or ""
    request = ChargeRequest(row.amount, row.currency, paid_by, method.provider_id, key, metadata)
    return Attempt(row.id, row.invoice_id, method.provider, row.created_at, row.provider_id, request)


def _outcome(context: JobContext, attempt: Attempt) -> ChargeResult:
    provider = payment_provider(context.settings, attempt.provider)
    if attempt.payment_id is not None:
        found = provider.retrieve("payment_intent", attempt.payment_id)
        state = {"succeeded": "succeeded", "processing": "pending"}.get(found.status or "", "failed")
        return ChargeResult(attempt.payment_id, state, None if state != "failed" else found.status)  # type: ignore[arg-type]  # one of the three
    if datetime.now(UTC) - attempt.began_at < KEY_LIFE:
        return provider.charge(attempt.request)
    late = provider.find_charge(attempt.request.customer, attempt.began_at, attempt.request.key)
    return late or ChargeResult(None, "failed", "never_arrived")


def _mark_unknown(context: JobContext, attempt: Attempt) -> None:
    with context.session() as session:
        row = session.get_one(PaymentAttempt, (context.tenant_id, attempt.id), with_for_update=True)
        if row.state == "calling":
            row.state = "unknown"


def _finish(context: JobContext, attempt: Attempt, result: ChargeResult) -> tuple[Invoice, PaymentAttempt]:
    """Write the outcome, by the same path that webhooks take. Whoever comes second changes nothing."""
    now = datetime.now(UTC)
    with context.session() as session:
        merged: Payment | None = None
        if result.id is not None:  # payments are locked before invoices, here as for webhooks
            request = attempt.request
            state = PaymentState(result.state)
            reported = Payment(result.id, state, request.amount, request.currency.upper(), attempt.invoice_id)
            merged = record(session, context.tenant_id, attempt.provider, reported)
        invoice = session.get_one(Invoice, (context.tenant_id, attempt.invoice_id), with_for_update=True)
        row = session.get_one(PaymentAttempt, (context.tenant_id, attempt.id), with_for_update=True)
        if row.state not in UNDER_WAY:
            return invoice, row
        row.error_code = result.error_code
        if merged is None:
            row.state, row.finished_at = "failed", now
            fail(session, invoice, now)
            return invoice, row
        row.provider_id, row.state = merged.provider_id, "pending"
        session.flush()
        settle(session, context.tenant_id, merged, now)
        return invoice, row


def _tell_again(context: JobContext, invoice_id: UUID) -> None:
    """Tell how the last attempt ended, for a run that was killed after it had written that."""
    of_invoice = (PaymentAttempt.tenant_id == context.tenant_id, PaymentAttempt.invoice_id == invoice_id)
    with context.session() as session:
        invoice = session.get(Invoice, (context.tenant_id, invoice_id))
        last = session.scalar(select(PaymentAttempt).where(*of_invoice).order_by(PaymentAttempt.number.desc()).limit(1))
    if invoice is not None and last is not None:
        tell_outcome(context, invoice, last)
