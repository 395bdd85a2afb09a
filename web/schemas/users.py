"""Users of a tenant."""

from __future__ import annotations

from marshmallow import fields

from web.schemas.base import Schema, UtcDateTime


class MemberSchema(Schema):
    """A user as the tenant sees them."""

    id = fields.UUID(required=True)
    email = fields.String(required=True, metadata={"example": "ada@example.com"})
    name = fields.String(required=True, metadata={"example": "Ada Lovelace"})
    roles = fields.List(fields.String(), required=True, metadata={"example": ["owner"]})
    disabled = fields.Boolean(required=True, metadata={"description": "Whether the account may not sign in."})
    created_at = UtcDateTime(required=True, metadata={"description": "When the account was made."})
    joined_at = UtcDateTime(required=True, metadata={"description": "When the account became a member."})
