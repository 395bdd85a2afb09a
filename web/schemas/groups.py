"""Groups of members."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema, UtcDateTime


class GroupPutSchema(Schema):
    """A group's whole definition; members and roles have routes of their own."""

    name = fields.String(
        required=True,
        validate=validate.Length(min=1, max=100),
        metadata={"description": "Unique in the tenant.", "example": "developers"},
    )
    description = fields.String(load_default="", validate=validate.Length(max=1000), metadata={"example": ""})
    parent_id = fields.UUID(
        load_default=None,
        allow_none=True,
        metadata={"description": "The group above, whose roles the members of this one hold too."},
    )


class GroupSchema(Schema):
    """A set of members who hold the group's roles, and those of every group above it."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "developers"})
    description = fields.String(required=True, metadata={"example": ""})
    parent_id = fields.UUID(required=True, allow_none=True)
    members = fields.Integer(
        required=True, metadata={"description": "Its own, not those of groups below.", "example": 3}
    )
    created_at = UtcDateTime(required=True)


class GroupMemberSchema(Schema):
    """A member of a group."""

    id = fields.UUID(required=True)
    email = fields.String(required=True, metadata={"example": "ada@example.com"})
    name = fields.String(required=True, metadata={"example": "Ada Lovelace"})
    joined_at = UtcDateTime(required=True, metadata={"description": "When the user was put into the group."})


class GroupRoleSchema(Schema):
    """A role that a group gives."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "editor"})
