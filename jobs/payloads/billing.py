"""Payloads of billing kinds."""

from __future__ import annotations

from marshmallow import Schema, fields


class BillingCycleSchema(Schema):
    """Bill every period of the tenant's subscriptions that has ended by `until`."""

    until = fields.AwareDateTime(required=True, format="iso")


class PaymentCollectSchema(Schema):
    """Collect an invoice from its customer's default payment method."""

    invoice_id = fields.UUID(required=True)


class PaymentRefundSchema(Schema):
    """Give back what a credit note says."""

    credit_note_id = fields.UUID(required=True)


class _SoldSchema(Schema):
    """`seller_id` is the operator's tenant where the customer is the job's own tenant; only the platform submits these."""

    seller_id = fields.UUID(load_default=None, allow_none=True)


class PaymentMethodAttachSchema(_SoldSchema):
    """Attach what the provider's form has made to a customer."""

    customer_id = fields.UUID(required=True)
    provider_id = fields.String(required=True)


class PaymentMethodDetachSchema(_SoldSchema):
    """Take a payment method away."""

    payment_method_id = fields.UUID(required=True)


class PaymentMethodSetupSchema(_SoldSchema):
    """Begin to collect a payment method."""

    customer_id = fields.UUID(required=True)


class BillingPortalSchema(_SoldSchema):
    """A page of the provider's for a customer."""

    customer_id = fields.UUID(required=True)
    return_url = fields.String(required=True)


class UsageCollectSchema(Schema):
    """Collect what the platform's tenants have used."""


class UsageRelaySchema(Schema):
    """Pass on what the tenant's own database has metered."""

    tenant_id = fields.UUID(required=True)


class WebhookProcessSchema(Schema):
    """A verified event of a payment provider, as it was sent."""

    source = fields.String(required=True)
    event = fields.Dict(required=True)


class WebhookSweepSchema(Schema):
    """Take in events of a payment provider that its webhooks did not bring; `since` hours ago."""

    source = fields.String(required=True)
    hours = fields.Integer(load_default=48, strict=True)
