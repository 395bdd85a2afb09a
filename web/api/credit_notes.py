"""Credit notes: money given back for an invoice, which itself stays as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask_smorest import Blueprint
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.billing.invoices import check_action
from domain.errors import FieldError, InvalidPayload, NotFound
from models.tenant import CreditNote, Invoice
from models.tenant.balances import Balances
from models.tenant.numbering import credit_note_number
from models.tenant.owing import restore
from web.auth import can
from web.bookkeeping import found, lower_due
from web.context import tenancy, tenant_id
from web.giving_up import check_idle
from web.idempotency import idempotent, new_resource_id
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import page_schema
from web.schemas.invoices import CreditNoteCreateSchema, CreditNoteFilterSchema, CreditNoteSchema

blueprint = Blueprint(
    "credit_notes", __name__, url_prefix="/merchant/credit-notes", description="Money given back for an invoice"
)


@blueprint.route("", methods=["POST"])
@can("credit_note:create")
@idempotent
@blueprint.arguments(CreditNoteCreateSchema)
@blueprint.response(201, CreditNoteSchema)
def create_credit_note(body: dict[str, Any]) -> CreditNote:
    """Credit an invoice.

    Of an open one, less is to be paid. Of a paid one, the money is refunded to where it came from if `refund` says so, and
    else kept for the customer's next invoices.
    """
    now = datetime.now(UTC)
    with tenancy().session(tenant_id()) as session:
        note = session.get(CreditNote, (tenant_id(), new_resource_id()))
        if note is None:
            note = _credit(session, body)
        lower_due(tenant_id(), now)
    lower_due(tenant_id(), now)
    return note


@blueprint.route("", methods=["GET"])
@can("credit_note:read")
@blueprint.arguments(CreditNoteFilterSchema, location="query")
@blueprint.response(200, page_schema(CreditNoteSchema))
def list_credit_notes(arguments: dict[str, Any]) -> tuple[Envelope[CreditNote], dict[str, str]]:
    """List credit notes, newest first unless asked otherwise."""
    return list_rows(CreditNote, arguments)


@blueprint.route("/<uuid:credit_note_id>", methods=["GET"])
@can("credit_note:read")
@blueprint.response(200, CreditNoteSchema)
def get_credit_note(credit_note_id: UUID) -> CreditNote:
    """Read a credit note."""
    with tenancy().session(tenant_id()) as session:
        return found(session, tenant_id(), CreditNote, credit_note_id)


def _credit(session: Session, body: dict[str, Any]) -> CreditNote:
    invoice = session.get(Invoice, (tenant_id(), body["invoice_id"]), with_for_update=True)
    if invoice is None:
        fault = FieldError("/invoice_id", "not_found", "There is no such invoice.")
        raise NotFound(f"There is no invoice {body['invoice_id']}.", errors=(fault,))
    check_action("credit", invoice.state)
    check_idle(session, invoice)
    amount = body["amount"]
    if amount > invoice.total - invoice.credited:
        fault = FieldError("/amount", "out_of_range", f"No more than {invoice.total - invoice.credited} is left.")
        raise InvalidPayload("The credit note is invalid.", errors=(fault,))
    kind = "reduction" if invoice.state == "open" else "refund" if body["refund"] else "balance"
    values = {
        "tenant_id": tenant_id(), "id": new_resource_id(), "number": credit_note_number(session, tenant_id()),
        "invoice_id": invoice.id, "amount": amount, "currency": invoice.currency, "reason": body["reason"],
        "kind": kind, "state": "pending" if kind == "refund" else "done",
    }  # fmt: skip
    note = session.scalars(insert(CreditNote).values(values).returning(CreditNote)).one()
    invoice.credited += amount
    if kind == "reduction" and invoice.credited == invoice.total:
        invoice.state, invoice.paid_at, invoice.collect_at = "paid", func.now(), None
        restore(session, invoice, ("incomplete", "past_due", "unpaid"))
    if kind == "balance":
        balances = Balances(session, tenant_id(), [invoice.customer_id])
        balances[invoice.customer_id, invoice.currency] += amount
        balances.write()
    return note
