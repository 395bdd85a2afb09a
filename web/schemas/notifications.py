"""Notifications as clients see them."""

from __future__ import annotations

from marshmallow import fields, validate

from models.tenant.messages import STATUSES
from web.schemas.base import PageQuerySchema, Schema, UtcDateTime


class NotificationFilterSchema(PageQuerySchema):
    """Which messages a list shows."""

    status = fields.String(validate=validate.OneOf(STATUSES), metadata={"example": "sent"})
    recipient = fields.String(validate=validate.Length(min=1, max=320), metadata={"example": "ada@example.com"})


class NotificationAttemptSchema(Schema):
    """One call of a provider. `unknown` means that the call was cut off and it may or may not have been sent."""

    number = fields.Integer(required=True, metadata={"example": 1})
    provider = fields.String(required=True, metadata={"example": "smtp"})
    state = fields.String(
        required=True,
        validate=validate.OneOf(["calling", "succeeded", "failed", "unknown"]),
        metadata={"example": "succeeded"},
    )
    error_code = fields.String(required=True, allow_none=True, metadata={"example": None})
    detail = fields.String(required=True, allow_none=True, metadata={"example": None})
    started_at = UtcDateTime(required=True)
    finished_at = UtcDateTime(required=True, allow_none=True)


class NotificationSchema(Schema):
    """One message to one recipient. Its id is the id of the job that delivers it."""

    id = fields.UUID(required=True)
    channel = fields.String(required=True, metadata={"example": "email"})
    to = fields.String(required=True, attribute="recipient", metadata={"example": "ada@example.com"})
    subject = fields.String(required=True, metadata={"example": "Your invoice"})
    status = fields.String(required=True, validate=validate.OneOf(STATUSES), metadata={"example": "sent"})
    provider = fields.String(required=True, allow_none=True, metadata={"example": "smtp"})
    provider_id = fields.String(required=True, allow_none=True, metadata={"description": "The provider's own id."})
    created_at = UtcDateTime(required=True)
    sent_at = UtcDateTime(required=True, allow_none=True)


class NotificationDetailSchema(NotificationSchema):
    """A message with what it says and what was done to deliver it."""

    text = fields.String(required=True, attribute="body_text", metadata={"example": "Hello Ada"})
    html = fields.String(required=True, allow_none=True, attribute="body_html", metadata={"example": None})
    attempts = fields.List(fields.Nested(NotificationAttemptSchema), required=True)
