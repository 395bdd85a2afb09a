"""Roles and permissions."""

from __future__ import annotations

from marshmallow import fields

from web.schemas.base import Schema, UtcDateTime


class RoleSchema(Schema):
    """A named set of permissions."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "editor"})
    is_system = fields.Boolean(required=True, metadata={"description": "System roles cannot be changed."})
    permissions = fields.List(fields.String(), required=True, metadata={"example": ["job:create", "job:read"]})
    created_at = UtcDateTime(required=True)


class PermissionSchema(Schema):
    """Something that can be allowed."""

    name = fields.String(required=True, metadata={"example": "job:create"})
    resource = fields.String(required=True, metadata={"example": "job"})
    action = fields.String(required=True, metadata={"example": "create"})
    held = fields.Boolean(required=True, metadata={"description": "Whether the caller holds it in this tenant."})


class PermissionListSchema(Schema):
    """The whole catalog; it has one page."""

    items = fields.List(fields.Nested(PermissionSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})
