"""What follows an invoice that was issued: the event that tells of it, and the job that collects it.

Both are columns of the invoice, written with it, so a run that is killed in between leaves them to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update

from bus.events import publish
from domain.errors import UniqueKeyTaken
from domain.identity.principals import system
from jobs.context import JobContext
from jobs.submit import NewJob, submit
from models.tenant import CreditNote, Invoice, PaymentAttempt
from tenancy.scopes import tenant_scope

_PAGE = 500


def follow_up(context: JobContext, until: datetime) -> None:
    """Tell of all invoices that nobody was told of, have those collected whose time has come, and credits paid out."""
    while _announce(context) == _PAGE:
        context.check()
    last: UUID | None = None
    while ids := _to_collect(context, until, last):
        context.check()
        for invoice_id in ids:
            collect_soon(context, invoice_id)
        last = ids[-1]
    with context.session() as session:
        to_refund = list(session.scalars(select(CreditNote.id).where(CreditNote.state == "pending")))
    for note_id in to_refund:
        _submit(context, "payment.refund", {"credit_note_id": str(note_id)}, f"refund:{note_id}")


def collect_soon(context: JobContext, invoice_id: UUID) -> None:
    """Submit the job that collects the invoice, unless there is one."""
    _submit(context, "payment.collect", {"invoice_id": str(invoice_id)}, f"collect:{invoice_id}")


def _submit(context: JobContext, kind: str, payload: Mapping[str, str], unique_key: str) -> None:
    job = NewJob(
        kind=kind, payload=payload, principal=system("billing", context.tenant_id), unique_key=unique_key,
        request_id=context.request_id,
    )  # fmt: skip
    try:
        submit(context.tenancy, job)
    except UniqueKeyTaken:
        context.log.info("billing.already_submitted", of=kind, unique_key=unique_key)


def _announce(context: JobContext) -> int:
    """Publish `invoice.finalised` for a page. The invoice's id is the event's key, so twice is once."""
    unknown = select(Invoice).where(Invoice.announced_at.is_(None), Invoice.state != "draft").order_by(Invoice.id)
    with context.session() as session:
        page: Sequence[Invoice] = session.scalars(unknown.limit(_PAGE)).all()
    if not page:
        return 0
    vault = context.tenancy.vault(context.tenant_id)
    with context.tenancy.platform.session(tenant_scope(context.tenant_id)) as session:
        for invoice in page:
            publish(session, vault, "invoice.finalised", told(invoice), key=f"invoice.finalised:{invoice.id}")
    with context.session() as session:
        told_of = update(Invoice).where(
            Invoice.tenant_id == context.tenant_id, Invoice.id.in_([invoice.id for invoice in page])
        )
        session.execute(told_of.values(announced_at=func.now()))
    return len(page)


def tell_outcome(context: JobContext, invoice: Invoice, attempt: PaymentAttempt | None) -> None:
    """Publish that the invoice is paid, or that the attempt to collect it failed. Whoever hears of it and however often, it
    is told once, since the event's key is the invoice's or the attempt's."""
    if invoice.state == "paid" and (attempt is None or attempt.state == "succeeded"):
        name, key = "invoice.paid", f"invoice.paid:{invoice.id}"
    elif attempt is not None and attempt.state == "failed":
        name, key = "invoice.payment_failed", f"invoice.payment_failed:{attempt.id}"
    else:
        return
    vault = context.tenancy.vault(context.tenant_id)
    with context.tenancy.platform.session(tenant_scope(context.tenant_id)) as session:
        publish(session, vault, name, told(invoice), key=key)


def told(invoice: Invoice) -> dict[str, object]:
    """What an event says of an invoice."""
    return {
        "invoice_id": str(invoice.id),
        "number": invoice.number,
        "customer_id": str(invoice.customer_id),
        "subscription_id": None if invoice.subscription_id is None else str(invoice.subscription_id),
        "total": invoice.total,
        "currency": invoice.currency,
        "state": invoice.state,
    }


def _to_collect(context: JobContext, until: datetime, last: UUID | None) -> list[UUID]:
    due = select(Invoice.id).where(Invoice.collect_at <= until)
    if last is not None:
        due = due.where(Invoice.id > last)
    with context.session() as session:
        return list(session.scalars(due.order_by(Invoice.id).limit(_PAGE)))
