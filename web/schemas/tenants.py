"""Tenants."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from web.schemas.base import Schema, UtcDateTime
from web.schemas.jobs import JobSchema

STATES = ("provisioning", "active", "suspended", "migrating", "failed", "deleting")


class TenantUpdateSchema(Schema):
    """What of a tenant can be changed."""

    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "Acme"})


class OwnServerSchema(Schema):
    """A PostgreSQL server of the tenant's own."""

    url = fields.String(
        required=True,
        load_only=True,
        validate=validate.Length(min=1, max=2000),
        metadata={
            "description": "An account that may create roles, and tables in the schema `public`, which must be empty or ours; no "
            "superuser. `sslmode` is `require` unless it says more.",
            "example": "postgresql://nexus:secret@db.example.com:5432/nexus?sslmode=verify-full",
        },
    )


class OwnBucketSchema(Schema):
    """A bucket of the tenant's own, in S3 or what speaks its protocol."""

    name = fields.String(
        required=True,
        validate=validate.Regexp(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z"),
        metadata={"example": "acme-nexus"},
    )
    endpoint = fields.String(
        load_default=None, allow_none=True, validate=validate.Length(max=2000), metadata={"example": "https://s3.example.com"}
    )  # fmt: skip
    region = fields.String(
        load_default=None, allow_none=True, validate=validate.Length(max=64), metadata={"example": "eu-central-1"}
    )
    access_key = fields.String(required=True, load_only=True, validate=validate.Length(min=1, max=200))
    secret_key = fields.String(required=True, load_only=True, validate=validate.Length(min=1, max=200))


class TenantCreateSchema(TenantUpdateSchema):
    """A new tenant."""

    database = fields.Nested(
        OwnServerSchema, load_default=None, allow_none=True, metadata={"description": "For the tier `external` only."}
    )
    bucket = fields.Nested(
        OwnBucketSchema,
        load_default=None,
        allow_none=True,
        metadata={"description": "For the tier `external`; without one the objects are in the platform's."},
    )

    tier = fields.String(
        load_default=None,
        validate=validate.OneOf(["dedicated", "pooled", "external"]),
        metadata={
            "description": "Own database, shared one, or on the tenant's own server; unset: the platform's default.",
            "example": "dedicated",
        },
    )

    @validates_schema
    def _own_server_for_external_only(self, data: dict[str, Any], **_: Any) -> None:
        if data["tier"] == "external" and data["database"] is None:
            raise ValidationError("Needed for the tier external.", "database")
        for name in ("database", "bucket"):
            if data["tier"] != "external" and data[name] is not None:
                raise ValidationError("For the tier external only.", name)


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
