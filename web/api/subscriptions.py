"""Subscriptions of a tenant's own customers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask_smorest import Blueprint
from sqlalchemy.orm import Session

from models.tenant import Customer, Subscription
from web import subscribing
from web.auth import can
from web.bookkeeping import found, lower_due, named
from web.context import tenancy, tenant_id
from web.giving_up import open_invoices
from web.idempotency import idempotent
from web.listing import list_rows
from web.pagination import Envelope
from web.previews import preview
from web.schemas.base import page_schema
from web.schemas.invoices import InvoicePreviewSchema
from web.schemas.subscriptions import (
    SubscriptionCancelSchema,
    SubscriptionCreateSchema,
    SubscriptionFilterSchema,
    SubscriptionPlanSchema,
    SubscriptionSchema,
)

blueprint = Blueprint(
    "subscriptions", __name__, url_prefix="/merchant/subscriptions", description="Customers' plans and their changes"
)


@blueprint.route("", methods=["POST"])
@can("subscription:create")
@idempotent
@blueprint.arguments(SubscriptionCreateSchema)
@blueprint.response(201, SubscriptionSchema)
def create_subscription(subscription: dict[str, Any]) -> dict[str, Any]:
    """Subscribe a customer to a plan.

    The first period begins at `anchor_at`, or when the plan's trial is over. An anchor in the past makes the periods since
    then due at once, one invoice each. A plan that is paid in advance is `incomplete` until its first invoice is paid.
    """
    with tenancy().session(tenant_id()) as session:
        customer = named(session, tenant_id(), Customer, subscription["customer_id"])
        made = subscribing.subscribe(
            session, tenant_id(), customer, subscription["plan_id"], subscription["anchor_at"]
        )  # fmt: skip
    lower_due(tenant_id(), made.next_cycle_at)
    return subscribing.shown(made)


@blueprint.route("", methods=["GET"])
@can("subscription:read")
@blueprint.arguments(SubscriptionFilterSchema, location="query")
@blueprint.response(200, page_schema(SubscriptionSchema))
def list_subscriptions(arguments: dict[str, Any]) -> tuple[Envelope[dict[str, Any]], dict[str, str]]:
    """List the tenant's subscriptions, newest first unless asked otherwise."""
    return list_rows(Subscription, arguments, subscribing.shown)


@blueprint.route("/<uuid:subscription_id>", methods=["GET"])
@can("subscription:read")
@blueprint.response(200, SubscriptionSchema)
def get_subscription(subscription_id: UUID) -> dict[str, Any]:
    """Read a subscription."""
    with tenancy().session(tenant_id()) as session:
        return subscribing.shown(found(session, tenant_id(), Subscription, subscription_id))


@blueprint.route("/<uuid:subscription_id>/preview", methods=["GET"])
@can("subscription:read")
@blueprint.response(200, InvoicePreviewSchema)
def preview_invoice(subscription_id: UUID) -> dict[str, Any]:
    """Show what the next invoice would hold: the fee of the whole period, and the usage so far."""
    with tenancy().session(tenant_id()) as session:
        return preview(session, found(session, tenant_id(), Subscription, subscription_id))


@blueprint.route("/<uuid:subscription_id>/change-plan", methods=["POST"])
@can("subscription:update")
@blueprint.arguments(SubscriptionPlanSchema)
@blueprint.response(200, SubscriptionSchema)
def change_plan(wanted: dict[str, Any], subscription_id: UUID) -> dict[str, Any]:
    """Go over to another plan from this second on.

    The next invoice holds both plans' parts of the period; what was paid in advance and not used is taken off. The plans
    must have the same currency, rhythm and time of payment.
    """
    return _changed(subscription_id, lambda session, row: subscribing.change_plan(session, row, wanted["plan_id"]))


@blueprint.route("/<uuid:subscription_id>/pause", methods=["POST"])
@can("subscription:update")
@blueprint.response(200, SubscriptionSchema)
def pause_subscription(subscription_id: UUID) -> dict[str, Any]:
    """Let a subscription rest from this second on: its periods go on, without a fee."""
    return _changed(subscription_id, subscribing.pause)


@blueprint.route("/<uuid:subscription_id>/resume", methods=["POST"])
@can("subscription:update")
@blueprint.response(200, SubscriptionSchema)
def resume_subscription(subscription_id: UUID) -> dict[str, Any]:
    """Set a resting subscription going again from this second on."""
    return _changed(subscription_id, subscribing.resume)


@blueprint.route("/<uuid:subscription_id>/cancel", methods=["POST"])
@can("subscription:update")
@blueprint.arguments(SubscriptionCancelSchema)
@blueprint.response(200, SubscriptionSchema)
def cancel_subscription(wanted: dict[str, Any], subscription_id: UUID) -> dict[str, Any]:
    """End a subscription now or with the period that runs.

    `cancel_at` says when. The last invoice comes then, of a plan with charges for usage an hour later, and the state
    becomes `canceled` with it.
    """
    at_once = wanted["at"] == "now"
    return _changed(
        subscription_id,
        lambda session, row: subscribing.cancel(session, row, at_once=at_once),
        before=lambda session: open_invoices(session, tenant_id(), subscription_id),
    )


@blueprint.route("/<uuid:subscription_id>/keep", methods=["POST"])
@can("subscription:update")
@blueprint.response(200, SubscriptionSchema)
def keep_subscription(subscription_id: UUID) -> dict[str, Any]:
    """Take back a cancellation that has not come yet."""
    return _changed(subscription_id, subscribing.keep)


def _changed(
    subscription_id: UUID,
    change: Callable[[Session, Subscription], None],
    *,
    before: Callable[[Session], object] = lambda _: None,
) -> dict[str, Any]:
    """Change the locked subscription; `before` locks what must be locked before it."""
    with tenancy().session(tenant_id()) as session:
        before(session)
        row = found(session, tenant_id(), Subscription, subscription_id, to_change=True)
        change(session, row)
        session.flush()
    lower_due(tenant_id(), row.next_cycle_at)
    return subscribing.shown(row)
