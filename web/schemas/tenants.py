"""Tenants."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema, UtcDateTime
from web.schemas.jobs import JobSchema

STATES = ("provisioning", "active", "suspended", "migrating", "failed", "deleting")


class TenantUpdateSchema(Schema):
    """What of a tenant can be changed."""

    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "Acme"})


class TenantCreateSchema(TenantUpdateSchema):
    """A new tenant."""

    tier = fields.String(
        load_default=None,
        validate=validate.OneOf(["dedicated", "pooled"]),
        metadata={"description": "Own database or shared one; unset: the platform's default.", "example": "dedicated"},
    )


class TenantJobSchema(JobSchema):
    """The job that provisions a new tenant, and the tenant to select for reading it."""

    tenant_id = fields.UUID(required=True)


class TenantSchema(Schema):
    """A customer's workspace."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Acme"})
    tier = fields.String(
        required=True, validate=validate.OneOf(["dedicated", "pooled", "external"]), metadata={"example": "dedicated"}
    )
    state = fields.String(required=True, validate=validate.OneOf(STATES), metadata={"example": "active"})
    failure = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Why it could not be made: an error's code and what followed. Null unless `failed`; replaying "
            "the job that provisions it begins anew.",
            "example": None,
        },
    )
    is_operator = fields.Boolean(required=True, metadata={"description": "Whether it is the platform's own tenant."})
    created_at = UtcDateTime(required=True)
