"""Broadcasts and how far they are."""

from __future__ import annotations

from marshmallow import fields, validate

from models.tenant.notifications import BROADCAST_STATES
from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

COUNTS = ("queued", "sent", "delivered", "bounced", "undelivered", "not_sent", "unknown")


class BroadcastFilterSchema(PageQuerySchema):
    """Which broadcasts a list shows."""

    channel = fields.String(validate=validate.OneOf(["email", "sms", "in_app"]), metadata={"example": "email"})


class BroadcastSchema(Schema):
    """A broadcast. Its id is that of the job which fans it out."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Spring news"})
    channel = fields.String(required=True, metadata={"example": "email"})
    category = fields.String(required=True, metadata={"example": "news"})
    state = fields.String(required=True, validate=validate.OneOf(BROADCAST_STATES), metadata={"example": "running"})
    total = fields.Integer(required=True, metadata={"description": "Recipients.", "example": 100000})
    fanned_out = fields.Integer(
        required=True, metadata={"description": "Recipients handed to batches.", "example": 25000}
    )
    created_at = UtcDateTime(required=True)


class BroadcastCountsSchema(Schema):
    """Messages by status; `queued` holds those still to be tried, and those to be tried again."""

    queued = fields.Integer(required=True, metadata={"example": 75000})
    sent = fields.Integer(required=True, metadata={"example": 24000})
    delivered = fields.Integer(required=True, metadata={"example": 900})
    bounced = fields.Integer(required=True, metadata={"example": 10})
    undelivered = fields.Integer(required=True, metadata={"example": 0})
    not_sent = fields.Integer(required=True, metadata={"example": 90})
    outcome_unknown = fields.Integer(required=True, attribute="unknown", metadata={"example": 0})


class BroadcastDetailSchema(BroadcastSchema):
    """A broadcast with what became of its messages so far."""

    counts = fields.Nested(BroadcastCountsSchema, required=True)
