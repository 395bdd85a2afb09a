"""Showing invoices: the same for the operator's customers and for a merchant's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Response, make_response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.billing.documents import Document, DocumentLine, pdf
from domain.billing.invoices import ACTIONS
from domain.errors import NotFound
from models.tenant import Invoice, InvoiceLine, PaymentAttempt, UsageEvent
from web.pagination import Envelope, Page
from web.schemas.invoices import InvoiceDetailSchema


def shown(invoice: Invoice) -> Mapping[str, Any]:
    """The invoice with what may be done with it."""
    columns = {column.key: getattr(invoice, column.key) for column in Invoice.__table__.columns}
    return {**columns, "available_actions": ACTIONS[invoice.state]}


def whole(session: Session, invoice: Invoice) -> dict[str, Any]:
    """The invoice with its lines and the attempts to collect it."""
    attempts = (
        select(PaymentAttempt)
        .where(PaymentAttempt.tenant_id == invoice.tenant_id, PaymentAttempt.invoice_id == invoice.id)
        .order_by(PaymentAttempt.number)
    )
    found = session.scalars(attempts).all()
    return {**shown(invoice), "lines": lines_of(session, invoice), "attempts": found, "snapshot": invoice.snapshot}


def lines_of(session: Session, invoice: Invoice) -> list[InvoiceLine]:
    """Its lines, in order."""
    of_invoice = (InvoiceLine.tenant_id == invoice.tenant_id, InvoiceLine.invoice_id == invoice.id)
    return list(session.scalars(select(InvoiceLine).where(*of_invoice).order_by(InvoiceLine.id)))


def answer(session: Session, invoice: Invoice, status: int = 200) -> Response:
    """The whole invoice with its address."""
    response = make_response(InvoiceDetailSchema().dump(whole(session, invoice)), status)
    response.headers["Location"] = f"/api/v1/merchant/invoices/{invoice.id}"
    return response


def document(session: Session, invoice: Invoice) -> Response:
    """The invoice as a PDF."""
    customer = invoice.snapshot.get("customer", {})
    period = None
    if invoice.period_start is not None and invoice.period_end is not None:
        period = (invoice.period_start, invoice.period_end)
    printed = Document(
        number=invoice.number,
        state=invoice.state,
        customer_name=customer.get("name", ""),
        customer_email=customer.get("email", ""),
        issued_at=invoice.created_at,
        period=period,
        currency=invoice.currency,
        lines=[
            DocumentLine(line.description, line.quantity, line.unit_amount, line.amount)
            for line in lines_of(session, invoice)
        ],
        total=invoice.total,
        credited=invoice.credited,
    )
    response = Response(pdf(printed), mimetype="application/pdf")
    name = "draft" if invoice.number is None else str(invoice.number)
    response.headers["Content-Disposition"] = f'attachment; filename="invoice-{name}.pdf"'
    return response


def line_events(
    session: Session, invoice: Invoice, line_id: UUID, page: Page
) -> tuple[Envelope[UsageEvent], dict[str, str]]:
    """The page of the usage that a line bills. Raises `NotFound` for a line that is not the invoice's.

    Usage that came after the invoice is the next one's: the line of the adjustment there opens to it.
    """
    line = session.get(InvoiceLine, (invoice.tenant_id, line_id))
    if line is None or line.invoice_id != invoice.id:
        raise NotFound(f"The invoice has no line {line_id}.")
    events = select(UsageEvent).where(
        UsageEvent.tenant_id == invoice.tenant_id, UsageEvent.customer_id == invoice.customer_id,
        UsageEvent.code == line.code, UsageEvent.timestamp >= line.starts_at, UsageEvent.timestamp < line.ends_at,
        UsageEvent.created_at <= invoice.created_at,
    )  # fmt: skip
    billed_at = _billed_at(session, invoice, line) if line.kind == "adjustment" else None
    if billed_at is not None:
        events = events.where(UsageEvent.created_at > billed_at)
    if page.after is not None:
        events = events.where(UsageEvent.id < page.after if page.newest_first else UsageEvent.id > page.after)
    order = UsageEvent.id.desc() if page.newest_first else UsageEvent.id.asc()
    return page.answer(session.scalars(events.order_by(order).limit(page.fetch_limit)).all())


def _billed_at(session: Session, invoice: Invoice, adjustment: InvoiceLine) -> datetime | None:
    """When the usage that an adjustment puts right was billed; None if there was none then."""
    return session.scalar(
        select(func.max(Invoice.created_at))
        .join(InvoiceLine, (InvoiceLine.tenant_id == Invoice.tenant_id) & (InvoiceLine.invoice_id == Invoice.id))
        .where(Invoice.tenant_id == invoice.tenant_id, Invoice.subscription_id == invoice.subscription_id)
        .where(InvoiceLine.kind == "usage", InvoiceLine.charge == adjustment.charge)
        .where(InvoiceLine.starts_at >= adjustment.starts_at, InvoiceLine.ends_at <= adjustment.ends_at)
    )
