"""Webhooks that payment providers send: verified over the raw bytes, kept once, answered at once, processed by a job."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from flask import current_app, request
from flask_smorest import Blueprint
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from domain.billing.signatures import verify_stripe
from domain.errors import FieldError, InvalidPayload, InvalidSignature, MalformedRequest, NotConfigured
from domain.identity.principals import system
from jobs.hints import hints
from jobs.submit import INSERT, NewJob, insert_parameters
from models.platform import ExternalEvent, Tenant
from tenancy.access import Tenancy
from tenancy.scopes import operator_scope, tenant_scope
from web.arguments import parse_json
from web.auth import public
from web.context import tenancy
from web.schemas.webhooks import WebhookReceivedSchema
from web.tracing import request_id, traceparent

blueprint = Blueprint("webhooks", __name__, description="Signed events of payment providers")

log = structlog.get_logger(__name__)

SIGNATURE = {
    "name": "Stripe-Signature",
    "in": "header",
    "required": True,
    "description": "`t=<seconds>,v1=<hexadecimal HMAC-SHA256 of t.body>`, see https://docs.stripe.com/webhooks.",
    "schema": {"type": "string"},
}
EVENT = {
    "required": True,
    "description": "The event as Stripe sends it.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["id", "type"],
                "properties": {"id": {"type": "string"}, "type": {"type": "string"}},
            },
            "example": {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1"}}},
        }
    },
}

_TEXT = re.compile(r"[\x21-\x7e]{1,255}")


@blueprint.route("/webhooks/stripe", methods=["POST"], parameters=[SIGNATURE])
@public
@blueprint.response(200, WebhookReceivedSchema)
@blueprint.alt_response(400, "BAD_REQUEST")
@blueprint.doc(requestBody=EVENT)
def receive_stripe() -> dict[str, bool]:
    """Receive an event from Stripe.

    The signature is checked over the bytes as they came. An event that came before is answered the same and does
    nothing; a new one is processed by a `webhook.process` job of the operator's tenant.
    """
    raw = _verified(request.headers.get("Stripe-Signature", ""))
    event = _parsed(raw)
    _keep(tenancy(), "stripe", event)
    return {"received": True}


def _verified(signature: str) -> bytes:
    secret = tenancy().settings.stripe_webhook_secret
    if secret is None or not secret.get_secret_value().strip():
        raise NotConfigured("Webhooks of Stripe are not configured.")
    raw = request.get_data(cache=False)
    try:
        verify_stripe(raw, signature, [secret.get_secret_value()], time.time())
    except InvalidSignature as error:
        # The reason helps a forger, so it goes to our log only.
        log.warning("webhook.refused", source="stripe", reason=error.detail)
        raise InvalidSignature from None
    return raw


def _parsed(raw: bytes) -> Mapping[str, Any]:
    event = parse_json(raw)
    if not isinstance(event, dict):
        raise MalformedRequest("The body is not a JSON object.")
    for name in ("id", "type"):
        value = event.get(name)
        if not isinstance(value, str) or not _TEXT.fullmatch(value):
            fault = FieldError(f"/{name}", "invalid", "Must be 1 to 255 printable ASCII characters without spaces.")
            raise InvalidPayload("The event cannot be read.", errors=(fault,))
    return event


def _keep(door: Tenancy, source: str, event: Mapping[str, Any]) -> None:
    """Insert the event and its job in one transaction: neither is there without the other, and both are there once."""
    tenant_id = _operator_tenant(door)
    new = NewJob(
        kind="webhook.process",
        payload={"source": source, "event": event},
        principal=system(source, tenant_id),
        request_id=request_id(),
        traceparent=traceparent(),
    )
    job = insert_parameters(door, new)
    statement = (
        insert(ExternalEvent)
        .values(
            tenant_id=tenant_id, source=source, external_id=event["id"], type=event["type"], job_id=job["id"]
        )
        .on_conflict_do_nothing()
        .returning(ExternalEvent.id)
    )  # fmt: skip
    with door.platform.session(tenant_scope(tenant_id)) as session:
        first = session.scalar(statement) is not None
        if first:
            session.connection().exec_driver_sql(INSERT, job)
    if first:
        hints(door.settings).due()
    log.info(
        "webhook.received", source=source, type=event["type"], first=first, job_id=str(job["id"]) if first else None
    )


def _operator_tenant(door: Tenancy) -> UUID:
    """The tenant that sells the platform. Found once per process: it never becomes another."""
    known: UUID | None = current_app.extensions.get("nexus.operator_tenant_id")
    if known is not None:
        return known
    with door.platform.session(operator_scope()) as session:
        found = session.scalar(select(Tenant.id).where(Tenant.is_operator))
    if found is None:
        raise NotConfigured("The platform has no operator tenant yet.")
    current_app.extensions["nexus.operator_tenant_id"] = found
    return found
