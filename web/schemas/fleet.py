"""The fleet of tenants' databases as operators see it."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema, UtcDateTime


class WaveCreateSchema(Schema):
    """Which tenants' databases to migrate before any other."""

    canaries = fields.List(
        fields.UUID(),
        load_default=[],
        validate=validate.Length(max=20),
        metadata={
            "description": "Without any, the oldest tenant with a database of its own is the canary.",
            "example": [],
        },
    )


class DriftCreateSchema(Schema):
    """Whose databases to compare."""

    tenant_ids = fields.List(
        fields.UUID(),
        load_default=[],
        validate=validate.Length(max=1000),
        metadata={"description": "Without any, all.", "example": []},
    )


class WaveFailureSchema(Schema):
    """A database that a wave could not migrate."""

    tenant_id = fields.UUID(required=True, metadata={"description": "The tenant, or one of those who share it."})
    database = fields.String(required=True)
    stage = fields.String(required=True, metadata={"example": "canary"})
    code = fields.String(
        required=True,
        validate=validate.OneOf(["lock_timeout", "migration_failed", "unreachable"]),
        metadata={"example": "lock_timeout"},
    )
    detail = fields.String(required=True)
    created_at = UtcDateTime(required=True)


class WaveSchema(Schema):
    """A wave of migrations."""

    id = fields.UUID(required=True)
    target = fields.String(required=True, metadata={"description": "The revision.", "example": "0002"})
    state = fields.String(
        required=True,
        validate=validate.OneOf(["running", "paused", "stopped", "finished"]),
        metadata={"example": "running"},
    )
    reason = fields.String(required=True, allow_none=True, metadata={"description": "Why it stopped.", "example": None})
    canaries = fields.List(fields.UUID(), required=True)
    databases = fields.Integer(
        required=True, allow_none=True, metadata={"description": "How many were behind when it began.", "example": 1000}
    )
    started_by = fields.String(required=True, metadata={"example": "user:0198f0aa-0000-7000-8000-000000000001"})
    job_id = fields.UUID(required=True, allow_none=True, metadata={"description": "The job that drives it."})
    created_at = UtcDateTime(required=True)
    finished_at = UtcDateTime(required=True, allow_none=True)
    failures = fields.List(fields.Nested(WaveFailureSchema), required=True, metadata={"description": "Up to 100."})


class RevisionSchema(Schema):
    """How much of a tier is at a revision."""

    tier = fields.String(required=True, validate=validate.OneOf(["dedicated", "pooled", "external"]))
    version = fields.String(required=True, allow_none=True, metadata={"example": "0002"})
    tenants = fields.Integer(required=True, metadata={"example": 900})
    databases = fields.Integer(required=True, metadata={"description": "Pooled tenants share one.", "example": 1})


class FleetSchema(Schema):
    """Where the fleet is, by the catalog."""

    newest = fields.String(required=True, metadata={"description": "The revision of this version.", "example": "0002"})
    current = fields.Integer(required=True, metadata={"description": "Databases at it.", "example": 900})
    behind = fields.Integer(required=True, metadata={"description": "Databases at an older one.", "example": 100})
    revisions = fields.List(fields.Nested(RevisionSchema), required=True)
    wave = fields.Nested(WaveSchema, required=True, allow_none=True, metadata={"description": "The latest, if any."})
