"""Workers as operators see them."""

from __future__ import annotations

from marshmallow import fields

from web.schemas.base import Schema, UtcDateTime
from web.schemas.jobs import JobProgressSchema


class RunningJobSchema(Schema):
    """A job that a worker runs."""

    id = fields.UUID(required=True)
    tenant_id = fields.UUID(required=True)
    kind = fields.String(required=True, metadata={"example": "completion.create"})
    attempt = fields.Integer(required=True, metadata={"example": 1})
    started_at = UtcDateTime(required=True)
    progress = fields.Nested(JobProgressSchema, required=True, allow_none=True)


class WorkerSchema(Schema):
    """A worker as of its last heartbeat, every two seconds. One that was silent for a minute is forgotten."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "worker-io@host"})
    queues = fields.List(fields.String(), required=True, metadata={"example": ["completions", "notifications"]})
    slots = fields.Integer(required=True, metadata={"description": "Jobs that it can run at once.", "example": 16})
    running = fields.Integer(required=True, metadata={"description": "Jobs that it holds.", "example": 3})
    jobs = fields.List(
        fields.Nested(RunningJobSchema), required=True, metadata={"description": "The oldest of them, at most 20."}
    )
    pid = fields.Integer(required=True, metadata={"example": 4711})
    started_at = UtcDateTime(required=True)
    heartbeat_at = UtcDateTime(required=True)
    heartbeat_age_seconds = fields.Float(required=True, metadata={"example": 0.8})
    last_claim_at = UtcDateTime(
        required=True, allow_none=True, metadata={"description": "Exact to a second; null before the first claim."}
    )
    stopping = fields.Boolean(required=True, metadata={"description": "It finishes what it holds and takes no more."})


class WorkerListSchema(Schema):
    """All workers. The list comes whole."""

    items = fields.List(fields.Nested(WorkerSchema), required=True)
