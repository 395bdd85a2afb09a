"""Webhook endpoints, deliveries to them, and their attempts."""

from __future__ import annotations

from marshmallow import fields, validate

from domain.events import selectors
from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

_URL = "https://example.com/hooks/nexus"


class WebhookEndpointCreateSchema(Schema):
    """An endpoint as its tenant wants it."""

    url = fields.String(
        required=True,
        validate=validate.Length(min=1, max=2000),
        metadata={"description": "`https://`, on the internet, without credentials.", "example": _URL},
    )
    event_types = fields.List(
        fields.String(validate=validate.OneOf(selectors())),
        required=True,
        validate=validate.Length(max=50),
        metadata={
            "description": "`*`, all of a resource (`job.*`), or single types. An empty list: only jobs that name the endpoint.",
            "example": ["job.failed", "tenant.*"],
        },
    )
    description = fields.String(
        load_default="", validate=validate.Length(max=500), metadata={"example": "The nightly import's failures"}
    )
    enabled = fields.Boolean(load_default=True, truthy={True}, falsy={False}, metadata={"example": True})


class WebhookEndpointSchema(Schema):
    """An endpoint, without its secret."""

    id = fields.UUID(required=True)
    url = fields.String(required=True, metadata={"example": _URL})
    event_types = fields.List(fields.String(), required=True, metadata={"example": ["job.failed", "tenant.*"]})
    description = fields.String(required=True, metadata={"example": "The nightly import's failures"})
    enabled = fields.Boolean(required=True, metadata={"example": True})
    disabled_reason = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(["by_request", "gone", "failing"]),
        metadata={
            "description": "`gone`: the receiver answered 410. `failing`: nothing was delivered for five days.",
            "example": None,
        },
    )
    disabled_at = UtcDateTime(required=True, allow_none=True)
    failing_since = UtcDateTime(
        required=True, allow_none=True, metadata={"description": "The first failure since the last delivery."}
    )
    previous_secret_until = UtcDateTime(
        required=True, allow_none=True, metadata={"description": "Until when the secret before signs too."}
    )
    created_at = UtcDateTime(required=True)


class WebhookEndpointSecretSchema(WebhookEndpointSchema):
    """An endpoint with the secret that it has just got."""

    secret = fields.String(required=True, metadata={"description": "Shown this once.", "example": "whsec_C2FVsBQI…"})


class WebhookDeliverySchema(Schema):
    """One event on its way to one endpoint."""

    id = fields.UUID(required=True)
    endpoint_id = fields.UUID(required=True)
    event_id = fields.UUID(required=True, metadata={"description": "Also the `webhook-id` of every attempt."})
    event_type = fields.String(required=True, metadata={"example": "job.failed"})
    job_id = fields.UUID(required=True, metadata={"description": "The job that makes the attempts."})
    redelivery_of = fields.UUID(required=True, allow_none=True)
    state = fields.String(
        required=True,
        validate=validate.OneOf(["pending", "delivered", "failed", "cancelled"]),
        metadata={"example": "delivered"},
    )
    attempts = fields.Integer(required=True, metadata={"description": "Attempts begun so far.", "example": 1})
    response_status = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Of the last attempt, if it was answered.", "example": 200},
    )
    next_attempt_at = UtcDateTime(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)
    finished_at = UtcDateTime(required=True, allow_none=True)


class WebhookAttemptSchema(Schema):
    """One call of the endpoint. Without `finished_at` it is under way."""

    number = fields.Integer(required=True, metadata={"example": 1})
    started_at = UtcDateTime(required=True)
    finished_at = UtcDateTime(required=True, allow_none=True)
    duration_ms = fields.Integer(required=True, allow_none=True, metadata={"example": 87})
    response_status = fields.Integer(required=True, allow_none=True, metadata={"example": 503})
    error_code = fields.String(
        required=True, allow_none=True, metadata={"description": "Why there was no answer.", "example": "timeout"}
    )
    response_body = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Its beginning, at most 4096 bytes.", "example": "busy"},
    )


class WebhookDeliveryDetailSchema(WebhookDeliverySchema):
    """A delivery with its attempts, in order."""

    history = fields.List(fields.Nested(WebhookAttemptSchema), required=True)


class WebhookDeliveryQuerySchema(PageQuerySchema):
    """Which deliveries to list."""

    event_id = fields.UUID(load_default=None)
