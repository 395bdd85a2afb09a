"""This tenant as the platform's customer: plans, its subscription, what it may use, invoices, payment methods.

The books are the operator tenant's (`web.own_books`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint

from domain.billing.periods import zone_named
from domain.errors import UniqueKeyTaken
from domain.identity.principals import system
from jobs.submit import NewJob, submit
from models.tenant import Invoice, Plan, UsageEvent
from tenancy.scopes import tenant_scope
from web import invoicing, subscribing
from web.api.plans import shown as shown_plans
from web.auth import can
from web.bookkeeping import lower_due
from web.context import tenancy, tenant_id
from web.entitling import entitlements
from web.idempotency import idempotent
from web.listing import list_rows
from web.own_books import (
    become_customer,
    live_subscription,
    own_customer,
    own_customer_id,
    own_invoice,
    own_subscription,
    seller,
)
from web.pagination import Envelope, read_page
from web.paying import collect_now, list_methods, remove_method, submit_for
from web.previews import course_for, running_period, used
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.billing import SubscribeSchema
from web.schemas.customers import (
    EntitlementsSchema,
    PaymentMethodCreateSchema,
    PaymentMethodListSchema,
    PortalCreateSchema,
)
from web.schemas.invoices import InvoiceDetailSchema, InvoiceSchema, OwnInvoiceFilterSchema
from web.schemas.jobs import JobSchema
from web.schemas.plans import PlanSchema
from web.schemas.subscriptions import SubscriptionSchema
from web.schemas.usage_events import UsageEventSchema, UsageSummaryListSchema

blueprint = Blueprint(
    "billing", __name__, url_prefix="/billing", description="This tenant as the platform's customer"
)  # fmt: skip

_ALLOWANCES: LiteralString = "SELECT code, used FROM plan_allowances WHERE tenant_id = %(tenant_id)s"


@blueprint.route("/plans", methods=["GET"])
@can("billing:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(PlanSchema))
def list_platform_plans(arguments: dict[str, Any]) -> tuple[Envelope[Mapping[str, Any]], dict[str, str]]:
    """List the platform's plans."""
    books = seller()
    page, headers = list_rows(Plan, arguments, owner=books)
    with tenancy().session(books) as session:
        return Envelope(shown_plans(session, books, page.items), page.next_cursor), headers


@blueprint.route("/subscription", methods=["GET"])
@can("billing:read")
@blueprint.response(200, SubscriptionSchema)
def get_own_subscription() -> dict[str, Any]:
    """Read this tenant's subscription to the platform."""
    books = seller()
    with tenancy().session(books) as session:
        return subscribing.shown(own_subscription(session, books))


@blueprint.route("/subscribe", methods=["POST"])
@can("billing:update")
@idempotent
@blueprint.arguments(SubscribeSchema)
@blueprint.response(200, SubscriptionSchema)
def subscribe_to_platform(body: dict[str, Any]) -> dict[str, Any]:
    """Subscribe to a plan of the platform, or go over to it from this second on."""
    books = seller()
    zone_named(body["timezone"])
    with tenancy().session(books) as session:
        customer = become_customer(session, books, body)
        row = live_subscription(session, books, customer.id)
        if row is None:
            row = subscribing.subscribe(session, books, customer, body["plan_id"], None)
        elif row.plan_id != body["plan_id"]:
            subscribing.change_plan(session, row, body["plan_id"])
            session.flush()
    lower_due(books, row.next_cycle_at)
    _take_over(books)
    return subscribing.shown(row)


@blueprint.route("/portal", methods=["POST"])
@can("billing:update")
@blueprint.arguments(PortalCreateSchema)
@blueprint.response(202, JobSchema, description="The job whose result has the address.")
def open_own_portal(wanted: dict[str, Any]) -> Response:
    """Ask for the address of the provider's page on which this tenant sees and changes its payment methods."""
    books = seller()
    return submit_for("billing.portal", books, {"customer_id": str(own_customer_id(books)), **wanted})


@blueprint.route("/entitlements", methods=["GET"])
@can("billing:read")
@blueprint.response(200, EntitlementsSchema)
def get_own_entitlements() -> dict[str, Any]:
    """Read what this tenant's plan allows, and how much of each quota is used.

    What is beyond a hard quota is refused with 402 `plan_quota_exceeded` until the period ends or the plan is changed. Of
    jobs, messages, completions, embeddings and searches, those count that were asked for.
    """
    books = seller()
    with tenancy().session(books) as session:
        allowed = entitlements(session, books, own_customer(session, books).id)
    for code, quota in allowed["quotas"].items():
        counted = next((row["used"] for row in _counted() if row["code"] == code), 0)
        if counted > Decimal(quota["used"]):
            quota.update(used=str(counted), exceeded=counted > quota["limit"])
    return allowed


