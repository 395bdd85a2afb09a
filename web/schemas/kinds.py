"""Kinds as operators see them."""

from __future__ import annotations

from marshmallow import fields

from web.schemas.base import Schema
from web.schemas.pauses import PauseSchema


class KindStateSchema(Schema):
    """How a kind of job does. `runs` and `failures` count attempts that ended with their worker alive, over all tenants."""

    name = fields.String(required=True, metadata={"example": "notification.deliver"})
    queue = fields.String(required=True, metadata={"example": "notifications"})
    mean_seconds = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "Of an attempt, recent ones weighing more; null before the first.", "example": 0.12},
    )
    runs = fields.Integer(required=True, metadata={"example": 48210})
    failures = fields.Integer(required=True, metadata={"description": "Attempts that failed.", "example": 17})
    rate_per_minute = fields.Float(required=True, metadata={"example": 5400.0})
    batch_size = fields.Integer(
        required=True, metadata={"description": "Jobs that fill a message at present.", "example": 8}
    )
    pause = fields.Nested(PauseSchema, required=True, allow_none=True)


class KindStateListSchema(Schema):
    """All kinds, those that only the platform submits too. The list is short and comes whole."""

    items = fields.List(fields.Nested(KindStateSchema), required=True)
