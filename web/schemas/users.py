"""Users of a tenant, and invitations to become one."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.auth import password_field
from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

INVITATION_STATES = ("pending", "accepted", "revoked", "expired")


class MemberSchema(Schema):
    """A user as the tenant sees them."""

    id = fields.UUID(required=True)
    email = fields.String(required=True, metadata={"example": "ada@example.com"})
    name = fields.String(required=True, metadata={"example": "Ada Lovelace"})
    roles = fields.List(fields.String(), required=True, metadata={"example": ["owner"]})
    disabled = fields.Boolean(required=True, metadata={"description": "Whether the account may not sign in."})
    created_at = UtcDateTime(required=True, metadata={"description": "When the account was made."})
    joined_at = UtcDateTime(required=True, metadata={"description": "When the account became a member."})


class MemberUpdateSchema(Schema):
    """What of a member can be changed by the tenant."""

    roles = fields.List(
        fields.String(validate=validate.Length(min=1, max=100)),
        required=True,
        validate=validate.Length(max=50),
        metadata={
            "description": "Names of roles that the caller could give, in place of the present ones.",
            "example": ["editor"],
        },
    )


class InvitationCreateSchema(Schema):
    """Whom to invite, and which roles they are to have."""

    email = fields.String(required=True, validate=validate.Length(max=320), metadata={"example": "grace@example.com"})
    roles = fields.List(
        fields.String(validate=validate.Length(min=1, max=100)),
        required=True,
        validate=validate.Length(min=1, max=50),
        metadata={"description": "Names of roles that the caller could give.", "example": ["editor"]},
    )


class MemberCreateSchema(InvitationCreateSchema):
    """A new account that is a member from the start."""

    name = fields.String(load_default="", validate=validate.Length(max=200), metadata={"example": "Grace Hopper"})
    password = password_field(load_default=None, allow_none=True)


class InvitationQuerySchema(PageQuerySchema):
    """Which invitations."""

    state = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.OneOf(INVITATION_STATES),
        metadata={"description": "Only those in this state.", "example": "pending"},
    )


class InvitationSchema(Schema):
    """An invitation. The link that accepts it is in the mail only."""

    id = fields.UUID(required=True)
    email = fields.String(required=True, metadata={"example": "grace@example.com"})
    roles = fields.List(
        fields.String(), required=True, metadata={"description": "Those that are still there.", "example": ["editor"]}
    )
    state = fields.String(required=True, validate=validate.OneOf(INVITATION_STATES), metadata={"example": "pending"})
    invited_by = fields.UUID(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)
    expires_at = UtcDateTime(required=True)
    accepted_at = UtcDateTime(required=True, allow_none=True)
    accepted_by = fields.UUID(required=True, allow_none=True, metadata={"description": "The account that joined."})
    revoked_at = UtcDateTime(required=True, allow_none=True)
