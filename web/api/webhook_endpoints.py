"""Webhook endpoints of the selected tenant: where its events are sent, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response, make_response
from flask_smorest import Blueprint
from sqlalchemy import select

from bus import deliveries, endpoints
from bus.events import publish
from domain.audit.entries import changed
from domain.destinations import parse_destination, parse_networks
from domain.errors import IllegalTransition
from jobs.hints import hints
from models.platform import WebhookEndpoint
from tenancy.audit import record
from tenancy.database import Row
from tenancy.scopes import tenant_scope
from web.auth import READABLE, can
from web.context import principal, tenancy, tenant_id
from web.etags import check_if_match, with_etag
from web.idempotency import idempotent, new_resource_id
from web.pagination import Envelope, read_page
from web.schemas.base import PageQuerySchema, page_schema
from web.schemas.webhook_endpoints import (
    WebhookDeliveryDetailSchema,
    WebhookDeliveryQuerySchema,
    WebhookDeliverySchema,
    WebhookEndpointCreateSchema,
    WebhookEndpointSchema,
    WebhookEndpointSecretSchema,
)

blueprint = Blueprint("webhook_endpoints", __name__, url_prefix="/webhook-endpoints", description="Events sent to you")


@blueprint.route("", methods=["POST"])
@can("webhook_endpoint:create")
@idempotent
@blueprint.arguments(WebhookEndpointCreateSchema)
@blueprint.response(201, WebhookEndpointSecretSchema)
def create_webhook_endpoint(new: dict[str, Any]) -> Response:
    """Make an endpoint. The answer is the only place that shows its secret, which signs what is sent to it."""
    values = _values(new)
    vault = tenancy().vault(tenant_id())
    with tenancy().platform.session(tenant_scope(tenant_id())) as session:
        endpoint, secret = endpoints.create(
            session, vault, new_resource_id(), values, enabled=new["enabled"], created_by=principal().subject
        )
        record(session, "webhook_endpoint.created", f"webhook_endpoint:{endpoint.id}", after=_noted(endpoint))
    return _with_secret(endpoint, secret, 201)


@blueprint.route("", methods=["GET"])
@can("webhook_endpoint:read", states=READABLE)
@blueprint.arguments(PageQuerySchema, location="query")
@blueprint.response(200, page_schema(WebhookEndpointSchema))
def list_webhook_endpoints(query: dict[str, Any]) -> tuple[Envelope[Mapping[str, Any]], dict[str, str]]:
    """List endpoints."""
    page = read_page(query)
    id = WebhookEndpoint.id
    statement = select(WebhookEndpoint).where(WebhookEndpoint.tenant_id == tenant_id())
    if page.after is not None:
        statement = statement.where(id < page.after if page.newest_first else id > page.after)
    statement = statement.order_by(id.desc() if page.newest_first else id.asc()).limit(page.fetch_limit)
    with tenancy().platform.session(tenant_scope(tenant_id())) as session:
        return page.answer([_view(endpoint) for endpoint in session.scalars(statement)])


@blueprint.route("/<uuid:endpoint_id>", methods=["GET"])
@can("webhook_endpoint:read", states=READABLE)
@blueprint.response(200, WebhookEndpointSchema)
def get_webhook_endpoint(endpoint_id: UUID) -> Response:
    """Read an endpoint."""
    with tenancy().platform.session(tenant_scope(tenant_id())) as session:
        return _shown(endpoints.find(session, tenant_id(), endpoint_id))


@blueprint.route("/<uuid:endpoint_id>", methods=["PUT"])
@can("webhook_endpoint:update")
@blueprint.arguments(WebhookEndpointCreateSchema)
@blueprint.response(200, WebhookEndpointSchema)
@blueprint.alt_response(412, "PRECONDITION_FAILED")
@blueprint.alt_response(428, "PRECONDITION_REQUIRED")
def replace_webhook_endpoint(new: dict[str, Any], endpoint_id: UUID) -> Response:
    """Change an endpoint. `If-Match` must carry the `ETag` that was read.

    To enable one that the platform disabled forgets its failures; what failed meanwhile can be delivered again.
    """
    values = _values(new)
    with tenancy().platform.session(tenant_scope(tenant_id())) as session:
        endpoint = endpoints.find(session, tenant_id(), endpoint_id, lock=True)
        check_if_match(endpoint.version)
        before = _noted(endpoint)
        for name, value in values.items():
            setattr(endpoint, name, value)
        endpoints.set_enabled(endpoint, enabled=new["enabled"])
        endpoint.version += 1
        session.flush()
        session.refresh(endpoint)
        before, after = changed(before, _noted(endpoint))
        record(session, "webhook_endpoint.updated", f"webhook_endpoint:{endpoint_id}", before=before, after=after)
    return _shown(endpoint)


@blueprint.route("/<uuid:endpoint_id>", methods=["DELETE"])
@can("webhook_endpoint:delete")
@blueprint.response(204)
def delete_webhook_endpoint(endpoint_id: UUID) -> None:
    """Delete an endpoint and the record of its deliveries. What is on its way is not sent any more."""
    with tenancy().platform.session(tenant_scope(tenant_id())) as session:
        endpoint = endpoints.find(session, tenant_id(), endpoint_id, lock=True)
        record(session, "webhook_endpoint.deleted", f"webhook_endpoint:{endpoint_id}", before=_noted(endpoint))
        session.delete(endpoint)


@blueprint.route("/<uuid:endpoint_id>/rotate-secret", methods=["POST"])
@can("webhook_endpoint:update")
@blueprint.response(200, WebhookEndpointSecretSchema)
def rotate_webhook_secret(endpoint_id: UUID) -> Response:
    """Give the endpoint a new secret, shown this once. The one before signs beside it for 24 hours."""
    vault = tenancy().vault(tenant_id())
    with tenancy().platform.session(tenant_scope(tenant_id())) as session:
        endpoint = endpoints.find(session, tenant_id(), endpoint_id, lock=True)
        secret = endpoints.rotate_secret(endpoint, vault, datetime.now(UTC))
        record(session, "webhook_endpoint.secret_rotated", f"webhook_endpoint:{endpoint_id}")
    return _with_secret(endpoint, secret, 200)


@blueprint.route("/<uuid:endpoint_id>/test", methods=["POST"])
@can("webhook_endpoint:update")
@idempotent
@blueprint.response(202, WebhookDeliverySchema, description="The delivery of a `webhook.test` event.")
def test_webhook_endpoint(endpoint_id: UUID) -> Response:
    """Send a test event to the endpoint, whatever it subscribes to, and to no other."""
    delivery_id = new_resource_id()
    vault = tenancy().vault(tenant_id())
    with tenancy().platform.session(tenant_scope(tenant_id())) as session:
        endpoint = _enabled(endpoints.find(session, tenant_id(), endpoint_id))
        payload = {"webhook_endpoint": {"id": str(endpoint_id)}, "requested_by": principal().subject}
        event_id = publish(
            session, vault, "webhook.test", payload, key=f"test:{delivery_id}", endpoint_id=endpoint_id, relayed=False
        )
        deliveries.schedule(session, tenancy(), endpoint, event_id, delivery_id=delivery_id)
    return _scheduled(endpoint_id, delivery_id)


@blueprint.route("/<uuid:endpoint_id>/deliveries", methods=["GET"])
@can("webhook_endpoint:read", states=READABLE)
@blueprint.arguments(WebhookDeliveryQuerySchema, location="query")
@blueprint.response(200, page_schema(WebhookDeliverySchema))
def list_webhook_deliveries(query: dict[str, Any], endpoint_id: UUID) -> tuple[Envelope[Row], dict[str, str]]:
    """List what was, or is to be, delivered to an endpoint."""
    page = read_page(query)
    with tenancy().platform.session(tenant_scope(tenant_id())) as session:
        endpoints.find(session, tenant_id(), endpoint_id)
    return page.answer(
        deliveries.page(
            tenancy(), tenant_id(), endpoint_id, event_id=query["event_id"], after=page.after, limit=page.fetch_limit,
            newest_first=page.newest_first,
        )
    )  # fmt: skip


@blueprint.route("/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>", methods=["GET"])
@can("webhook_endpoint:read", states=READABLE)
@blueprint.response(200, WebhookDeliveryDetailSchema)
def get_webhook_delivery(endpoint_id: UUID, delivery_id: UUID) -> dict[str, Any]:
    """Read a delivery with each of its attempts and what the receiver answered."""
    found = deliveries.get(tenancy(), tenant_id(), endpoint_id, delivery_id)
    return {**found, "history": deliveries.attempts(tenancy(), tenant_id(), delivery_id)}


@blueprint.route("/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>/redeliver", methods=["POST"])
@can("webhook_endpoint:update")
@idempotent
@blueprint.response(202, WebhookDeliverySchema, description="The new delivery; its `redelivery_of` names the old one.")
def redeliver_webhook(endpoint_id: UUID, delivery_id: UUID) -> Response:
    """Deliver the same event again, whatever came of the first delivery.

    The event's id, and so the `webhook-id`, stays: a receiver that has processed it will know it.
    """
    again = new_resource_id()
    with tenancy().platform.session(tenant_scope(tenant_id())) as session:
        endpoint = _enabled(endpoints.find(session, tenant_id(), endpoint_id))
        event_id = deliveries.get(tenancy(), tenant_id(), endpoint_id, delivery_id)["event_id"]
        deliveries.schedule(session, tenancy(), endpoint, event_id, delivery_id=again, redelivery_of=delivery_id)
    return _scheduled(endpoint_id, again)


def _values(new: Mapping[str, Any]) -> dict[str, Any]:
    """What of the body is stored as it is. Raises `InvalidPayload` for a URL that we would not call."""
    parse_destination(new["url"], parse_networks(tenancy().settings.webhook_private_networks))
    return {
        "url": new["url"],
        "description": new["description"],
        "event_types": sorted(set(new["event_types"])),
    }


def _enabled(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    if endpoint.disabled_at is not None:
        raise IllegalTransition("The endpoint is disabled; enable it first.")
    return endpoint


def _view(endpoint: WebhookEndpoint) -> dict[str, Any]:
    names = ("id", "url", "event_types", "description", "disabled_reason", "disabled_at", "failing_since", "created_at")
    until = endpoint.previous_secret_until
    live = until is not None and until > datetime.now(UTC)
    return {
        **{name: getattr(endpoint, name) for name in names},
        "enabled": endpoint.disabled_at is None,
        "previous_secret_until": until if live else None,
    }


def _noted(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """What the audit keeps of an endpoint."""
    names = ("url", "description", "event_types")
    return {**{name: getattr(endpoint, name) for name in names}, "enabled": endpoint.disabled_at is None}


def _shown(endpoint: WebhookEndpoint) -> Response:
    return with_etag(make_response(WebhookEndpointSchema().dump(_view(endpoint))), endpoint.version)


def _with_secret(endpoint: WebhookEndpoint, secret: str, status: int) -> Response:
    body = WebhookEndpointSecretSchema().dump({**_view(endpoint), "secret": secret})
    response = with_etag(make_response(body, status), endpoint.version)
    response.headers["Cache-Control"] = "no-store"
    if status == 201:
        response.headers["Location"] = f"/api/v1/webhook-endpoints/{endpoint.id}"
    return response


def _scheduled(endpoint_id: UUID, delivery_id: UUID) -> Response:
    hints(tenancy().settings).due()
    found = deliveries.get(tenancy(), tenant_id(), endpoint_id, delivery_id)
    response = make_response(WebhookDeliverySchema().dump(found), 202)
    response.headers["Location"] = f"/api/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}"
    return response
