"""Events of the selected tenant."""

from __future__ import annotations

from marshmallow import fields, validate

from domain.events import EVENTS
from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

EVENT_ID = "019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a21"


class EventSchema(Schema):
    """An event. A webhook's body is the same object, and its `webhook-id` is the event's id."""

    id = fields.UUID(required=True, metadata={"example": EVENT_ID})
    type = fields.String(required=True, metadata={"example": "notification.sent"})
    timestamp = UtcDateTime(required=True, metadata={"description": "When it was published."})
    data = fields.Dict(
        keys=fields.String(),
        required=True,
        metadata={
            "description": "What the type defines.",
            "example": {"notification": {"id": EVENT_ID, "channel": "email"}},
            "additionalProperties": True,
        },
    )


class EventQuerySchema(PageQuerySchema):
    """Which events to list."""

    type = fields.String(
        load_default=None, validate=validate.OneOf(list(EVENTS)), metadata={"example": "notification.sent"}
    )


class EventTypeSchema(Schema):
    """A type of event."""

    name = fields.String(required=True, metadata={"example": "notification.sent"})
    description = fields.String(required=True, metadata={"example": EVENTS["notification.sent"]})


class EventTypeListSchema(Schema):
    """All types. The list is short and comes whole."""

    items = fields.List(fields.Nested(EventTypeSchema), required=True)
