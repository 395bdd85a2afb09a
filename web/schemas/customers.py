"""Who pays, and how."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import PageQuerySchema, Schema, UtcDateTime


class CustomerCreateSchema(Schema):
    """Who pays. Days and months are counted in `timezone`, an IANA name."""

    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "Ada Lovelace"})
    email = fields.Email(required=True, validate=validate.Length(max=320), metadata={"example": "ada@example.com"})
    timezone = fields.String(
        load_default="UTC", validate=validate.Length(min=1, max=100), metadata={"example": "Europe/Berlin"}
    )
    external_id = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=200),
        metadata={"description": "The seller's own name for the customer, unique.", "example": "crm-1815"},
    )


class CustomerPutSchema(Schema):
    """What of a customer may change. The time zone stays: periods are counted in it."""

    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "Ada Lovelace"})
    email = fields.Email(required=True, validate=validate.Length(max=320), metadata={"example": "ada@example.com"})


class CustomerFilterSchema(PageQuerySchema):
    """Which customers a list shows."""

    external_id = fields.String(validate=validate.Length(min=1, max=200), metadata={"example": "crm-1815"})


class CustomerSchema(Schema):
    """A customer."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Ada Lovelace"})
    email = fields.String(required=True, metadata={"example": "ada@example.com"})
    timezone = fields.String(required=True, metadata={"example": "Europe/Berlin"})
    external_id = fields.String(required=True, allow_none=True, metadata={"example": "crm-1815"})
    created_at = UtcDateTime(required=True)


class BalanceSchema(Schema):
    """What is left over of credits, to be used by the next invoices in the currency."""

    currency = fields.String(required=True, metadata={"example": "EUR"})
    amount = fields.Integer(required=True, metadata={"example": 1200})


class CustomerDetailSchema(CustomerSchema):
    """A customer with what is left over of credits."""

    balances = fields.List(fields.Nested(BalanceSchema), required=True)


class EntitlementsSchema(Schema):
    """What a customer's live subscriptions allow, and how much of the quotas the running periods have used."""

    entitlements = fields.Dict(required=True, metadata={"example": {"sso": True}, "additionalProperties": True})
    quotas = fields.Dict(
        required=True,
        metadata={
            "example": {"api-calls": {"limit": 10000, "hard": False, "used": "120", "exceeded": False}},
            "additionalProperties": True,
        },
    )


class PaymentMethodCreateSchema(Schema):
    """A payment method that the provider's form has made in the customer's browser."""

    provider_id = fields.String(
        required=True,
        validate=validate.Regexp(r"^[A-Za-z0-9_]{1,255}\Z", error="Letters, digits and underscores."),
        metadata={"example": "pm_card_visa"},
    )


class PaymentMethodSchema(Schema):
    """A payment method as a person recognises it."""

    id = fields.UUID(required=True)
    customer_id = fields.UUID(required=True)
    provider = fields.String(required=True, metadata={"example": "stripe"})
    brand = fields.String(required=True, metadata={"example": "visa"})
    last4 = fields.String(required=True, metadata={"example": "4242"})
    is_default = fields.Boolean(required=True, metadata={"example": True})
    created_at = UtcDateTime(required=True)


class PaymentMethodListSchema(Schema):
    """A customer's payment methods, the newest first."""

    items = fields.List(fields.Nested(PaymentMethodSchema), required=True)


class PortalCreateSchema(Schema):
    """Where the customer comes back to."""

    return_url = fields.Url(
        required=True,
        schemes={"https", "http"},
        require_tld=False,
        validate=validate.Length(max=2000),
        metadata={"example": "https://app.example.com/account"},
    )
