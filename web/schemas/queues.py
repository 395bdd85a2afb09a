"""Queues as operators see them."""

from __future__ import annotations

from marshmallow import fields

from web.schemas.base import Schema, UtcDateTime
from web.schemas.pauses import PauseSchema


class QueueSchema(Schema):
    """A queue over all tenants, as the dispatcher last counted it, every three seconds."""

    name = fields.String(required=True, metadata={"example": "notifications"})
    due = fields.Integer(required=True, metadata={"description": "Could run now and wait.", "example": 120})
    waiting = fields.Integer(required=True, metadata={"description": "Wait for their time.", "example": 4})
    in_flight = fields.Integer(required=True, metadata={"description": "Dispatched or running.", "example": 32})
    oldest_due_seconds = fields.Float(required=True, metadata={"example": 1.5})
    rate_per_minute = fields.Float(
        required=True,
        metadata={"description": "Attempts that end per minute; the last half minute weighs most.", "example": 5400.0},
    )
    workers = fields.Integer(required=True, metadata={"description": "Live ones.", "example": 2})
    slots = fields.Integer(required=True, metadata={"description": "Jobs that can run at once.", "example": 32})
    deaf = fields.Boolean(
        required=True, metadata={"description": "Its workers live and are free, but claim nothing.", "example": False}
    )
    pause = fields.Nested(PauseSchema, required=True, allow_none=True)
    measured_at = UtcDateTime(required=True, allow_none=True, metadata={"description": "Null before the first count."})


class QueueListSchema(Schema):
    """All queues. The list is short and comes whole."""

    items = fields.List(fields.Nested(QueueSchema), required=True)
