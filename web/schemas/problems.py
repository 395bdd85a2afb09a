"""Errors as clients see them: RFC 9457 problem details."""

from __future__ import annotations

from marshmallow import fields

from web.schemas.base import Schema


class FieldProblemSchema(Schema):
    """One fault of one field."""

    pointer = fields.String(
        required=True,
        metadata={
            "description": "JSON Pointer (RFC 6901) into the body; faults of the query begin with `/query/`.",
            "example": "/payload/to",
        },
    )
    code = fields.String(required=True, metadata={"example": "required"})
    detail = fields.String(required=True, metadata={"example": "Missing data for required field."})


class ProblemSchema(Schema):
    """What went wrong, in the form of RFC 9457. Programs decide by `code`, which is stable."""

    type = fields.String(
        required=True,
        metadata={"description": "Names the cause, as `code` does.", "example": "/errors/invalid_payload"},
    )
    title = fields.String(required=True, metadata={"example": "The payload is invalid"})
    status = fields.Integer(required=True, metadata={"example": 422})
    detail = fields.String(required=True, metadata={"example": "The payload does not fit the kind system.ping."})
    instance = fields.String(required=True, metadata={"description": "The path asked for.", "example": "/api/v1/jobs"})
    code = fields.String(required=True, metadata={"example": "invalid_payload"})
    errors = fields.List(fields.Nested(FieldProblemSchema), required=True)
    trace_id = fields.String(
        required=True,
        metadata={"description": "Finds the request in our logs.", "example": "0af7651916cd43dd8448eb211c80319c"},
    )
