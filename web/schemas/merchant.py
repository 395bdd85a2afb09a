"""What a tenant sells, to whom, and what it has billed. Money is in integer minor units of `currency`."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

AMOUNT_LIMIT = 1_000_000_000_000
"""Minor units. Far beyond any price, far below what overflows when lines are summed."""
INTERVALS = ("day", "week", "month", "year")
INVOICE_STATES = ("draft", "open", "paid", "void", "uncollectible")
SUBSCRIPTION_STATES = ("incomplete", "trialing", "active", "past_due", "canceled", "unpaid", "paused")


class PlanCreateSchema(Schema):
    """A fixed price for each `interval_count` intervals, billed when they have ended. A price never changes."""

    code = fields.String(
        required=True,
        validate=validate.Regexp(
            r"^[a-z0-9][a-z0-9._-]{0,99}\Z", error="Lower case letters, digits, dot, dash, underscore."
        ),
        metadata={"example": "team-monthly"},
    )
    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "Team"})
    amount = fields.Integer(
        required=True, strict=True, validate=validate.Range(min=0, max=AMOUNT_LIMIT), metadata={"example": 2900}
    )
    currency = fields.String(
        required=True,
        validate=validate.Regexp(r"^[A-Za-z]{3}\Z", error="Three letters, as in ISO 4217."),
        metadata={"example": "EUR", "description": "ISO 4217; kept in upper case."},
    )
    interval = fields.String(required=True, validate=validate.OneOf(INTERVALS), metadata={"example": "month"})
    interval_count = fields.Integer(
        load_default=1, strict=True, validate=validate.Range(min=1, max=366), metadata={"example": 1}
    )


class PlanSchema(Schema):
    """A plan."""

    id = fields.UUID(required=True)
    code = fields.String(required=True, metadata={"example": "team-monthly"})
    name = fields.String(required=True, metadata={"example": "Team"})
    amount = fields.Integer(required=True, metadata={"example": 2900})
    currency = fields.String(required=True, metadata={"example": "EUR"})
    interval = fields.String(required=True, validate=validate.OneOf(INTERVALS), metadata={"example": "month"})
    interval_count = fields.Integer(required=True, metadata={"example": 1})
    created_at = UtcDateTime(required=True)


class CustomerCreateSchema(Schema):
    """Who pays. Days and months are counted in `timezone`, an IANA name."""

    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "Ada Lovelace"})
    email = fields.Email(required=True, validate=validate.Length(max=320), metadata={"example": "ada@example.com"})
    timezone = fields.String(
        load_default="UTC", validate=validate.Length(min=1, max=100), metadata={"example": "Europe/Berlin"}
    )


class CustomerSchema(Schema):
    """A customer."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Ada Lovelace"})
    email = fields.String(required=True, metadata={"example": "ada@example.com"})
    timezone = fields.String(required=True, metadata={"example": "Europe/Berlin"})
    created_at = UtcDateTime(required=True)


class SubscriptionCreateSchema(Schema):
    """`anchor_at` is when the first period begins (left out: now); it may lie in the past, whose periods are then due."""

    customer_id = fields.UUID(required=True)
    plan_id = fields.UUID(required=True)
    anchor_at = UtcDateTime(load_default=None, allow_none=True, metadata={"example": "2026-11-01T00:00:00Z"})


class SubscriptionFilterSchema(PageQuerySchema):
    """Which subscriptions a list shows."""

    state = fields.String(validate=validate.OneOf(SUBSCRIPTION_STATES), metadata={"example": "active"})
    customer_id = fields.UUID()
    plan_id = fields.UUID()


class SubscriptionSchema(Schema):
    """A customer's plan. `next_cycle_at` is when the period that runs now ends and is billed."""

    id = fields.UUID(required=True)
    customer_id = fields.UUID(required=True)
    plan_id = fields.UUID(required=True)
    state = fields.String(required=True, validate=validate.OneOf(SUBSCRIPTION_STATES), metadata={"example": "active"})
    anchor_at = UtcDateTime(required=True)
    periods_billed = fields.Integer(required=True, metadata={"example": 0})
    next_cycle_at = UtcDateTime(required=True)
    canceled_at = UtcDateTime(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)


class InvoiceFilterSchema(PageQuerySchema):
    """Which invoices a list shows."""

    state = fields.String(validate=validate.OneOf(INVOICE_STATES), metadata={"example": "open"})
    customer_id = fields.UUID()
    subscription_id = fields.UUID()


class InvoiceLineSchema(Schema):
    """One charge: `amount` is quantity × unit amount, rounded once. Quantities are decimals, written as strings."""

    id = fields.UUID(required=True)
    description = fields.String(required=True, metadata={"example": "Team"})
    quantity = fields.Decimal(required=True, as_string=True, metadata={"example": "1"})
    unit_amount = fields.Decimal(required=True, as_string=True, metadata={"example": "2900"})
    amount = fields.Integer(required=True, metadata={"example": 2900})


class InvoiceSchema(Schema):
    """The bill of one period, which is half open: `period_end` belongs to the next."""

    id = fields.UUID(required=True)
    number = fields.Integer(required=True, metadata={"example": 1})
    subscription_id = fields.UUID(required=True)
    customer_id = fields.UUID(required=True)
    period_start = UtcDateTime(required=True)
    period_end = UtcDateTime(required=True)
    currency = fields.String(required=True, metadata={"example": "EUR"})
    total = fields.Integer(required=True, metadata={"example": 2900})
    state = fields.String(required=True, validate=validate.OneOf(INVOICE_STATES), metadata={"example": "open"})
    paid_at = UtcDateTime(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)
    available_actions = fields.List(
        fields.String(),
        required=True,
        metadata={
            "example": ["pay"],
            "description": "`pay`: a payment whose metadata names this invoice in `invoice_id` settles it.",
        },
    )


class InvoiceDetailSchema(InvoiceSchema):
    """An invoice with its lines and the plan as it was when it was billed."""

    lines = fields.List(fields.Nested(InvoiceLineSchema), required=True)
    snapshot = fields.Dict(required=True, metadata={"example": {"plan": {"code": "team-monthly"}}})
