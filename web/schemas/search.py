"""Searches, their answers and their log."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema, UtcDateTime

SOURCE_STATUSES = ("ok", "pending", "timeout", "error", "skipped", "unauthorized")


class HitSchema(Schema):
    """One thing found. `ranks` is the place that each source gave it, from 1; `score` is Σ weight / (60 + rank)."""

    id = fields.String(required=True, metadata={"example": "handbook-12"})
    source = fields.String(required=True, metadata={"example": "documents"})
    title = fields.String(required=True, metadata={"example": "Travel expenses"})
    snippet = fields.String(required=True, metadata={"example": "… «travel» is paid …"})
    url = fields.String(required=True, allow_none=True, metadata={"example": None})
    score = fields.Float(required=True, metadata={"example": 0.0163934})
    ranks = fields.Dict(
        keys=fields.String(), values=fields.Integer(), required=True, metadata={"example": {"documents": 1}}
    )


class SourceAnswerSchema(Schema):
    """How one source did. `hits` is how many it found before fusion."""

    name = fields.String(required=True, metadata={"example": "documents"})
    status = fields.String(required=True, validate=validate.OneOf(SOURCE_STATUSES), metadata={"example": "ok"})
    took_ms = fields.Integer(required=True, allow_none=True, metadata={"example": 4})
    hits = fields.Integer(required=True, metadata={"example": 1})
    error = fields.String(required=True, allow_none=True, metadata={"example": None})


class SearchAnswerSchema(Schema):
    """`partial` is true while or because a source has not answered with its hits."""

    search_id = fields.UUID(required=True)
    took_ms = fields.Integer(required=True, metadata={"example": 21})
    partial = fields.Boolean(required=True, metadata={"example": False})  # type: ignore[assignment]  # no class attribute stays
    hits = fields.List(fields.Nested(HitSchema), required=True)
    sources = fields.List(fields.Nested(SourceAnswerSchema), required=True)


class SearchLogSchema(Schema):
    """One entry of the query log."""

    id = fields.UUID(required=True)
    q = fields.String(required=True, attribute="query", metadata={"example": "travel expenses"})
    principal = fields.String(required=True, metadata={"example": "user:0198f0aa-0000-7000-8000-000000000001"})
    sources = fields.List(fields.String(), required=True, metadata={"example": ["documents", "messages"]})
    limit = fields.Integer(required=True, attribute="hit_limit", metadata={"example": 20})
    deadline_at = UtcDateTime(required=True)
    created_at = UtcDateTime(required=True)
