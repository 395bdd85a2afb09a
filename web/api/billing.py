"""This tenant as the platform's customer: plans, its subscription, usage, invoices, payment methods.

The books are the operator tenant's. Every statement here names the one customer there that the caller's tenant is, by
`external_id`, which only this module writes for a tenant's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Response
from flask_smorest import Blueprint
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.billing.periods import zone_named
from domain.billing.subscriptions import LIVE
from domain.errors import NotFound
from domain.ids import new_id
from models.tenant import Customer, Invoice, Plan, Subscription
from web import invoicing, subscribing
from web.api.plans import shown as shown_plans
from web.auth import can
from web.bookkeeping import found, lower_due
from web.context import tenancy, tenant_id
from web.idempotency import idempotent
from web.listing import list_rows
from web.operator_tenant import operator_tenant_id
from web.pagination import Envelope
from web.paying import list_methods, remove_method, submit_for
from web.previews import course_for, running_period, used
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.billing import SubscribeSchema
from web.schemas.customers import PaymentMethodCreateSchema, PaymentMethodListSchema, PortalCreateSchema
from web.schemas.invoices import InvoiceDetailSchema, InvoiceSchema, OwnInvoiceFilterSchema
from web.schemas.jobs import JobSchema
from web.schemas.plans import PlanSchema
from web.schemas.subscriptions import SubscriptionSchema
from web.schemas.usage_events import UsageSummaryListSchema

blueprint = Blueprint(
    "billing", __name__, url_prefix="/billing", description="This tenant as the platform's customer"
)  # fmt: skip


@blueprint.route("/plans", methods=["GET"])
@can("billing:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(PlanSchema))
def list_platform_plans(arguments: dict[str, Any]) -> tuple[Envelope[Mapping[str, Any]], dict[str, str]]:
    """List the platform's plans."""
    seller = _seller()
    page, headers = list_rows(Plan, arguments, owner=seller)
    with tenancy().session(seller) as session:
        return Envelope(shown_plans(session, seller, page.items), page.next_cursor), headers


@blueprint.route("/subscription", methods=["GET"])
@can("billing:read")
@blueprint.response(200, SubscriptionSchema)
def get_own_subscription() -> dict[str, Any]:
    """Read this tenant's subscription to the platform."""
    seller = _seller()
    with tenancy().session(seller) as session:
        return subscribing.shown(_subscribed(session, seller))


@blueprint.route("/subscribe", methods=["POST"])
@can("billing:update")
@idempotent
@blueprint.arguments(SubscribeSchema)
@blueprint.response(200, SubscriptionSchema)
def subscribe_to_platform(body: dict[str, Any]) -> dict[str, Any]:
    """Subscribe to a plan of the platform, or go over to it from this second on."""
    seller = _seller()
    zone_named(body["timezone"])
    with tenancy().session(seller) as session:
        customer = _become_customer(session, seller, body)
        row = _live(session, seller, customer.id)
        if row is None:
            row = subscribing.subscribe(session, seller, customer, body["plan_id"], None)
        elif row.plan_id != body["plan_id"]:
            subscribing.change_plan(session, row, body["plan_id"])
            session.flush()
    lower_due(seller, row.next_cycle_at)
    return subscribing.shown(row)


@blueprint.route("/portal", methods=["POST"])
@can("billing:update")
@blueprint.arguments(PortalCreateSchema)
@blueprint.response(202, JobSchema, description="The job whose result has the address.")
def open_own_portal(wanted: dict[str, Any]) -> Response:
    """Ask for the address of the provider's page on which this tenant sees and changes its payment methods."""
    seller = _seller()
    return submit_for("billing.portal", seller, {"customer_id": str(_customer_id(seller)), **wanted})


@blueprint.route("/usage", methods=["GET"])
@can("billing:read")
@blueprint.response(200, UsageSummaryListSchema)
def get_own_usage() -> dict[str, Any]:
    """Read what the running period has used of each meter of the plan."""
    seller = _seller()
    with tenancy().session(seller) as session:
        subscription = _subscribed(session, seller)
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
    seller = _seller()
    mine = {**arguments, "customer_id": _customer_id(seller)}
    return list_rows(Invoice, mine, invoicing.shown, owner=seller)


