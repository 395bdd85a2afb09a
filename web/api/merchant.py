"""What a tenant sells to its own customers: plans, customers, subscriptions, and the invoices that billing made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, TypeVar
from uuid import UUID

from flask_smorest import Blueprint
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.billing.periods import Cadence, period, zone_named
from domain.errors import Conflict, FieldError, InvalidPayload, NotFound
from models.base import TenantBase
from models.tenant import Customer, Invoice, InvoiceLine, Plan, Subscription
from tenancy.scopes import tenant_scope
from web.auth import can
from web.context import tenancy, tenant_id
from web.idempotency import idempotent, new_resource_id
from web.listing import list_rows
from web.pagination import Envelope
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.merchant import (
    CustomerCreateSchema,
    CustomerSchema,
    InvoiceDetailSchema,
    InvoiceFilterSchema,
    InvoiceSchema,
    PlanCreateSchema,
    PlanSchema,
    SubscriptionCreateSchema,
    SubscriptionFilterSchema,
    SubscriptionSchema,
)

blueprint = Blueprint("merchant", __name__, description="A tenant billing its own customers")

Model = TypeVar("Model", bound=TenantBase)

LONGEST_REACH = timedelta(days=3660)
"""How far from now an anchor may lie: each period of a backdated subscription becomes an invoice."""

AVAILABLE_ACTIONS: dict[str, tuple[str, ...]] = {"open": ("pay",)}
"""What can be done with an invoice in a state. A payment that names the invoice in its metadata pays it."""

_LOWER_DUE: LiteralString = """
UPDATE tenants SET billing_due_at = least(billing_due_at, %(due)s) WHERE id = %(id)s
"""


@blueprint.route("/merchant/plans", methods=["POST"])
@can("plan:create")
@idempotent
@blueprint.arguments(PlanCreateSchema)
@blueprint.response(201, PlanSchema)
def create_plan(plan: dict[str, Any]) -> Plan:
    """Create a plan.

    Its `code` is unique in the tenant, and its price never changes: a new price is a new plan.
    """
    with tenancy().session(tenant_id()) as session:
        return _insert(session, Plan, {**plan, "currency": plan["currency"].upper()}, unique="code")


@blueprint.route("/merchant/plans", methods=["GET"])
@can("plan:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(PlanSchema))
def list_plans(arguments: dict[str, Any]) -> tuple[Envelope[Plan], dict[str, str]]:
    """List the tenant's plans, newest first unless asked otherwise."""
    return list_rows(Plan, arguments)


@blueprint.route("/merchant/customers", methods=["POST"])
@can("customer:create")
@idempotent
@blueprint.arguments(CustomerCreateSchema)
@blueprint.response(201, CustomerSchema)
def create_customer(customer: dict[str, Any]) -> Customer:
    """Create a customer."""
    zone_named(customer["timezone"])
    with tenancy().session(tenant_id()) as session:
        return _insert(session, Customer, customer)


@blueprint.route("/merchant/customers", methods=["GET"])
@can("customer:read")
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(CustomerSchema))
def list_customers(arguments: dict[str, Any]) -> tuple[Envelope[Customer], dict[str, str]]:
    """List the tenant's customers, newest first unless asked otherwise."""
    return list_rows(Customer, arguments)


@blueprint.route("/merchant/subscriptions", methods=["POST"])
@can("subscription:create")
@idempotent
@blueprint.arguments(SubscriptionCreateSchema)
@blueprint.response(201, SubscriptionSchema)
def create_subscription(subscription: dict[str, Any]) -> Subscription:
    """Subscribe a customer to a plan.

    The first period begins at `anchor_at`; each is billed when it has ended. An anchor in the past makes the periods
    since then due at once, one invoice each.
    """
    anchor_at = _anchor(subscription["anchor_at"], datetime.now(UTC))
    with tenancy().session(tenant_id()) as session:
        made = _subscribe(session, subscription["customer_id"], subscription["plan_id"], anchor_at)
        # Lowered before the commit, so that a crash here cannot leave a subscription that nobody looks for, and again
        # after it, since a billing run in between has not seen the subscription and may have put the hint back.
        _lower_due(made.next_cycle_at)
    _lower_due(made.next_cycle_at)
    return made


