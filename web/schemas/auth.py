"""Accounts, logins and tokens as clients see them."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from web.schemas.base import Schema, UtcDateTime


def password_field(**options: Any) -> fields.String:
    """A password that an account is to have; what is accepted is `domain.identity.passwords`' to say."""
    return fields.String(
        load_only=True,
        metadata={
            "description": "12 to 256 characters, without the name part of the email.",
            "format": "password",
            "example": "correct horse battery",
        },
        **options,
    )


class RegisterSchema(Schema):
    """A new account."""

    email = fields.String(required=True, validate=validate.Length(max=320), metadata={"example": "ada@example.com"})
    password = password_field(required=True)
    name = fields.String(load_default="", validate=validate.Length(max=200), metadata={"example": "Ada Lovelace"})


class LoginSchema(Schema):
    """Email and password."""

    email = fields.String(required=True, validate=validate.Length(max=320), metadata={"example": "ada@example.com"})
    password = fields.String(
        required=True,
        load_only=True,
        validate=validate.Length(max=1024),
        metadata={"format": "password", "example": "correct horse battery"},
    )
    code = fields.String(
        load_default=None,
        load_only=True,
        validate=validate.Length(min=1, max=40),
        metadata={
            "description": "Of the second factor, or a recovery code. Unset: none was asked for.",
            "example": "287082",
        },
    )


class RefreshSchema(Schema):
    """A refresh token, good for one exchange."""

    refresh_token = fields.String(required=True, load_only=True, validate=validate.Length(min=1, max=200))


class SwitchSchema(Schema):
    """The tenant that the new tokens are bound to."""

    tenant_id = fields.UUID(required=True)


class UserSchema(Schema):
    """An account."""

    id = fields.UUID(required=True)
    email = fields.String(required=True, metadata={"example": "ada@example.com"})
    name = fields.String(required=True, metadata={"example": "Ada Lovelace"})
    is_operator = fields.Boolean(required=True, metadata={"description": "Whether the account runs the platform."})
    email_verified = fields.Boolean(
        required=True, metadata={"description": "Whether its owner has shown that the address is theirs."}
    )
    created_at = UtcDateTime(required=True)


class TokensSchema(Schema):
    """A login. The refresh token is exchanged for new tokens once; using it twice ends the session."""

    access_token = fields.String(required=True, metadata={"description": "A JWT; send it as `Authorization: Bearer`."})
    token_type = fields.String(required=True, validate=validate.OneOf(["Bearer"]), metadata={"example": "Bearer"})
    expires_in = fields.Integer(
        required=True, metadata={"description": "Seconds that the access token is good for.", "example": 900}
    )
    refresh_token = fields.String(required=True, metadata={"description": "Shown once."})
    session_id = fields.UUID(required=True)
    tenant_id = fields.UUID(
        required=True, allow_none=True, metadata={"description": "The only tenant that the tokens reach, if bound."}
    )


class MeSchema(Schema):
    """Who is asking, and what holds in the selected tenant."""

    subject = fields.String(required=True, metadata={"example": "user:01890a5d-ac96-774b-bcce-b302099a8057"})
    user = fields.Nested(UserSchema, required=True)
    session_id = fields.UUID(required=True, allow_none=True)
    api_key_id = fields.UUID(required=True, allow_none=True)
    tenant_id = fields.UUID(required=True, allow_none=True)
    permissions = fields.List(fields.String(), required=True, metadata={"example": ["job:create", "job:read"]})


class SessionSchema(Schema):
    """A login on a device."""

    id = fields.UUID(required=True)
    tenant_id = fields.UUID(required=True, allow_none=True)
    address = fields.String(required=True, metadata={"example": "203.0.113.7"})
    user_agent = fields.String(required=True, metadata={"example": "curl/8.5.0"})
    current = fields.Boolean(required=True, metadata={"description": "Whether this request belongs to it."})
    created_at = UtcDateTime(required=True)
    expires_at = UtcDateTime(required=True)


class SessionListSchema(Schema):
    """All live sessions of a user. There are few, so the list has one page."""

    items = fields.List(fields.Nested(SessionSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})
