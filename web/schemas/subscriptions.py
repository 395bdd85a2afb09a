"""Subscriptions, and what the running period comes to."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

STATES = ("incomplete", "trialing", "active", "past_due", "canceled", "unpaid", "paused")
ACTIONS = ("change_plan", "pause", "resume", "cancel", "keep")


class SubscriptionCreateSchema(Schema):
    """`anchor_at` is when the first period begins (left out: now); it may lie in the past, whose periods are then due.

    A plan's trial comes before the first period.
    """

    customer_id = fields.UUID(required=True)
    plan_id = fields.UUID(required=True)
    anchor_at = UtcDateTime(load_default=None, allow_none=True, metadata={"example": "2026-11-01T00:00:00Z"})


class SubscriptionPlanSchema(Schema):
    """The plan to go over to, of the same currency, rhythm and time of payment."""

    plan_id = fields.UUID(required=True)


class SubscriptionCancelSchema(Schema):
    """When it is to end."""

    at = fields.String(
        load_default="period_end", validate=validate.OneOf(("now", "period_end")), metadata={"example": "period_end"}
    )


class SubscriptionFilterSchema(PageQuerySchema):
    """Which subscriptions a list shows."""

    state = fields.String(validate=validate.OneOf(STATES), metadata={"example": "active"})
    customer_id = fields.UUID()
    plan_id = fields.UUID()


class SubscriptionSchema(Schema):
    """A customer's plan. `next_cycle_at` is when there is something to bill next.

    Of a plan with charges for usage that is an hour after the period's end, so that late usage is on the invoice.
    """

    id = fields.UUID(required=True)
    customer_id = fields.UUID(required=True)
    plan_id = fields.UUID(required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES), metadata={"example": "active"})
    anchor_at = UtcDateTime(required=True)
    periods_billed = fields.Integer(required=True, metadata={"example": 0})
    next_cycle_at = UtcDateTime(required=True)
    cancel_at = UtcDateTime(required=True, allow_none=True)
    canceled_at = UtcDateTime(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)
    available_actions = fields.List(
        fields.String(validate=validate.OneOf(ACTIONS)), required=True, metadata={"example": ["pause", "cancel"]}
    )
