"""Documents as clients put them, and payloads of the kinds that keep their index."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from domain.search.filters import MOST_FIELDS, fault_of_field, fault_of_value
from domain.search.languages import LANGUAGES


class MetadataField(fields.Dict):
    """Scalars by name, for filters."""

    def __init__(self, **kwargs: Any):
        super().__init__(keys=fields.String(), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        loaded: dict[str, Any] = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]  # marshmallow's
        if len(loaded) > MOST_FIELDS:
            raise ValidationError(f"Has more than {MOST_FIELDS} fields.")
        faults = {
            name[:50]: [fault]
            for name, each in loaded.items()
            if (fault := fault_of_field(name) or fault_of_value(each))
        }
        if faults:
            raise ValidationError(faults)
        return loaded


class DocumentPutSchema(Schema):
    """A document to find later. `external_id` is the tenant's own name for it. Without a `language`, it is in the tenant's."""

    external_id = fields.String(required=True, validate=validate.Length(min=1, max=200))
    title = fields.String(required=True, validate=validate.Length(min=1, max=1000))
    body = fields.String(required=True, validate=validate.Length(max=500_000))
    url = fields.Url(load_default=None, allow_none=True, schemes={"http", "https"})
    language = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(LANGUAGES))
    metadata = MetadataField(load_default=dict, metadata={"example": {"kind": "handbook", "year": 2024}})


class DocumentEmbedSchema(Schema):
    """Nothing: what waits to be embedded is marked in the tenant's database."""


class DocumentReindexSchema(Schema):
    """Nothing: how documents are to be embedded is what the tenant's indexing says when the job runs."""
