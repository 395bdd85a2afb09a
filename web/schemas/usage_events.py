"""What customers used."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import PageQuerySchema, Schema, UtcDateTime
from web.schemas.plans import CODE

BULK_LIMIT = 1000
_TRANSACTION = validate.Regexp(r"^[\x21-\x7e]{1,200}\Z", error="1 to 200 printable ASCII characters without spaces.")
_PROPERTIES = {"example": {"calls": 12, "region": "eu"}, "additionalProperties": True}


class UsageEventCreateSchema(Schema):
    """Something a customer used. The same `transaction_id` is the same event for ever."""

    transaction_id = fields.String(required=True, validate=_TRANSACTION, metadata={"example": "req-1815-0001"})
    customer_id = fields.UUID(required=True)
    code = fields.String(required=True, validate=CODE, metadata={"example": "api-calls", "description": "The meter's."})
    timestamp = UtcDateTime(
        load_default=None,
        allow_none=True,
        metadata={"description": "When it was used; left out, now.", "example": "2026-11-21T06:20:00Z"},
    )
    properties = fields.Dict(
        keys=fields.String(validate=validate.Length(min=1, max=100)),
        load_default=dict,
        validate=validate.Length(max=50),
        metadata=_PROPERTIES,
    )


class UsageEventsCreateSchema(Schema):
    """Many at once: all are taken or none is."""

    events = fields.List(
        fields.Nested(UsageEventCreateSchema), required=True, validate=validate.Length(min=1, max=BULK_LIMIT)
    )


class UsageEventsCreatedSchema(Schema):
    """How many were new, and how many were there before and have been left as they were."""

    created = fields.Integer(required=True, metadata={"example": 2})
    duplicates = fields.Integer(required=True, metadata={"example": 0})


class UsageEventFilterSchema(PageQuerySchema):
    """Which events a list shows."""

    customer_id = fields.UUID()
    code = fields.String(validate=CODE, metadata={"example": "api-calls"})
    transaction_id = fields.String(validate=_TRANSACTION, metadata={"example": "req-1815-0001"})


class UsageEventSchema(Schema):
    """An event. `source_type` and `source_id` name what it came from: a job of the platform, for example."""

    id = fields.UUID(required=True)
    transaction_id = fields.String(required=True, metadata={"example": "req-1815-0001"})
    customer_id = fields.UUID(required=True)
    code = fields.String(required=True, metadata={"example": "api-calls"})
    timestamp = UtcDateTime(required=True)
    properties = fields.Dict(required=True, metadata=_PROPERTIES)
    source_type = fields.String(required=True, allow_none=True, metadata={"example": "job"})
    source_id = fields.String(
        required=True, allow_none=True, metadata={"example": "019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a11"}
    )
    created_at = UtcDateTime(required=True)


class UsageSummarySchema(Schema):
    """A meter's quantity in the running period."""

    code = fields.String(required=True, metadata={"example": "jobs"})
    name = fields.String(required=True, metadata={"example": "Jobs"})
    quantity = fields.Decimal(required=True, as_string=True, metadata={"example": "120"})
    period_start = UtcDateTime(required=True)
    period_end = UtcDateTime(required=True)


class UsageSummaryListSchema(Schema):
    """Every meter of the plan."""

    items = fields.List(fields.Nested(UsageSummarySchema), required=True)
