"""The tenant's searchable documents."""

from __future__ import annotations

from marshmallow import fields, validate

from jobs.payloads.search import DocumentPutSchema
from web.schemas.base import Schema, UtcDateTime
from web.schemas.problems import FieldProblemSchema

BULK_LIMIT = 1000
LANGUAGES = ("simple", "english", "german", "french", "spanish")


class DocumentBodySchema(DocumentPutSchema):
    """A document whose name stands in the path."""

    class Meta:
        exclude = ("external_id",)


class DocumentSchema(Schema):
    """A document as it is stored."""

    id = fields.UUID(required=True)
    external_id = fields.String(required=True, metadata={"example": "handbook-12"})
    title = fields.String(required=True, metadata={"example": "Travel expenses"})
    body = fields.String(required=True, metadata={"example": "What is paid, and how to ask for it."})
    url = fields.String(required=True, allow_none=True, metadata={"example": "https://example.com/handbook/12"})
    language = fields.String(required=True, validate=validate.OneOf(LANGUAGES), metadata={"example": "english"})
    created_at = UtcDateTime(required=True)
    updated_at = UtcDateTime(required=True)


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
