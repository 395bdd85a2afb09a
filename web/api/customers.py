"""A tenant's own customers: who they are, how they pay, what they may use."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint
from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.billing.periods import zone_named
from models.tenant import Balance, Customer
from web.auth import can
from web.bookkeeping import found, insert_once
from web.context import tenancy, tenant_id
from web.entitling import entitlements
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent
from web.listing import list_rows
from web.pagination import Envelope
from web.paying import list_methods, remove_method, submit_for
from web.schemas.base import page_schema
from web.schemas.customers import (
    CustomerCreateSchema,
    CustomerDetailSchema,
    CustomerFilterSchema,
    CustomerPutSchema,
    CustomerSchema,
    EntitlementsSchema,
    PaymentMethodCreateSchema,
    PaymentMethodListSchema,
    PortalCreateSchema,
)
from web.schemas.jobs import JobSchema

blueprint = Blueprint(
    "customers", __name__, url_prefix="/merchant/customers", description="A tenant's own customers, and how they pay"
)


@blueprint.route("", methods=["POST"])
@can("customer:create")
@idempotent
@blueprint.arguments(CustomerCreateSchema)
@blueprint.response(201, CustomerSchema)
def create_customer(customer: dict[str, Any]) -> Customer:
    """Create a customer."""
    zone_named(customer["timezone"])
    with tenancy().session(tenant_id()) as session:
        return insert_once(session, tenant_id(), Customer, customer, unique="external_id")


@blueprint.route("", methods=["GET"])
@can("customer:read")
@blueprint.arguments(CustomerFilterSchema, location="query")
@blueprint.response(200, page_schema(CustomerSchema))
def list_customers(arguments: dict[str, Any]) -> tuple[Envelope[Customer], dict[str, str]]:
    """List the tenant's customers, newest first unless asked otherwise."""
    return list_rows(Customer, arguments)


@blueprint.route("/<uuid:customer_id>", methods=["GET"])
@can("customer:read")
@blueprint.response(200, CustomerDetailSchema)
def get_customer(customer_id: UUID) -> Response:
    """Read a customer, with what is left over of credits."""
    with tenancy().session(tenant_id()) as session:
        return _shown(session, found(session, tenant_id(), Customer, customer_id))


@blueprint.route("/<uuid:customer_id>", methods=["PUT"])
@can("customer:update")
@blueprint.arguments(CustomerPutSchema)
@blueprint.response(200, CustomerDetailSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def put_customer(wanted: dict[str, Any], customer_id: UUID) -> Response:
    """Change name and address. `If-Match` must carry the `ETag` that was read. Invoices that are there do not change."""
    with tenancy().session(tenant_id()) as session:
        customer = found(session, tenant_id(), Customer, customer_id, to_change=True)
        check_if_match(customer.version)
        customer.name, customer.email = wanted["name"], wanted["email"]
        customer.version += 1
        session.flush()
        return _shown(session, customer)


@blueprint.route("/<uuid:customer_id>/entitlements", methods=["GET"])
@can("customer:read")
@blueprint.response(200, EntitlementsSchema)
def get_entitlements(customer_id: UUID) -> dict[str, Any]:
    """Read what a customer may use now, and how much of each quota is used."""
    with tenancy().session(tenant_id()) as session:
        found(session, tenant_id(), Customer, customer_id)
        return entitlements(session, tenant_id(), customer_id)


@blueprint.route("/<uuid:customer_id>/payment-methods", methods=["GET"])
@can("payment_method:read")
@blueprint.response(200, PaymentMethodListSchema)
def list_payment_methods(customer_id: UUID) -> Any:
    """List a customer's payment methods."""
    _check(customer_id)
    return list_methods(tenant_id(), customer_id)


@blueprint.route("/<uuid:customer_id>/payment-methods", methods=["POST"])
@can("payment_method:create")
@blueprint.arguments(PaymentMethodCreateSchema)
@blueprint.response(202, JobSchema, description="The job that attaches it.")
def create_payment_method(method: dict[str, Any], customer_id: UUID) -> Response:
    """Attach a payment method that the provider's form has made. It becomes the customer's default."""
    _check(customer_id)
    return submit_for("payment_method.attach", tenant_id(), {"customer_id": str(customer_id), **method})


@blueprint.route("/<uuid:customer_id>/payment-methods/setup", methods=["POST"])
@can("payment_method:create")
@blueprint.response(202, JobSchema, description="The job whose result has the secret.")
def set_up_payment_method(customer_id: UUID) -> Response:
    """Begin to collect a payment method: the job's result has the secret for the provider's form."""
    _check(customer_id)
    return submit_for("payment_method.setup", tenant_id(), {"customer_id": str(customer_id)})


@blueprint.route("/<uuid:customer_id>/payment-methods/<uuid:payment_method_id>", methods=["DELETE"])
@can("payment_method:delete")
@blueprint.response(204, description="It is used no more.")
def delete_payment_method(customer_id: UUID, payment_method_id: UUID) -> None:
    """Use a payment method no more."""
    remove_method(tenant_id(), customer_id, payment_method_id)


@blueprint.route("/<uuid:customer_id>/portal", methods=["POST"])
@can("payment_method:create")
@blueprint.arguments(PortalCreateSchema)
@blueprint.response(202, JobSchema, description="The job whose result has the address.")
def open_portal(wanted: dict[str, Any], customer_id: UUID) -> Response:
    """Ask for the address of the provider's page on which the customer sees and changes payment methods."""
    _check(customer_id)
    return submit_for("billing.portal", tenant_id(), {"customer_id": str(customer_id), **wanted})


def _check(customer_id: UUID) -> None:
    with tenancy().session(tenant_id()) as session:
        found(session, tenant_id(), Customer, customer_id)


def _shown(session: Session, customer: Customer) -> Response:
    left = select(Balance).where(
        Balance.tenant_id == customer.tenant_id, Balance.customer_id == customer.id, Balance.amount > 0
    )
    columns = {column.key: getattr(customer, column.key) for column in Customer.__table__.columns}
    balances = session.scalars(left.order_by(Balance.currency)).all()
    response = make_response(CustomerDetailSchema().dump({**columns, "balances": balances}))
    amounts = [f"{each.currency}{each.amount}" for each in balances]
    return with_etag(response, customer.version, *amounts)
