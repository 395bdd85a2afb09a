"""Jobs as clients submit, filter and read them."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from domain.jobs.families import AFTER_LIMIT, AfterPolicy
from domain.jobs.states import JobState
from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

STATES = tuple(state.value for state in JobState if state is not JobState.DISPATCHED)
"""What `state` may read. That a job is on its way to a worker is our affair: such a one is `queued`."""

JOB_ID = "019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a11"


class JobItemSchema(Schema):
    """A submission. The kind's own schema, which `GET /jobs/kinds` shows, decides what `payload` may hold."""

    kind = fields.String(required=True, validate=validate.Length(min=1, max=100), metadata={"example": "system.ping"})
    payload = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={"example": {"message": "hello"}, "additionalProperties": True},
    )
    run_at = UtcDateTime(
        load_default=None,
        allow_none=True,
        metadata={"description": "Not before this moment. Up to a minute ago means now; before that it is refused."},
    )
    priority = fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=validate.Range(min=-100, max=100),
        metadata={
            "description": "Among this tenant's jobs, higher goes first; left out, the kind's own.",
            "example": 0,
        },
    )
    unique_key = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=200),
        metadata={"description": "Only one live job of the kind may hold it.", "example": "nightly-report"},
    )
    webhook_endpoint_id = fields.UUID(
        load_default=None,
        allow_none=True,
        metadata={
            "description": "An endpoint of yours that gets this job's end, whatever it subscribes to.",
            "example": None,
        },
    )
    parent_id = fields.UUID(
        load_default=None,
        allow_none=True,
        metadata={"description": "A live job that this one belongs to: cancelling that one cancels this one."},
    )
    after = fields.List(
        fields.UUID(),
        load_default=list,
        validate=validate.Length(max=AFTER_LIMIT),
        metadata={"description": "Jobs that must finish before this one may begin.", "example": []},
    )
    after_policy = fields.String(
        load_default=AfterPolicy.ALL_SUCCEEDED.value,
        validate=validate.OneOf([policy.value for policy in AfterPolicy]),
        metadata={
            "description": "`all_succeeded`: if one of `after` fails, is cancelled or expires, this job is cancelled with "
            "the code `dependency_failed`. `all_finished`: it begins whatever they came to.",
            "example": "all_succeeded",
        },
    )


class JobCreateSchema(JobItemSchema):
    """A submission that may replace the last one."""

    on_conflict = fields.String(
        load_default="reject",
        validate=validate.OneOf(["reject", "replace"]),
        metadata={
            "description": "When a live job of the kind holds the `unique_key`: `reject` answers 409. `replace` gives "
            "that job this payload, time and priority if it has not begun, else answers 409.",
            "example": "reject",
        },
    )

    @validates_schema
    def _replace_needs_a_key_and_no_relatives(self, data: dict[str, Any], **_: Any) -> None:
        if data["on_conflict"] == "replace":
            if data["unique_key"] is None:
                raise ValidationError("Needed to replace the job that holds it.", "unique_key")
            for name in ("parent_id", "after"):
                if data[name]:
                    raise ValidationError("A job that may replace another names no relatives.", name)


class JobProgressSchema(Schema):
    """How far a job is. `total` is null where it is not known."""

    done = fields.Integer(required=True, metadata={"example": 3})
    total = fields.Integer(required=True, allow_none=True, metadata={"example": 10})
    message = fields.String(required=True, metadata={"example": "clone the database"})


class JobErrorSchema(Schema):
    """Why the last attempt failed. The job is tried again while `state` is `retrying`."""

    code = fields.String(required=True, metadata={"example": "provider_timeout"})
    title = fields.String(required=True, metadata={"example": "A dependency failed for now"})
    detail = fields.String(required=True, metadata={"example": "The provider did not answer within 30 s."})
    retryable = fields.Boolean(required=True, metadata={"example": True})


class JobLinksSchema(Schema):
    """Where to go on from a job."""

    self = fields.String(required=True, metadata={"example": f"/api/v1/jobs/{JOB_ID}"})
    events = fields.String(required=True, metadata={"example": f"/api/v1/jobs/{JOB_ID}/events"})
    cancel = fields.String(required=True, metadata={"example": f"/api/v1/jobs/{JOB_ID}/cancel"})


class JobSchema(Schema):
    """A job. `result` is there once it has succeeded; `error` tells of the last attempt that failed."""

    id = fields.UUID(required=True, metadata={"example": JOB_ID})
    kind = fields.String(required=True, metadata={"example": "system.ping"})
    queue = fields.String(required=True, metadata={"example": "default"})
    state = fields.String(required=True, validate=validate.OneOf(STATES), metadata={"example": "running"})
    attempt = fields.Integer(required=True, metadata={"description": "Attempts begun so far.", "example": 1})
    max_attempts = fields.Integer(required=True, metadata={"example": 5})
    progress = fields.Nested(JobProgressSchema, required=True, allow_none=True)
    result = fields.Raw(required=True, allow_none=True, metadata={"description": "Any JSON, as the kind defines it."})
    error = fields.Nested(JobErrorSchema, required=True, allow_none=True)
    priority = fields.Integer(required=True, metadata={"example": 0})
    unique_key = fields.String(required=True, allow_none=True, metadata={"example": None})
    parent_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
    replay_of = fields.UUID(required=True, allow_none=True, metadata={"description": "The job that this one repeats."})
    cancel_requested = fields.Boolean(required=True, metadata={"example": False})
    created_at = UtcDateTime(required=True)
    run_at = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "When it was, or will next be, due; null while it waits for other jobs."},
    )
    started_at = UtcDateTime(required=True, allow_none=True)
    finished_at = UtcDateTime(required=True, allow_none=True)
    expires_at = UtcDateTime(required=True, allow_none=True, metadata={"description": "Until when it can be read."})
    links = fields.Nested(JobLinksSchema, required=True)


class JobQuerySchema(PageQuerySchema):
    """Which jobs to list."""

    state = fields.String(load_default=None, validate=validate.OneOf(STATES), metadata={"example": "failed"})
    kind = fields.String(
        load_default=None, validate=validate.Length(min=1, max=100), metadata={"example": "system.ping"}
    )
    queue = fields.String(load_default=None, validate=validate.Length(min=1, max=100), metadata={"example": "default"})
    parent_id = fields.UUID(load_default=None)
    created_from = UtcDateTime(
        load_default=None, data_key="created_at[gte]", metadata={"description": "Submitted then or later."}
    )
    created_to = UtcDateTime(
        load_default=None, data_key="created_at[lte]", metadata={"description": "Submitted then or earlier."}
    )


class KindSchema(Schema):
    """A kind of job that clients may submit."""

    name = fields.String(required=True, metadata={"example": "system.ping"})
    queue = fields.String(required=True, metadata={"example": "default"})
    permission = fields.String(
        required=True, metadata={"description": "Needed beside `job:create`.", "example": "job:create"}
    )
    priority = fields.Integer(required=True, metadata={"example": 0})
    max_attempts = fields.Integer(required=True, metadata={"example": 5})
    deadline_seconds = fields.Float(required=True, metadata={"description": "Bounds one attempt.", "example": 90.0})
    retention_seconds = fields.Float(
        required=True, metadata={"description": "How long a finished job can be read.", "example": 2592000.0}
    )
    payload_schema = fields.Dict(required=True, metadata={"description": "JSON Schema (2020-12) of the payload."})


class KindListSchema(Schema):
    """All kinds. The list is short and comes whole."""

    items = fields.List(fields.Nested(KindSchema), required=True)
