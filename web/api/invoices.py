"""Invoices of a tenant's own customers: read, printed, made by hand, made final, given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint
from sqlalchemy import delete, func
from sqlalchemy.orm import Session

from domain.billing.invoices import balanced, check_action
from domain.billing.money import Line
from domain.billing.statement import StatementLine
from domain.errors import FieldError, InvalidPayload
from domain.ids import new_id
from models.tenant import Customer, Invoice, InvoiceLine, UsageEvent
from models.tenant.balances import Balances
from models.tenant.invoice_lines import line_row
from models.tenant.numbering import invoice_numbers
from models.tenant.snapshots import snapshot
from web import invoicing
from web.auth import can
from web.bookkeeping import found, insert_once, lower_due, named
from web.context import tenancy, tenant_id
from web.giving_up import give_up
from web.idempotency import idempotent
from web.listing import list_rows
from web.pagination import Envelope, read_page
from web.paying import collect_now
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.invoices import InvoiceCreateSchema, InvoiceDetailSchema, InvoiceFilterSchema, InvoiceSchema
from web.schemas.usage_events import UsageEventSchema

blueprint = Blueprint("invoices", __name__, url_prefix="/merchant/invoices", description="What customers owe")


@blueprint.route("", methods=["GET"])
@can("invoice:read")
@blueprint.arguments(InvoiceFilterSchema, location="query")
@blueprint.response(200, page_schema(InvoiceSchema))
def list_invoices(arguments: dict[str, Any]) -> tuple[Envelope[Mapping[str, Any]], dict[str, str]]:
    """List the tenant's invoices, newest first unless asked otherwise."""
    return list_rows(Invoice, arguments, invoicing.shown)


@blueprint.route("", methods=["POST"])
@can("invoice:create")
@idempotent
@blueprint.arguments(InvoiceCreateSchema)
@blueprint.response(201, InvoiceDetailSchema)
def create_invoice(body: dict[str, Any]) -> Response:
    """Draft an invoice without a subscription. It gets its number when it is made final."""
    lines = _lines(body["lines"])
    total = sum(line.amount for line in lines)
    if total >= 2**63:
        fault = FieldError("/lines", "out_of_range", "Come to more than an amount can hold.")
        raise InvalidPayload("The invoice is invalid.", errors=(fault,))
    with tenancy().session(tenant_id()) as session:
        customer = named(session, tenant_id(), Customer, body["customer_id"])
        values = {
            "customer_id": customer.id, "currency": body["currency"].upper(), "total": total, "state": "draft",
            "snapshot": snapshot(None, customer),
        }  # fmt: skip
        invoice = insert_once(session, tenant_id(), Invoice, values)
        if not invoicing.lines_of(session, invoice):
            session.add_all(
                InvoiceLine(
                    tenant_id=tenant_id(), id=new_id(), invoice_id=invoice.id, description=line.description,
                    quantity=line.quantity, unit_amount=line.unit_amount, amount=line.amount, kind="manual",
                )
                for line in lines
            )  # fmt: skip
            session.flush()
        return invoicing.answer(session, invoice, 201)


@blueprint.route("/<uuid:invoice_id>", methods=["GET"])
@can("invoice:read")
@blueprint.response(200, InvoiceDetailSchema)
def get_invoice(invoice_id: UUID) -> dict[str, Any]:
    """Read an invoice with its lines and the attempts to collect it."""
    with tenancy().session(tenant_id()) as session:
        return invoicing.whole(session, found(session, tenant_id(), Invoice, invoice_id))


@blueprint.route("/<uuid:invoice_id>", methods=["DELETE"])
@can("invoice:update")
@blueprint.response(204, description="The draft is gone.")
def delete_invoice(invoice_id: UUID) -> None:
    """Throw a draft away. What has a number stays; it can be voided."""
    with tenancy().session(tenant_id()) as session:
        invoice = found(session, tenant_id(), Invoice, invoice_id, to_change=True)
        check_action("delete", invoice.state)
        session.execute(delete(Invoice).where(Invoice.tenant_id == tenant_id(), Invoice.id == invoice_id))


@blueprint.route("/<uuid:invoice_id>/pdf", methods=["GET"])
@can("invoice:read")
@blueprint.response(200, description="The invoice as a document.", content_type="application/pdf")
def get_invoice_pdf(invoice_id: UUID) -> Response:
    """Read an invoice as a PDF."""
    with tenancy().session(tenant_id()) as session:
        return invoicing.document(session, found(session, tenant_id(), Invoice, invoice_id))


