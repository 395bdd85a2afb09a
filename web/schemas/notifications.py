"""Notifications as clients see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from domain.notifications.callbacks import ENGAGEMENT
from domain.notifications.channels import CHANNELS
from domain.notifications.decision import Outcome, Rule
from jobs.payloads.notifications import (
    EXTERNAL_ID,
    RECIPIENTS_LIMIT,
    ContentSchema,
    NotificationDeliverSchema,
    NotificationSendSchema,
)
from models.tenant.messages import STATUSES
from web.schemas.base import PageQuerySchema, Schema, UtcDateTime


class NotificationRequestSchema(ContentSchema):
    """A message to one address (`to`, `channel`), or a notification to several people (`recipients`, `channels`)."""

    channel = fields.String(validate=validate.OneOf(CHANNELS), metadata={"example": "email"})
    to = fields.String(
        validate=validate.Length(min=1, max=320),
        metadata={
            "description": "An email address, a number in E.164, a device's id, or for `in_app` a recipient's name.",
            "example": "ada@example.com",
        },
    )
    recipients = fields.List(
        fields.String(validate=EXTERNAL_ID), validate=validate.Length(min=1, max=RECIPIENTS_LIMIT),
        metadata={"example": ["user-42"], "description": "Your own names for the people."},
    )  # fmt: skip
    channels = fields.List(
        fields.String(validate=validate.OneOf(CHANNELS)), validate=validate.Length(min=1, max=len(CHANNELS)),
        metadata={"example": ["email", "in_app"]},
    )  # fmt: skip

    @validates_schema(skip_on_field_errors=True)
    def _one_of_both(self, data: Mapping[str, Any], **_: Any) -> None:
        schema = NotificationSendSchema if is_for_many(data) else NotificationDeliverSchema
        errors = schema().validate(dict(data))
        if errors:
            raise ValidationError(errors)


def is_for_many(request: Mapping[str, Any]) -> bool:
    """Whether a loaded request names people rather than an address."""
    return "recipients" in request or "channels" in request


class NotificationFilterSchema(PageQuerySchema):
    """Which messages a list shows."""

    status = fields.String(validate=validate.OneOf(STATUSES), metadata={"example": "sent"})
    channel = fields.String(validate=validate.OneOf(CHANNELS), metadata={"example": "email"})
    recipient = fields.String(validate=validate.Length(min=1, max=320), metadata={"example": "ada@example.com"})
    notification_id = fields.UUID(metadata={"description": "Messages of this notification or broadcast."})


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


class NotificationTimelineSchema(Schema):
    """One step of a message's life, in the order of time."""

    at = UtcDateTime(required=True)
    event = fields.String(required=True, metadata={"example": "delivered"})
    source = fields.String(required=True, metadata={"example": "twilio:main"})
    detail = fields.String(required=True, allow_none=True, metadata={"example": None})


class NotificationSchema(Schema):
    """One message to one recipient. Its id is the id of the job that delivers it, unless it is one of a broadcast."""

    id = fields.UUID(required=True)
    notification_id = fields.UUID(
        required=True, allow_none=True, metadata={"description": "The notification or broadcast that it belongs to."}
    )
    channel = fields.String(required=True, metadata={"example": "email"})
    to = fields.String(required=True, attribute="recipient", metadata={"example": "ada@example.com"})
    subject = fields.String(required=True, metadata={"example": "Your invoice"})
    category = fields.String(required=True, metadata={"example": "billing"})
    status = fields.String(required=True, validate=validate.OneOf(STATUSES), metadata={"example": "sent"})
    reason = fields.String(
        required=True, allow_none=True,
        metadata={"description": "The rule that decided, or why it was not sent.", "example": "platform_default"},
    )  # fmt: skip
    provider = fields.String(required=True, allow_none=True, metadata={"example": "smtp"})
    provider_id = fields.String(required=True, allow_none=True, metadata={"description": "The provider's own id."})
    created_at = UtcDateTime(required=True)
    held_until = UtcDateTime(required=True, allow_none=True, metadata={"description": "The end of quiet hours."})
    sent_at = UtcDateTime(required=True, allow_none=True)
    delivered_at = UtcDateTime(required=True, allow_none=True)
    seen_at = UtcDateTime(required=True, allow_none=True)
    read_at = UtcDateTime(required=True, allow_none=True)
    clicked_at = UtcDateTime(required=True, allow_none=True)


class NotificationDetailSchema(NotificationSchema):
    """A message with what it says and what was done to deliver it."""

    text = fields.String(required=True, attribute="body_text", metadata={"example": "Hello Ada"})
    html = fields.String(required=True, allow_none=True, attribute="body_html", metadata={"example": None})
    locale = fields.String(required=True, allow_none=True, metadata={"example": "en"})
    template = fields.String(required=True, allow_none=True, metadata={"example": None})
    template_version = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    attempts = fields.List(fields.Nested(NotificationAttemptSchema), required=True)
    timeline = fields.List(fields.Nested(NotificationTimelineSchema), required=True)


class DeliveryQuestionSchema(Schema):
    """A message to ask about. Name the person (`recipient`) or an address (`to`)."""

    channel = fields.String(load_default="email", validate=validate.OneOf(CHANNELS), metadata={"example": "email"})
    recipient = fields.String(load_default=None, allow_none=True, validate=EXTERNAL_ID, metadata={"example": "user-42"})
    to = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=320))
    category = fields.String(load_default="", validate=validate.Length(max=100), metadata={"example": "billing"})
    critical = fields.Boolean(load_default=False)
    at = UtcDateTime(load_default=None, allow_none=True, metadata={"description": "When; left out, now."})

    @validates_schema
    def _somebody(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data["recipient"] is None) == (data["to"] is None):
            raise ValidationError({"recipient": ["Give either recipient or to."]})


class DeliveryExplanationSchema(Schema):
    """What would become of the message, and which rule says so."""

    outcome = fields.String(
        required=True, validate=validate.OneOf([each.value for each in Outcome]), metadata={"example": "send"}
    )
    rule = fields.String(
        required=True,
        validate=validate.OneOf([each.value for each in Rule]),
        metadata={"example": "recipient_specific"},
    )
    detail = fields.String(required=True, metadata={"example": "The recipient's choice for billing is yes."})
    until = UtcDateTime(required=True, allow_none=True)
    order = fields.List(
        fields.String(), required=True, metadata={"description": "The rules in the order in which they are asked."}
    )


class EngagementSchema(Schema):
    """What a person did with a message."""

    event = fields.String(required=True, validate=validate.OneOf(list(ENGAGEMENT)), metadata={"example": "read"})
