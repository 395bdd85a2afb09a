"""This tenant as the platform's customer."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema


class SubscribeSchema(Schema):
    """The plan of the platform to subscribe to or to go over to, and who pays."""

    plan_id = fields.UUID(required=True)
    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "Acme Travel"})
    email = fields.Email(required=True, validate=validate.Length(max=320), metadata={"example": "ada@example.com"})
    timezone = fields.String(
        load_default="UTC",
        validate=validate.Length(min=1, max=100),
        metadata={
            "example": "Europe/Berlin",
            "description": "Counts at the first time only; name and address are those given last.",
        },
    )
