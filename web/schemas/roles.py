"""Roles and permissions."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema, UtcDateTime

_LISTED = {"description": "Permissions that the caller holds.", "example": ["job:create", "job:read"]}
_MOST = 700


class RolePutSchema(Schema):
    """A role's whole definition."""

    name = fields.String(
        required=True,
        validate=validate.Length(min=1, max=100),
        metadata={"description": "Unique in the tenant.", "example": "release manager"},
    )
    description = fields.String(
        load_default="", validate=validate.Length(max=1000), metadata={"example": "May deploy."}
    )
    permissions = fields.List(
        fields.String(validate=validate.Length(max=110)),
        required=True,
        validate=validate.Length(max=_MOST),
        metadata=_LISTED,
    )


class RoleSchema(Schema):
    """A named set of permissions."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "editor"})
    description = fields.String(required=True, metadata={"example": ""})
    is_system = fields.Boolean(required=True, metadata={"description": "System roles cannot be changed."})
    permissions = fields.List(fields.String(), required=True, metadata={"example": ["job:create", "job:read"]})
    created_at = UtcDateTime(required=True)


class RolePermissionsSchema(Schema):
    """What a role permits, as a whole."""

    items = fields.List(
        fields.String(validate=validate.Length(max=110)),
        required=True,
        validate=validate.Length(max=_MOST),
        metadata=_LISTED,
    )


class PermissionCreateSchema(Schema):
    """A permission of the tenant's own."""

    name = fields.String(
        required=True,
        validate=validate.Length(min=3, max=101),
        metadata={
            "description": "`resource:action` of lower-case letters, digits and underscores; none of the platform's.",
            "example": "report:publish",
        },
    )
    description = fields.String(
        load_default="", validate=validate.Length(max=1000), metadata={"example": "May publish reports."}
    )


class PermissionSchema(Schema):
    """Something that can be allowed."""

    name = fields.String(required=True, metadata={"example": "job:create"})
    resource = fields.String(required=True, metadata={"example": "job"})
    action = fields.String(required=True, metadata={"example": "create"})
    description = fields.String(required=True, metadata={"example": ""})
    is_system = fields.Boolean(required=True, metadata={"description": "Whether the platform asks for it."})
    held = fields.Boolean(required=True, metadata={"description": "Whether the caller holds it in this tenant."})


class PermissionListSchema(Schema):
    """All permissions, the platform's and the tenant's own; they have one page."""

    items = fields.List(fields.Nested(PermissionSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True, metadata={"example": None})
