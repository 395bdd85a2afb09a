"""Payloads of what the event bus makes of an event. They hold ids: the event itself is read, sealed, from its row."""

from __future__ import annotations

from marshmallow import Schema, fields


class EventHandleSchema(Schema):
    """One event for one subscriber."""

    event_id = fields.UUID(required=True)
    subscriber = fields.String(required=True)


class WebhookDeliverSchema(Schema):
    """One delivery of an event to an endpoint, with all its attempts."""

    delivery_id = fields.UUID(required=True)
