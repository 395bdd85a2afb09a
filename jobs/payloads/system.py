"""Payloads of the platform's own kinds."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class PingSchema(Schema):
    """`message` comes back in the result. `seconds` makes the job take that long, to see how the engine behaves."""

    message = fields.String(load_default="pong", validate=validate.Length(max=1000))
    seconds = fields.Float(load_default=0.0, validate=validate.Range(min=0, max=60))


class TenantProvisionSchema(Schema):
    """`owner_id` is the user who becomes the tenant's owner."""

    owner_id = fields.UUID(required=True)


class TenantCompensateSchema(Schema):
    """What is to be undone, and why, is read from the rows when it runs."""


class PlatformBackupSchema(Schema):
    """`requested_by` is the operator who asked, or the platform's rhythm."""

    requested_by = fields.String(required=True, validate=validate.Length(max=200))
