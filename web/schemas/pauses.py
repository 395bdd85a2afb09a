"""What operators hold back."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema, UtcDateTime


class PauseCreateSchema(Schema):
    """Why it is paused, for whoever finds it so."""

    reason = fields.String(
        load_default="", validate=validate.Length(max=500), metadata={"example": "the mail provider is down"}
    )


class PauseSchema(Schema):
    """A queue, kind or tenant of which nothing is dispatched. What is dispatched or running goes on to its end."""

    scope = fields.String(
        required=True, validate=validate.OneOf(["queue", "kind", "tenant"]), metadata={"example": "queue"}
    )
    name = fields.String(
        required=True, metadata={"description": "Of the queue or kind; a tenant's id.", "example": "notifications"}
    )
    reason = fields.String(required=True, metadata={"example": "the mail provider is down"})
    drain = fields.Boolean(required=True, metadata={"description": "Whether someone waits for it to be drained."})
    paused_by = fields.String(
        required=True, metadata={"description": "Who did it.", "example": "user:019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a11"}
    )
    created_at = UtcDateTime(required=True)
    in_flight = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Dispatched or running, as last counted; null until then.", "example": 3},
    )
    drained = fields.Boolean(
        required=True,
        metadata={"description": "Nothing is in flight, and nothing will be until it is resumed.", "example": False},
    )


class PauseListSchema(Schema):
    """All pauses. The list is short and comes whole."""

    items = fields.List(fields.Nested(PauseSchema), required=True)