@blueprint.route("/invoices/<uuid:invoice_id>", methods=["GET"])
@can("billing:read")
@blueprint.response(200, InvoiceDetailSchema)
def get_own_invoice(invoice_id: UUID) -> dict[str, Any]:
    """Read one of this tenant's invoices."""
    seller = _seller()
    with tenancy().session(seller) as session:
        return invoicing.whole(session, _invoice(session, seller, invoice_id))


@blueprint.route("/invoices/<uuid:invoice_id>/pdf", methods=["GET"])
@can("billing:read")
@blueprint.response(200, description="The invoice as a document.", content_type="application/pdf")
def get_own_invoice_pdf(invoice_id: UUID) -> Response:
    """Read one of this tenant's invoices as a PDF."""
    seller = _seller()
    with tenancy().session(seller) as session:
        return invoicing.document(session, _invoice(session, seller, invoice_id))


@blueprint.route("/payment-methods", methods=["GET"])
@can("billing:read")
@blueprint.response(200, PaymentMethodListSchema)
def list_own_payment_methods() -> Any:
    """List this tenant's payment methods."""
    seller = _seller()
    return list_methods(seller, _customer_id(seller))


@blueprint.route("/payment-methods", methods=["POST"])
@can("billing:update")
@blueprint.arguments(PaymentMethodCreateSchema)
@blueprint.response(202, JobSchema, description="The job that attaches it.")
def create_own_payment_method(method: dict[str, Any]) -> Response:
    """Attach a payment method that the provider's form has made. It becomes the default."""
    seller = _seller()
    return submit_for("payment_method.attach", seller, {"customer_id": str(_customer_id(seller)), **method})


@blueprint.route("/payment-methods/<uuid:payment_method_id>", methods=["DELETE"])
@can("billing:update")
@blueprint.response(204, description="It is used no more.")
def delete_own_payment_method(payment_method_id: UUID) -> None:
    """Use a payment method no more."""
    seller = _seller()
    remove_method(seller, _customer_id(seller), payment_method_id)


def _seller() -> UUID:
    return operator_tenant_id(tenancy())


def _customer(session: Session, seller: UUID, *, to_change: bool = False) -> Customer:
    mine = select(Customer).where(Customer.tenant_id == seller, Customer.external_id == str(tenant_id()))
    customer = session.scalar(mine.with_for_update() if to_change else mine)
    if customer is None:
        raise NotFound("This tenant has not subscribed to the platform.")
    return customer


def _customer_id(seller: UUID) -> UUID:
    with tenancy().session(seller) as session:
        return _customer(session, seller).id


def _become_customer(session: Session, seller: UUID, body: Mapping[str, Any]) -> Customer:
    """The tenant's customer, locked, so that of two requests at once the second finds the first one's subscription."""
    row = {
        "tenant_id": seller, "id": new_id(), "external_id": str(tenant_id()), "name": body["name"], "email": body["email"],
        "timezone": body["timezone"],
    }  # fmt: skip
    session.execute(insert(Customer).values(row).on_conflict_do_nothing(index_elements=["tenant_id", "external_id"]))
    return _customer(session, seller, to_change=True)


def _live(session: Session, seller: UUID, customer_id: UUID) -> Subscription | None:
    return session.scalars(
        select(Subscription)
        .where(Subscription.tenant_id == seller, Subscription.customer_id == customer_id)
        .where(Subscription.state.in_(LIVE))
        .order_by(Subscription.id.desc())
        .limit(1)
        .with_for_update()
    ).one_or_none()


def _subscribed(session: Session, seller: UUID) -> Subscription:
    customer = _customer(session, seller)
    newest = (
        select(Subscription)
        .where(Subscription.tenant_id == seller, Subscription.customer_id == customer.id)
        .order_by(Subscription.id.desc())
    )
    subscription = session.scalar(newest.limit(1))
    if subscription is None:
        raise NotFound("This tenant has no subscription to the platform.")
    return subscription


def _invoice(session: Session, seller: UUID, invoice_id: UUID) -> Invoice:
    invoice = found(session, seller, Invoice, invoice_id)
    if invoice.customer_id != _customer(session, seller).id:
        raise NotFound(f"There is no invoice {invoice_id}.")
    return invoice
