"""Invoices, their lines, credit notes. Money is in integer minor units of `currency`."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import PageQuerySchema, Schema, UtcDateTime
from web.schemas.plans import AMOUNT_LIMIT, CURRENCY

STATES = ("draft", "open", "paid", "void", "uncollectible")
LINE_KINDS = ("fee", "usage", "adjustment", "balance", "manual")
CREDIT_KINDS = ("reduction", "balance", "refund")
_DECIMAL = validate.Regexp(r"^[0-9]{1,15}(\.[0-9]{1,12})?\Z", error="A decimal that is not negative, as a string.")


class InvoiceFilterSchema(PageQuerySchema):
    """Which invoices a list shows."""

    state = fields.String(validate=validate.OneOf(STATES), metadata={"example": "open"})
    customer_id = fields.UUID()
    subscription_id = fields.UUID()


class OwnInvoiceFilterSchema(PageQuerySchema):
    """Which of the tenant's own invoices a list shows."""

    state = fields.String(validate=validate.OneOf(STATES), metadata={"example": "open"})


class ManualLineSchema(Schema):
    """A charge that no plan knows: `amount` is quantity × unit amount, rounded once."""

    description = fields.String(
        required=True, validate=validate.Length(min=1, max=500), metadata={"example": "Workshop"}
    )
    quantity = fields.String(load_default="1", validate=_DECIMAL, metadata={"example": "1.5"})
    unit_amount = fields.String(required=True, validate=_DECIMAL, metadata={"example": "90000"})


class InvoiceCreateSchema(Schema):
    """An invoice without a subscription. It is a draft, without a number, until it is made final."""

    customer_id = fields.UUID(required=True)
    currency = fields.String(required=True, validate=CURRENCY, metadata={"example": "EUR"})
    lines = fields.List(
        fields.Nested(ManualLineSchema), required=True, validate=validate.Length(min=1, max=200)
    )  # fmt: skip


class InvoiceLineSchema(Schema):
    """One charge: `amount` is quantity × unit amount, rounded once. Quantities are decimals, written as strings."""

    id = fields.UUID(required=True)
    description = fields.String(required=True, metadata={"example": "Team"})
    quantity = fields.Decimal(required=True, as_string=True, metadata={"example": "1"})
    unit_amount = fields.Decimal(required=True, as_string=True, metadata={"example": "2900"})
    amount = fields.Integer(required=True, metadata={"example": 2900})
    kind = fields.String(required=True, validate=validate.OneOf(LINE_KINDS), metadata={"example": "fee"})
    code = fields.String(
        required=True, allow_none=True, metadata={"description": "The meter's, of usage.", "example": None}
    )
    starts_at = UtcDateTime(required=True, allow_none=True, metadata={"description": "The span that it bills."})
    ends_at = UtcDateTime(required=True, allow_none=True)


class PreviewLineSchema(Schema):
    """A charge as it would be if the period ended now."""

    description = fields.String(required=True, metadata={"example": "Team"})
    quantity = fields.Decimal(required=True, as_string=True, metadata={"example": "1"})
    unit_amount = fields.Decimal(required=True, as_string=True, metadata={"example": "2900"})
    amount = fields.Integer(required=True, metadata={"example": 2900})
    kind = fields.String(required=True, validate=validate.OneOf(LINE_KINDS), metadata={"example": "fee"})


class InvoicePreviewSchema(Schema):
    """The next invoice, with the fee of the whole period and the usage so far. Nothing of it is kept."""

    currency = fields.String(required=True, metadata={"example": "EUR"})
    period_start = UtcDateTime(required=True)
    period_end = UtcDateTime(required=True)
    due_at = UtcDateTime(required=True)
    total = fields.Integer(required=True, metadata={"example": 2900})
    lines = fields.List(fields.Nested(PreviewLineSchema), required=True)


class InvoiceSchema(Schema):
    """A bill. Of a subscription it has a period, which is half open: `period_end` belongs to the next."""

    id = fields.UUID(required=True)
    number = fields.Integer(required=True, allow_none=True, metadata={"example": 1, "description": "Null: a draft."})
    subscription_id = fields.UUID(required=True, allow_none=True)
    customer_id = fields.UUID(required=True)
    period_start = UtcDateTime(required=True, allow_none=True)
    period_end = UtcDateTime(required=True, allow_none=True)
    currency = fields.String(required=True, metadata={"example": "EUR"})
    total = fields.Integer(required=True, metadata={"example": 2900})
    credited = fields.Integer(required=True, metadata={"example": 0, "description": "By credit notes."})
    state = fields.String(required=True, validate=validate.OneOf(STATES), metadata={"example": "open"})
    paid_at = UtcDateTime(required=True, allow_none=True)
    collect_at = UtcDateTime(
        required=True, allow_none=True, metadata={"description": "The next attempt to collect it."}
    )
    created_at = UtcDateTime(required=True)
    available_actions = fields.List(
        fields.String(),
        required=True,
        metadata={
            "example": ["pay", "void", "mark_uncollectible", "credit"],
            "description": "A payment whose metadata names this invoice in `invoice_id` settles it, too.",
        },
    )


class AttemptSchema(Schema):
    """An attempt to collect."""

    number = fields.Integer(required=True, metadata={"example": 1})
    state = fields.String(required=True, metadata={"example": "failed"})
    amount = fields.Integer(required=True, metadata={"example": 2900})
    error_code = fields.String(required=True, allow_none=True, metadata={"example": "card_declined"})
    created_at = UtcDateTime(required=True)
    finished_at = UtcDateTime(required=True, allow_none=True)


class InvoiceDetailSchema(InvoiceSchema):
    """An invoice with its lines, the attempts to collect it, and the plan as it was when it was billed."""

    lines = fields.List(fields.Nested(InvoiceLineSchema), required=True)
    attempts = fields.List(fields.Nested(AttemptSchema), required=True)
    snapshot = fields.Dict(required=True, metadata={"example": {"plan": {"code": "team-monthly"}}})


class CreditNoteCreateSchema(Schema):
    """Money given back. Of an open invoice less is to be paid; of a paid one it is refunded or kept for the next."""

    invoice_id = fields.UUID(required=True)
    amount = fields.Integer(
        required=True, strict=True, validate=validate.Range(min=1, max=AMOUNT_LIMIT), metadata={"example": 500}
    )
    reason = fields.String(required=True, validate=validate.Length(min=1, max=500), metadata={"example": "Outage"})
    refund = fields.Boolean(load_default=False, truthy={True}, falsy={False}, metadata={"example": False})


class CreditNoteFilterSchema(PageQuerySchema):
    """Which credit notes a list shows."""

    invoice_id = fields.UUID()


class CreditNoteSchema(Schema):
    """A credit note. `kind` is what became of the money; a refund is `pending` until the provider has taken it."""

    id = fields.UUID(required=True)
    number = fields.Integer(required=True, metadata={"example": 1})
    invoice_id = fields.UUID(required=True)
    amount = fields.Integer(required=True, metadata={"example": 500})
    currency = fields.String(required=True, metadata={"example": "EUR"})
    reason = fields.String(required=True, metadata={"example": "Outage"})
    kind = fields.String(required=True, validate=validate.OneOf(CREDIT_KINDS), metadata={"example": "balance"})
    state = fields.String(
        required=True, validate=validate.OneOf(("pending", "done", "failed")), metadata={"example": "done"}
    )
    created_at = UtcDateTime(required=True)