@blueprint.route("/usage", methods=["GET"])
@can("billing:read")
@blueprint.response(200, UsageSummaryListSchema)
def get_own_usage() -> dict[str, Any]:
    """Read what the running period has used of each meter of the plan."""
    books = seller()
    with tenancy().session(books) as session:
        subscription = own_subscription(session, books)
        course = course_for(session, subscription)
        running = running_period(course)
        items = [
            {
                "code": window.charge.code, "name": window.charge.name, "quantity": quantity,
                "period_start": running.start, "period_end": running.end,
            }
            for window, quantity in used(session, subscription, course)
        ]  # fmt: skip
    return {"items": items}


@blueprint.route("/invoices", methods=["GET"])
@can("billing:read")
@blueprint.arguments(OwnInvoiceFilterSchema, location="query")
@blueprint.response(200, page_schema(InvoiceSchema))
def list_own_invoices(arguments: dict[str, Any]) -> tuple[Envelope[Mapping[str, Any]], dict[str, str]]:
    """List this tenant's invoices from the platform."""
    books = seller()
    mine = {**arguments, "customer_id": own_customer_id(books)}
    final = (Invoice.state != "draft",)
    return list_rows(Invoice, mine, lambda row: _payers(invoicing.shown(row)), owner=books, where=final)


@blueprint.route("/invoices/<uuid:invoice_id>", methods=["GET"])
@can("billing:read")
@blueprint.response(200, InvoiceDetailSchema)
def get_own_invoice(invoice_id: UUID) -> dict[str, Any]:
    """Read one of this tenant's invoices."""
    books = seller()
    with tenancy().session(books) as session:
        return _payers(invoicing.whole(session, own_invoice(session, books, invoice_id)))


@blueprint.route("/invoices/<uuid:invoice_id>/pay", methods=["POST"])
@can("billing:update")
@blueprint.response(200, InvoiceDetailSchema)
def pay_own_invoice(invoice_id: UUID) -> dict[str, Any]:
    """Have one of this tenant's invoices collected now from its default payment method. `attempts` tells how it went.

    Also one that was given up: when it is paid, the subscription goes on.
    """
    books = seller()
    now = datetime.now(UTC)
    with tenancy().session(books) as session:
        invoice = own_invoice(session, books, invoice_id, to_change=True)
        collect_now(session, invoice)
        session.flush()
        shown = _payers(invoicing.whole(session, invoice))
        lower_due(books, now)
    lower_due(books, now)
    return shown


@blueprint.route("/invoices/<uuid:invoice_id>/pdf", methods=["GET"])
@can("billing:read")
@blueprint.response(200, description="The invoice as a document.", content_type="application/pdf")
def get_own_invoice_pdf(invoice_id: UUID) -> Response:
    """Read one of this tenant's invoices as a PDF."""
    books = seller()
    with tenancy().session(books) as session:
        return invoicing.document(session, own_invoice(session, books, invoice_id))


@blueprint.route("/invoices/<uuid:invoice_id>/lines/<uuid:line_id>/events", methods=["GET"])
@can("billing:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(UsageEventSchema))
def list_own_line_events(
    arguments: dict[str, Any], invoice_id: UUID, line_id: UUID
) -> tuple[Envelope[UsageEvent], dict[str, str]]:
    """List the usage that a line of one of this tenant's invoices bills, and what each event came from."""
    books = seller()
    with tenancy().session(books) as session:
        invoice = own_invoice(session, books, invoice_id)
        return invoicing.line_events(session, invoice, line_id, read_page(arguments))


@blueprint.route("/payment-methods", methods=["GET"])
@can("billing:read")
@blueprint.response(200, PaymentMethodListSchema)
def list_own_payment_methods() -> Any:
    """List this tenant's payment methods."""
    books = seller()
    return list_methods(books, own_customer_id(books))


@blueprint.route("/payment-methods", methods=["POST"])
@can("billing:update")
@blueprint.arguments(PaymentMethodCreateSchema)
@blueprint.response(202, JobSchema, description="The job that attaches it.")
def create_own_payment_method(method: dict[str, Any]) -> Response:
    """Attach a payment method that the provider's form has made. It becomes the default."""
    books = seller()
    return submit_for("payment_method.attach", books, {"customer_id": str(own_customer_id(books)), **method})


@blueprint.route("/payment-methods/<uuid:payment_method_id>", methods=["DELETE"])
@can("billing:update")
@blueprint.response(204, description="It is used no more.")
def delete_own_payment_method(payment_method_id: UUID) -> None:
    """Use a payment method no more."""
    books = seller()
    remove_method(books, own_customer_id(books), payment_method_id)


def _payers(invoice: Mapping[str, Any]) -> dict[str, Any]:
    """The invoice with what its payer may do with it; the rest is the seller's."""
    return {**invoice, "available_actions": [each for each in invoice["available_actions"] if each == "pay"]}


def _counted() -> list[dict[str, Any]]:
    return tenancy().platform.fetch(_ALLOWANCES, {"tenant_id": tenant_id()}, tenant_scope(tenant_id()))


def _take_over(books: UUID) -> None:
    """Have what the plan allows hold now. If a run is under way, the next one within a minute does it."""
    with contextlib.suppress(UniqueKeyTaken):
        submit(tenancy(), NewJob("usage.collect", {}, system("billing", books), unique_key="tick"))
