"""Payloads of the kinds that look after the tenants' databases."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class FleetMigrateSchema(Schema):
    """The wave to drive, and its revision: a worker of another version of the code leaves it to others."""

    wave_id = fields.UUID(required=True)
    target = fields.String(required=True, validate=validate.Length(min=1, max=100))


class FleetDriftSchema(Schema):
    """`tenant_ids` are the tenants whose databases are compared; without any, all. `requested_by` is the operator who asked."""

    tenant_ids = fields.List(fields.UUID(), load_default=[], validate=validate.Length(max=1000))
    requested_by = fields.String(required=True, validate=validate.Length(max=200))
