"""What the sender of a webhook is told."""

from __future__ import annotations

from marshmallow import fields

from web.schemas.base import Schema


class WebhookReceivedSchema(Schema):
    """The event is kept."""

    received = fields.Boolean(required=True, metadata={"example": True})
