"""Payloads of search kinds."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from domain.search.asking import MODES
from domain.search.filters import MOST_FILTERS, OPERATORS, fault_of_field, fault_of_filter

SOURCES = ("documents", "messages")


class SearchFilterSchema(Schema):
    """A condition on the metadata of documents."""

    field = fields.String(required=True, metadata={"example": "year"})
    op = fields.String(required=True, validate=validate.OneOf(OPERATORS), metadata={"example": "gt"})
    value = fields.Raw(
        required=True,
        metadata={"example": 2020, "description": "A scalar; a list for `in`; true or false for `exists`."},
    )

    @validates_schema
    def _fits(self, data: dict[str, Any], **_: Any) -> None:
        faults = {"field": fault_of_field(data["field"]), "value": fault_of_filter(data["op"], data["value"])}
        found = {name: [fault] for name, fault in faults.items() if fault}
        if found:
            raise ValidationError(found)


class SearchQuerySchema(Schema):
    """`sources` left out means all. What has not answered after `timeout_ms` is reported, not waited for."""

    q = fields.String(required=True, validate=validate.Length(min=1, max=1000))
    sources = fields.List(
        fields.String(validate=validate.OneOf(SOURCES)),
        load_default=list(SOURCES),
        validate=validate.Length(min=1, max=20),
    )
    mode = fields.String(load_default="keyword", validate=validate.OneOf(MODES))
    filters = fields.List(
        fields.Nested(SearchFilterSchema), load_default=list, validate=validate.Length(max=MOST_FILTERS)
    )
    limit = fields.Integer(load_default=20, strict=True, validate=validate.Range(min=1, max=100))
    timeout_ms = fields.Integer(load_default=5000, strict=True, validate=validate.Range(min=50, max=30_000))


class SearchSourceSchema(Schema):
    """One source's share of a search."""

    search_id = fields.UUID(required=True)
    source = fields.String(required=True, validate=validate.OneOf(SOURCES))
    mode = fields.String(load_default="keyword", validate=validate.OneOf(MODES))
    filters = fields.List(
        fields.Nested(SearchFilterSchema), load_default=list, validate=validate.Length(max=MOST_FILTERS)
    )


class DocumentPutSchema(Schema):
    """A document to find later. `external_id` is the tenant's own name for it."""

    external_id = fields.String(required=True, validate=validate.Length(min=1, max=200))
    title = fields.String(required=True, validate=validate.Length(min=1, max=1000))
    body = fields.String(required=True, validate=validate.Length(max=500_000))
    url = fields.Url(load_default=None, allow_none=True, schemes={"http", "https"})
    language = fields.String(
        load_default="simple", validate=validate.OneOf(["simple", "english", "german", "french", "spanish"])
    )
