"""Backups of the platform as operators see them."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import PageQuerySchema, Schema, UtcDateTime


class BackupListQuerySchema(PageQuerySchema):
    """A page of backups."""


class LeftOutSchema(Schema):
    """A tenant whose data a backup does not hold."""

    tenant_id = fields.UUID(required=True)
    code = fields.String(
        required=True,
        validate=validate.OneOf(["external", "erased", "tenant_database_down"]),
        metadata={"description": "Why: its server has backups of its own, it went meanwhile, or it was away."},
    )


class BackupSchema(Schema):
    """A backup that is whole."""

    id = fields.UUID(required=True, metadata={"description": "Also the id of the job that made it."})
    taken_at = UtcDateTime(required=True, metadata={"description": "The moment of the platform database's rows."})
    bytes = fields.Integer(required=True, metadata={"example": 1048576})
    rows = fields.Integer(required=True, metadata={"example": 1200})
    tenants = fields.Integer(required=True, metadata={"description": "Whose data is in it.", "example": 12})
    left_out = fields.List(fields.Nested(LeftOutSchema), required=True)
    problem = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why it cannot be restored with the present master keys, as a code.", "example": None},
    )
