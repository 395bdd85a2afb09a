"""Signing keys as operators see them; their public parts are in the JWKS."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema, UtcDateTime


class SigningKeySchema(Schema):
    """A key. Tokens name it as `kid`."""

    id = fields.UUID(required=True)
    state = fields.String(
        required=True,
        validate=validate.OneOf(["shown", "signing", "verifying"]),
        metadata={
            "description": "Shown before it signs, signing, or verifying what it has signed.",
            "example": "signing",
        },
    )
    created_at = UtcDateTime(required=True)
    signs_from = UtcDateTime(required=True)
    verifies_until = UtcDateTime(
        required=True, allow_none=True, metadata={"description": "Null: no other has followed."}
    )


class SigningKeyListSchema(Schema):
    """All keys that verify. There are few, so the list has one page."""

    items = fields.List(fields.Nested(SigningKeySchema), required=True)
