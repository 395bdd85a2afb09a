"""Webhooks that payment providers send: verified over the raw bytes, kept once, answered at once, processed by a job."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import structlog
from flask import request
from flask_smorest import Blueprint

from domain.billing.signatures import verify_stripe
from domain.errors import FieldError, InvalidPayload, InvalidSignature, MalformedRequest, NotConfigured, NotFound
from jobs.external_events import keep
from tenancy.access import Tenancy
from web.arguments import parse_json
from web.auth import public
from web.context import tenancy
from web.operator_tenant import operator_tenant_id
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


@blueprint.route("/webhooks/paypal", methods=["POST"])
@public
@blueprint.alt_response(404, "NOT_FOUND")
def receive_paypal() -> dict[str, bool]:
    """Refuse an event from PayPal: this route is a placeholder.

    Nothing is read, kept or processed; the answer is always 404.
    """
    raise NotFound("PayPal is a placeholder: its webhooks are not received. Use Stripe.")


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
    job_id = keep(
        door, source, event, operator_tenant_id(door), request_id=request_id(), traceparent=traceparent()
    )  # fmt: skip
    log.info(
        "webhook.received",
        source=source,
        type=event["type"],
        first=job_id is not None,
        job_id=None if job_id is None else str(job_id),
    )
