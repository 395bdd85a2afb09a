"""Mailed links as clients send them back."""

from __future__ import annotations

from uuid import UUID

from marshmallow import fields, validate

from domain.identity.links import LONGEST, Purpose, sign_link
from web.schemas.auth import UserSchema, password_field
from web.schemas.base import Schema

_EXAMPLE = sign_link(b"example", Purpose.VERIFY_EMAIL, UUID(int=1), UUID(int=2))


class AddressSchema(Schema):
    """An email address, which may be an account's."""

    email = fields.String(required=True, validate=validate.Length(max=320), metadata={"example": "ada@example.com"})


class LinkSchema(Schema):
    """The token of a mailed link."""

    token = fields.String(
        required=True, load_only=True, validate=validate.Length(min=1, max=LONGEST), metadata={"example": _EXAMPLE}
    )


class ResetSchema(LinkSchema):
    """A new password."""

    password = password_field(required=True)


class AcceptSchema(LinkSchema):
    """An invitation that is accepted. Name and password are for an account that is new, or was never verified."""

    password = password_field(load_default=None, allow_none=True)
    name = fields.String(load_default="", validate=validate.Length(max=200), metadata={"example": "Ada Lovelace"})


class AcceptedSchema(Schema):
    """Who joined, and what."""

    user = fields.Nested(UserSchema, required=True)
    tenant_id = fields.UUID(required=True)
