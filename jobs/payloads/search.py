"""Payloads of search kinds."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from domain.search.filters import BadFilters, parse
from domain.search.query import MODES
from domain.search.sources import MOST_SOURCES, NAME, OWN

SOURCES = tuple(OWN)


class FiltersField(fields.Dict):
    """Conditions on the metadata of documents, as `domain.search.filters` reads them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        loaded: dict[str, Any] = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]  # marshmallow's
        try:
            parse(loaded)
        except BadFilters as error:
            raise ValidationError(dict(error.faults)) from None
        return loaded


class SearchQuerySchema(Schema):
    """`sources` left out means all that are enabled. What has not answered after `timeout_ms` is reported, not waited for."""

    q = fields.String(required=True, validate=validate.Length(min=1, max=1000))
    sources = fields.List(
        fields.String(validate=validate.Regexp(NAME.pattern + r"\Z", error="There is no such source.")),
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=MOST_SOURCES),
        metadata={"description": "Names of sources; null: all that are enabled.", "example": ["documents", "wiki"]},
    )
    mode = fields.String(load_default="keyword", validate=validate.OneOf(MODES))
    filters = FiltersField(load_default=dict, metadata={"example": {"year": {"gt": 2020}}})
    limit = fields.Integer(load_default=20, strict=True, validate=validate.Range(min=1, max=100))
    timeout_ms = fields.Integer(load_default=5000, strict=True, validate=validate.Range(min=50, max=30_000))


class SearchSourceSchema(Schema):
    """One source's share of a search, whose question is the payload of the job `search_id`."""

    search_id = fields.UUID(required=True)
    source = fields.String(required=True, validate=validate.Regexp(NAME.pattern + r"\Z"))


class SearchSweepSchema(Schema):
    """Removes what has stood in the query log for as long as the tenant keeps it."""
