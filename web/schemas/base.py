"""What every schema of the API shares: unknown fields are refused, times are UTC with `Z`, lists come in pages."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import marshmallow
from marshmallow import ValidationError, fields, validate

PAGE_LIMIT = 200
DEFAULT_PAGE_LIMIT = 50


class Schema(marshmallow.Schema):
    """Base of all schemas of the API. A field that it does not know is an error, never dropped."""

    class Meta:
        unknown = marshmallow.RAISE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Refuse at start-up what would render a time without its zone's `Z`."""
        if isinstance(field_obj, fields.DateTime) and not isinstance(field_obj, UtcDateTime):
            raise TypeError(f"{type(self).__name__}.{field_name}: use web.schemas.base.UtcDateTime")

    def __deepcopy__(self, _memo: dict[int, Any]) -> Schema:
        """Itself, since nothing alters a schema that is made: the registry of routes copies what it knows many times over."""
        return self


class UtcDateTime(fields.AwareDateTime):
    """A moment, as RFC 3339 writes it. Read with any offset, kept and shown in UTC with `Z`."""

    def __init__(self, **kwargs: Any):
        super().__init__(format="iso", **kwargs)

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else rfc3339(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            return super()._deserialize(value, attr, data, **kwargs).astimezone(UTC)
        except OverflowError:
            raise ValidationError("Out of range.") from None


def rfc3339(moment: datetime) -> str:
    """A moment in UTC, for example `2026-11-21T06:20:00.123456Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class PageQuerySchema(Schema):
    """What every list accepts. A list with filters is a subclass with a field for each."""

    limit = fields.Integer(
        load_default=DEFAULT_PAGE_LIMIT,
        validate=validate.Range(min=1, max=PAGE_LIMIT),
        metadata={"description": "How many items a page holds.", "example": 50},
    )
    cursor = fields.String(
        load_default=None,
        validate=validate.Length(min=1, max=500),
        metadata={"description": "Where to go on: `next_cursor` of the page before, with the same filters."},
    )
    sort = fields.String(
        load_default="-created_at",
        validate=validate.OneOf(["created_at", "-created_at"]),
        metadata={"description": "Oldest or newest first.", "example": "-created_at"},
    )


@cache
def page_schema(item: type[marshmallow.Schema]) -> type[Schema]:
    """The envelope of a page of such items: `items`, and `next_cursor`, null on the last page."""
    name = item.__name__.removesuffix("Schema")
    attributes = {
        "__doc__": f"A page of {name} items.",
        "items": fields.List(fields.Nested(item), required=True),
        "next_cursor": fields.String(
            required=True,
            allow_none=True,
            metadata={"description": "Send it as `cursor` to get the next page; null on the last."},
        ),
    }
    return type(f"{name}PageSchema", (Schema,), attributes)
