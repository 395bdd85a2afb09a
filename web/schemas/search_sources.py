"""HTTP sources of the tenant's own, as clients keep and read them."""

from __future__ import annotations

from marshmallow import fields, validate

from domain.search.registering import SECRET_LIMIT
from domain.search.wire import URL_LIMIT
from web.schemas.base import Schema, UtcDateTime


class SearchSourcePutSchema(Schema):
    """A source's whole definition. Leave `secret` out to keep the one that is there; null takes it away."""

    name = fields.String(
        required=True,
        validate=validate.Length(min=1, max=50),
        metadata={"description": "As searches name it; unique in the tenant.", "example": "wiki"},
    )
    url = fields.String(
        required=True,
        validate=validate.Length(min=1, max=URL_LIMIT),
        metadata={
            "description": "Where questions are posted to: public and HTTPS.",
            "example": "https://wiki.example.com/search",
        },
    )
    enabled = fields.Boolean(
        load_default=True,
        truthy={True},
        falsy={False},
        metadata={"description": "Whether it is asked at all.", "example": True},
    )
    weight = fields.Float(
        load_default=1.0,
        validate=validate.Range(min=0, max=100, min_inclusive=False),
        metadata={"description": "How much its ranks count beside those of other sources.", "example": 1.0},
    )
    timeout_ms = fields.Integer(
        load_default=3000,
        strict=True,
        validate=validate.Range(min=50, max=30_000),
        metadata={"description": "How long it may take, if the search leaves it that long.", "example": 1500},
    )
    concurrency = fields.Integer(
        load_default=8,
        strict=True,
        validate=validate.Range(min=1, max=64),
        metadata={"description": "How many questions each worker asks it at once.", "example": 8},
    )
    permission = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=101),
        metadata={
            "description": "What a caller needs beside `search:create`; null: nothing.",
            "example": "document:read",
        },
    )
    header_name = fields.String(
        load_default="Authorization",
        validate=validate.Length(min=1, max=100),
        metadata={"description": "The header that carries the secret.", "example": "Authorization"},
    )
    secret = fields.String(
        allow_none=True,
        load_only=True,
        validate=validate.Length(min=1, max=SECRET_LIMIT),
        metadata={
            "description": "The header's whole value. Sealed, and never shown.",
            "example": "Bearer 5d41402abc4b2a76",
        },
    )


class SearchSourceSchema(SearchSourcePutSchema):
    """A source as it is shown: of the secret only the last four characters."""

    class Meta(Schema.Meta):
        exclude = ("secret",)

    id = fields.UUID(required=True)
    secret_last_four = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Null if there is no secret; empty if it is too short to show any of it.",
            "example": "2a76",
        },
    )
    created_at = UtcDateTime(required=True)
    updated_at = UtcDateTime(required=True)
