"""Several jobs at once: bulk submission, children, what a job waits for, replay by filter."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from jobs.bulk import BULK_LIMIT
from jobs.replay import REPLAY_LIMIT
from web.schemas.base import Schema, UtcDateTime, page_schema
from web.schemas.jobs import JOB_ID, STATES, JobItemSchema, JobSchema
from web.schemas.problems import ProblemSchema


class JobBulkItemSchema(JobItemSchema):
    """One submission among many."""

    idempotency_key = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Regexp(r"[\x20-\x7e]{1,200}\Z", error="Must be 1 to 200 printable ASCII characters."),
        metadata={
            "description": "As the header of a single submission. Left out, it is made of the request's and the place.",
            "example": "order-4711",
        },
    )


class EachItem(fields.List[Any]):
    """A list whose items are read one by one by whoever answers for each; here only how many there are is checked."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        return value


class JobBulkSchema(Schema):
    """Many submissions. Each is valid or not by itself."""

    items = EachItem(
        fields.Nested(JobBulkItemSchema),
        required=True,
        validate=validate.Length(min=1, max=BULK_LIMIT),
        metadata={"example": [{"kind": "system.ping", "payload": {"message": "hello"}}]},
    )


class JobBulkResultSchema(Schema):
    """What became of one submission: `job`, or `error`."""

    status = fields.Integer(required=True, metadata={"description": "As of a request of its own.", "example": 202})
    created = fields.Boolean(
        required=True, metadata={"description": "False if an earlier submission made the job.", "example": True}
    )
    job = fields.Nested(JobSchema, required=True, allow_none=True)
    error = fields.Nested(ProblemSchema, required=True, allow_none=True)


class JobBulkResultListSchema(Schema):
    """A result for each item, in the order of the items."""

    items = fields.List(fields.Nested(JobBulkResultSchema), required=True)
    accepted = fields.Integer(required=True, metadata={"description": "Items that have a job.", "example": 1})


class JobChildrenSchema(page_schema(JobSchema)):  # type: ignore[misc]  # made at import
    """A page of children, and how far all of them are."""

    total = fields.Integer(required=True, metadata={"description": "All children.", "example": 10})
    finished = fields.Integer(required=True, metadata={"description": "Those that have finished.", "example": 7})
    states = fields.Dict(
        keys=fields.String(validate=validate.OneOf(STATES)),
        values=fields.Integer(),
        required=True,
        metadata={"description": "How many are in each state.", "example": {"succeeded": 7, "running": 3}},
    )


class JobDependencySchema(Schema):
    """A job that another waits for."""

    job_id = fields.UUID(required=True, metadata={"example": JOB_ID})
    state = fields.String(
        required=True,
        validate=validate.OneOf([*STATES, "expired"]),
        metadata={"description": "`expired`: it can no longer be read.", "example": "succeeded"},
    )


class JobDependencyListSchema(Schema):
    """All jobs of `after`. The list comes whole."""

    items = fields.List(fields.Nested(JobDependencySchema), required=True)


class JobReplayFilterSchema(Schema):
    """Which finished jobs to replay. Those that were replayed before are not found again."""

    state = fields.String(
        load_default="failed", validate=validate.OneOf(["failed", "cancelled"]), metadata={"example": "failed"}
    )
    kind = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=100),
        metadata={"example": "system.ping"},
    )
    queue = fields.String(
        load_default=None, allow_none=True, validate=validate.Length(min=1, max=100), metadata={"example": "default"}
    )
    error_code = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=100),
        metadata={"example": "worker_lost"},
    )
    finished_from = UtcDateTime(load_default=None, allow_none=True)
    finished_to = UtcDateTime(load_default=None, allow_none=True)


class JobReplaySchema(Schema):
    """A replay, or a look at what it would replay."""

    filter = fields.Nested(JobReplayFilterSchema, required=True)
    dry_run = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={"description": "Only count.", "example": True},
    )
    limit = fields.Integer(
        load_default=REPLAY_LIMIT,
        strict=True,
        validate=validate.Range(min=1, max=REPLAY_LIMIT),
        metadata={"description": "Replay at most so many, the oldest first.", "example": 100},
    )


class JobReplayItemSchema(JobBulkResultSchema):
    """What became of one job that was found."""

    replay_of = fields.UUID(required=True, metadata={"example": JOB_ID})


class JobReplayResultSchema(Schema):
    """What the filter found, and what was replayed."""

    found = fields.Integer(required=True, metadata={"description": "Before this request.", "example": 12})
    kinds = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "How many of each kind.", "example": {"system.ping": 12}},
    )
    replayed = fields.Integer(required=True, metadata={"example": 0})
    items = fields.List(fields.Nested(JobReplayItemSchema), required=True)
