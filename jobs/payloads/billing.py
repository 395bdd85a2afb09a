"""Payloads of billing kinds."""

from __future__ import annotations

from marshmallow import Schema, fields


class BillingCycleSchema(Schema):
    """Bill every period of the tenant's subscriptions that has ended by `until`."""

    until = fields.AwareDateTime(required=True, format="iso")


class WebhookProcessSchema(Schema):
    """A verified event of a payment provider, as it was sent."""

    source = fields.String(required=True)
    event = fields.Dict(required=True)