@blueprint.route("/merchant/subscriptions", methods=["GET"])
@can("subscription:read")
@blueprint.arguments(SubscriptionFilterSchema, location="query")
@blueprint.response(200, page_schema(SubscriptionSchema))
def list_subscriptions(arguments: dict[str, Any]) -> tuple[Envelope[Subscription], dict[str, str]]:
    """List the tenant's subscriptions, newest first unless asked otherwise."""
    return list_rows(Subscription, arguments)


def _insert(session: Session, model: type[Model], values: Mapping[str, Any], *, unique: str = "id") -> Model:
    """Insert the row under the request's resource id, or find the one that an earlier run of the request inserted.

    Raises `Conflict` if another row has the same `unique` value.
    """
    key = {"tenant_id": tenant_id(), "id": new_resource_id()}
    session.execute(insert(model).values({**values, **key}).on_conflict_do_nothing())
    made = session.get(model, (key["tenant_id"], key["id"]))
    if made is None:
        fault = FieldError(f"/{unique}", "taken", "Another one has this value.")
        raise Conflict(f"There is a {model.__name__.lower()} with this {unique} already.", errors=(fault,))
    return made


def _subscribe(session: Session, customer_id: UUID, plan_id: UUID, anchor_at: datetime) -> Subscription:
    customer = session.get(Customer, (tenant_id(), customer_id))
    plan = session.get(Plan, (tenant_id(), plan_id))
    if customer is None:
        raise _missing("customer", customer_id)
    if plan is None:
        raise _missing("plan", plan_id)
    first = period(Cadence(anchor_at, plan.interval, plan.interval_count, zone_named(customer.timezone)), 0)
    values = {
        "customer_id": customer.id,
        "plan_id": plan.id,
        "anchor_at": anchor_at,
        "next_cycle_at": first.end,
    }
    return _insert(session, Subscription, values)


def _lower_due(due: datetime) -> None:
    tenancy().platform.fetch(_LOWER_DUE, {"due": due, "id": tenant_id()}, tenant_scope(tenant_id()))


def _anchor(asked: datetime | None, now: datetime) -> datetime:
    """When the first period begins, in UTC. Raises `InvalidPayload` for a time out of reach."""
    if asked is None:
        return now
    if not now - LONGEST_REACH <= asked <= now + LONGEST_REACH:
        fault = FieldError("/anchor_at", "out_of_range", "Must lie within ten years of now.")
        raise InvalidPayload("The subscription is invalid.", errors=(fault,))
    return asked.astimezone(UTC)


def _missing(what: str, identifier: UUID) -> NotFound:
    fault = FieldError(f"/{what}_id", "not_found", f"There is no such {what}.")
    return NotFound(f"There is no {what} {identifier}.", errors=(fault,))


@blueprint.route("/merchant/invoices", methods=["GET"])
@can("invoice:read")
@blueprint.arguments(InvoiceFilterSchema, location="query")
@blueprint.response(200, page_schema(InvoiceSchema))
def list_invoices(arguments: dict[str, Any]) -> tuple[Envelope[Mapping[str, Any]], dict[str, str]]:
    """List the tenant's invoices, newest first unless asked otherwise."""
    return list_rows(Invoice, arguments, _shown)


@blueprint.route("/merchant/invoices/<uuid:invoice_id>", methods=["GET"])
@can("invoice:read")
@blueprint.response(200, InvoiceDetailSchema)
def get_invoice(invoice_id: UUID) -> dict[str, Any]:
    """Read an invoice with its lines."""
    of_invoice = (InvoiceLine.tenant_id == tenant_id(), InvoiceLine.invoice_id == invoice_id)
    with tenancy().session(tenant_id()) as session:
        invoice = session.get(Invoice, (tenant_id(), invoice_id))
        lines = session.scalars(select(InvoiceLine).where(*of_invoice).order_by(InvoiceLine.id)).all()
    if invoice is None:
        raise NotFound(f"There is no invoice {invoice_id}.")
    return {**_shown(invoice), "lines": lines, "snapshot": invoice.snapshot}


def _shown(invoice: Invoice) -> Mapping[str, Any]:
    columns = {column.key: getattr(invoice, column.key) for column in Invoice.__table__.columns}
    return {**columns, "available_actions": AVAILABLE_ACTIONS.get(invoice.state, ())}
