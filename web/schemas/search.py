"""Searches, their answers and their log."""

from __future__ import annotations

from marshmallow import fields, validate

from domain.search.log import LEVELS
from domain.search.query import MODES
from web.schemas.base import Schema, UtcDateTime

SOURCE_STATUSES = ("ok", "pending", "timeout", "error", "skipped", "unauthorized")


class SearchExplainQuerySchema(Schema):
    """How much is told."""

    explain = fields.Boolean(
        load_default=False,
        metadata={"description": "Whether each hit tells what each source contributed to its score.", "example": True},
    )


class SearchPageQuerySchema(SearchExplainQuerySchema):
    """Which hits."""

    limit = fields.Integer(
        load_default=None,
        validate=validate.Range(min=1, max=100),
        metadata={
            "description": "How many hits a page holds; as many as the search asked for if left out.",
            "example": 20,
        },
    )
    cursor = fields.String(
        load_default=None,
        validate=validate.Length(min=1, max=500),
        metadata={"description": "Where to go on: `next_cursor` of the page before."},
    )


class ContributionSchema(Schema):
    """A source's part in the score of a hit: `weight / (60 + rank)`."""

    source = fields.String(required=True, metadata={"example": "documents"})
    rank = fields.Integer(required=True, metadata={"example": 1})
    weight = fields.Float(required=True, metadata={"example": 1.0})
    contribution = fields.Float(required=True, metadata={"example": 0.0163934})


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
    explanation = fields.List(
        fields.Nested(ContributionSchema), metadata={"description": "Where `explain=true` asked for it."}
    )


class SourceAnswerSchema(Schema):
    """How one source did. `hits` is how many it found before fusion; `notes` tell how, in codes.

    With an `error` hits may be missing, also where the status is `ok`.
    """

    name = fields.String(required=True, metadata={"example": "documents"})
    status = fields.String(required=True, validate=validate.OneOf(SOURCE_STATUSES), metadata={"example": "ok"})
    took_ms = fields.Integer(required=True, allow_none=True, metadata={"example": 4})
    hits = fields.Integer(required=True, metadata={"example": 1})
    error = fields.String(required=True, allow_none=True, metadata={"example": None})
    notes = fields.List(fields.String(), required=True, metadata={"example": []})


class SearchAnswerSchema(Schema):
    """`partial` is true while or because a source has not answered with all its hits. `total` counts those of all pages."""

    search_id = fields.UUID(required=True)
    took_ms = fields.Integer(required=True, metadata={"example": 21})
    partial = fields.Boolean(required=True, metadata={"example": False})  # type: ignore[assignment]  # no class attribute stays
    total = fields.Integer(required=True, metadata={"example": 1})
    hits = fields.List(fields.Nested(HitSchema), required=True)
    sources = fields.List(fields.Nested(SourceAnswerSchema), required=True)
    next_cursor = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Send it as `cursor` to `GET /search/{search_id}` for the next page; null on the last."
        },
    )


class SearchLogSchema(Schema):
    """One entry of the query log. `q` is what the tenant lets it keep of the question, as `log` says."""

    id = fields.UUID(required=True)
    q = fields.String(required=True, attribute="query", metadata={"example": "travel expenses"})
    log = fields.String(required=True, validate=validate.OneOf(LEVELS), metadata={"example": "full"})
    mode = fields.String(required=True, validate=validate.OneOf(MODES), metadata={"example": "keyword"})
    principal = fields.String(required=True, metadata={"example": "user:0198f0aa-0000-7000-8000-000000000001"})
    sources = fields.List(fields.String(), required=True, metadata={"example": ["documents", "messages"]})
    limit = fields.Integer(required=True, attribute="hit_limit", metadata={"example": 20})
    deadline_at = UtcDateTime(required=True)
    created_at = UtcDateTime(required=True)