@blueprint.route("/<uuid:invoice_id>/lines/<uuid:line_id>/events", methods=["GET"])
@can("invoice:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(UsageEventSchema))
def list_line_events(
    arguments: dict[str, Any], invoice_id: UUID, line_id: UUID
) -> tuple[Envelope[UsageEvent], dict[str, str]]:
    """List the usage that a line bills, and what each event came from: a job, for example."""
    with tenancy().session(tenant_id()) as session:
        invoice = found(session, tenant_id(), Invoice, invoice_id)
        return invoicing.line_events(session, invoice, line_id, read_page(arguments))


@blueprint.route("/<uuid:invoice_id>/finalise", methods=["POST"])
@can("invoice:update")
@blueprint.response(200, InvoiceDetailSchema)
def finalise_invoice(invoice_id: UUID) -> Response:
    """Make a draft final: it gets the next number and is collected if the customer has a payment method.

    What the customer has left over in the currency pays first, as a line of its own.
    """

    def finalise(session: Session, invoice: Invoice) -> None:
        check_action("finalise", invoice.state)
        _apply_balance(session, invoice)
        invoice.number = invoice_numbers(session, tenant_id())
        invoice.state = "open" if invoice.total else "paid"
        invoice.paid_at = None if invoice.total else func.now()
        invoice.collect_at = datetime.now(UTC) if invoice.total else None
        invoice.announced_at = None

    return _changed(invoice_id, finalise)


@blueprint.route("/<uuid:invoice_id>/pay", methods=["POST"])
@can("invoice:update")
@blueprint.response(200, InvoiceDetailSchema)
def pay_invoice(invoice_id: UUID) -> Response:
    """Have the invoice collected now from the customer's default payment method. `attempts` tells how it went."""

    return _changed(invoice_id, collect_now)


@blueprint.route("/<uuid:invoice_id>/void", methods=["POST"])
@can("invoice:update")
@blueprint.response(200, InvoiceDetailSchema)
def void_invoice(invoice_id: UUID) -> Response:
    """Declare an invoice void. It keeps its number, and nothing of it is billed again.

    Credits and balance that had lowered it go back to the customer's balance.
    """
    return _given_up(invoice_id, "void", "void")


@blueprint.route("/<uuid:invoice_id>/mark-uncollectible", methods=["POST"])
@can("invoice:update")
@blueprint.response(200, InvoiceDetailSchema)
def mark_invoice_uncollectible(invoice_id: UUID) -> Response:
    """Give an invoice up. A payment that comes all the same still settles it."""
    return _given_up(invoice_id, "mark_uncollectible", "uncollectible")


def _given_up(invoice_id: UUID, action: str, state: str) -> Response:
    def change(session: Session, invoice: Invoice) -> None:
        check_action(action, invoice.state)
        give_up(session, invoice, state)

    return _changed(invoice_id, change)


def _apply_balance(session: Session, invoice: Invoice) -> None:
    balances = Balances(session, tenant_id(), [invoice.customer_id])
    account = (invoice.customer_id, invoice.currency)
    drafted = [StatementLine(Line("Total", Decimal(1), Decimal(invoice.total)), "manual")]
    (_, *applied), balances[account] = balanced(drafted, balances[account])
    session.add_all(InvoiceLine(**line_row(tenant_id(), invoice.id, line)) for line in applied)
    invoice.total += sum(line.amount for line in applied)
    balances.write()


def _changed(invoice_id: UUID, change: Callable[[Session, Invoice], None]) -> Response:
    now = datetime.now(UTC)
    with tenancy().session(tenant_id()) as session:
        invoice = found(session, tenant_id(), Invoice, invoice_id, to_change=True)
        change(session, invoice)
        session.flush()
        session.refresh(invoice)
        response = invoicing.answer(session, invoice)
        lower_due(tenant_id(), now)
    lower_due(tenant_id(), now)
    return response


def _lines(wanted: list[Mapping[str, Any]]) -> list[Line]:
    """The lines. Raises `InvalidPayload` for one that is no amount of money."""
    lines: list[Line] = []
    for number, each in enumerate(wanted):
        line = Line(each["description"], Decimal(each["quantity"]), Decimal(each["unit_amount"]))
        try:
            _ = line.amount
        except ValueError:
            fault = FieldError(f"/lines/{number}", "out_of_range", "Comes to more than an amount can hold.")
            raise InvalidPayload("The invoice is invalid.", errors=(fault,)) from None
        lines.append(line)
    return lines
