"""API keys."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema, UtcDateTime


class ApiKeyCreateSchema(Schema):
    """A new key. It can do what `scopes` allow and its maker may do at the time of use, whichever is less."""

    name = fields.String(required=True, validate=validate.Length(min=1, max=100), metadata={"example": "deploy bot"})
    scopes = fields.List(
        fields.String(validate=validate.Length(max=100)),
        required=True,
        validate=validate.Length(min=1, max=200),
        metadata={"description": "Permissions that the caller holds.", "example": ["job:create", "job:read"]},
    )
    expires_at = UtcDateTime(load_default=None, allow_none=True, metadata={"description": "Null: never."})


class ApiKeySchema(Schema):
    """A key, without its secret."""

    id = fields.UUID(required=True)
    user_id = fields.UUID(required=True, metadata={"description": "Whom it acts for."})
    name = fields.String(required=True, metadata={"example": "deploy bot"})
    last_four = fields.String(required=True, metadata={"description": "The end of the key.", "example": "x7Qa"})
    scopes = fields.List(fields.String(), required=True, metadata={"example": ["job:create", "job:read"]})
    expires_at = UtcDateTime(required=True, allow_none=True)
    last_used_at = UtcDateTime(required=True, allow_none=True, metadata={"description": "Exact to a minute."})
    created_at = UtcDateTime(required=True)


class ApiKeyCreatedSchema(ApiKeySchema):
    """A new key with its text."""

    key = fields.String(required=True, metadata={"description": "Shown this once.", "example": "nxk_AZ…"})
