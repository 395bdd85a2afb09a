"""Second factors as clients see them."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema, UtcDateTime


class PasswordSchema(Schema):
    """The account's password, to make sure that its owner asks."""

    password = fields.String(
        required=True,
        load_only=True,
        validate=validate.Length(max=1024),
        metadata={"format": "password", "example": "correct horse battery"},
    )


class CodeSchema(Schema):
    """A code."""

    code = fields.String(
        required=True,
        load_only=True,
        validate=validate.Length(min=1, max=40),
        metadata={"description": "Six digits of the app, or a recovery code.", "example": "287082"},
    )


class PasswordAndCodeSchema(PasswordSchema, CodeSchema):
    """Both."""


class MfaSchema(Schema):
    """Whether logins take a code."""

    enabled = fields.Boolean(required=True)
    activated_at = UtcDateTime(required=True, allow_none=True)
    recovery_codes_left = fields.Integer(required=True, metadata={"example": 10})


class EnrolmentSchema(Schema):
    """A secret for an authenticator app, shown once."""

    secret = fields.String(
        required=True, metadata={"description": "Base32.", "example": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}
    )
    uri = fields.String(
        required=True,
        metadata={
            "description": "The same for a QR code.",
            "example": "otpauth://totp/Nexus:ada@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Nexus",
        },
    )


class RecoveryCodesSchema(Schema):
    """Codes that stand in for the app once each, shown once."""

    recovery_codes = fields.List(fields.String(), required=True, metadata={"example": ["k7m2-x9pq-4rtz-h8wc"]})
