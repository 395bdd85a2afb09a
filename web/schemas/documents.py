"""The tenant's searchable documents."""

from __future__ import annotations

from marshmallow import fields, validate

from domain.search.languages import LANGUAGES
from domain.search.vectors import MOST_DIMENSIONS
from jobs.payloads.documents import DocumentPutSchema
from web.schemas.base import Schema, UtcDateTime
from web.schemas.problems import FieldProblemSchema

BULK_LIMIT = 1000


class DocumentBodySchema(DocumentPutSchema):
    """A document whose name stands in the path."""

    class Meta:
        exclude = ("external_id",)


class DocumentSummarySchema(Schema):
    """A document without its body."""

    id = fields.UUID(required=True)
    external_id = fields.String(required=True, metadata={"example": "handbook-12"})
    title = fields.String(required=True, metadata={"example": "Travel expenses"})
    url = fields.String(required=True, allow_none=True, metadata={"example": "https://example.com/handbook/12"})
    language = fields.String(required=True, validate=validate.OneOf(LANGUAGES), metadata={"example": "english"})
    metadata = fields.Dict(required=True, metadata={"example": {"kind": "handbook", "year": 2024}})
    version = fields.Integer(required=True, metadata={"example": 1})
    created_at = UtcDateTime(required=True)
    updated_at = UtcDateTime(required=True)


class DocumentSchema(DocumentSummarySchema):
    """A document as it is stored."""

    body = fields.String(required=True, metadata={"example": "What is paid, and how to ask for it."})


class DocumentBulkSchema(Schema):
    """Up to 1000 documents. Each stands for itself: one that is refused does not hold up the others."""

    items = fields.List(
        fields.Dict(keys=fields.String()),
        required=True,
        validate=validate.Length(min=1, max=BULK_LIMIT),
        metadata={
            "description": "Each as the body of PUT /search/documents/{external_id}, with its `external_id`.",
            "example": [{"external_id": "handbook-12", "title": "Travel expenses", "body": "What is paid."}],
        },
    )


class DocumentBulkItemSchema(Schema):
    """What became of the item at `index`."""

    index = fields.Integer(required=True, metadata={"example": 0})
    external_id = fields.String(required=True, allow_none=True, metadata={"example": "handbook-12"})
    status = fields.String(
        required=True, validate=validate.OneOf(["created", "replaced", "refused"]), metadata={"example": "created"}
    )
    errors = fields.List(fields.Nested(FieldProblemSchema), required=True)


class DocumentBulkResultSchema(Schema):
    """A result for every item, in the request's order."""

    created = fields.Integer(required=True, metadata={"example": 1})
    replaced = fields.Integer(required=True, metadata={"example": 0})
    refused = fields.Integer(required=True, metadata={"example": 0})
    items = fields.List(fields.Nested(DocumentBulkItemSchema), required=True)


class SearchIndexingUpdateSchema(Schema):
    """How documents are indexed. `embeds` gives each a vector, on the tenant's account for language models.

    `model` and `dimensions` left out are the provider's. Another choice embeds every document anew.
    """

    language = fields.String(load_default="simple", validate=validate.OneOf(LANGUAGES))
    embeds = fields.Boolean(load_default=False, truthy={True}, falsy={False})
    model = fields.String(
        load_default=None, allow_none=True, validate=validate.Length(min=1, max=200),
        metadata={"example": "text-embedding-3-small"},
    )  # fmt: skip
    dimensions = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=1, max=MOST_DIMENSIONS),
        metadata={"example": 1536},
    )  # fmt: skip


class SearchIndexingSchema(Schema):
    """How documents are indexed, and how far that is. `job_id` is the job that this change started, if it did."""

    language = fields.String(required=True, validate=validate.OneOf(LANGUAGES), metadata={"example": "english"})
    embeds = fields.Boolean(required=True, metadata={"example": True})
    model = fields.String(required=True, allow_none=True, metadata={"example": "text-embedding-3-small"})
    dimensions = fields.Integer(required=True, allow_none=True, metadata={"example": 1536})
    documents = fields.Integer(required=True, metadata={"example": 120})
    embedded = fields.Integer(required=True, metadata={"example": 118})
    waiting = fields.Integer(required=True, metadata={"example": 1})
    failed = fields.Integer(required=True, metadata={"example": 1})
    job_id = fields.UUID(required=True, allow_none=True, metadata={"example": None})
