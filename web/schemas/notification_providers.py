"""The tenant's own provider accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from domain.notifications.provider_types import TYPES
from web.schemas.base import Schema

_NAME = validate.Regexp(r"[a-z0-9][a-z0-9-]{0,49}\Z", error="Lower case letters, digits and dashes; at most 50.")


class NotificationProviderPutSchema(Schema):
    """An account. Leave a secret out to keep the one that is there."""

    name = fields.String(required=True, validate=_NAME, metadata={"example": "main"})
    type = fields.String(required=True, validate=validate.OneOf(list(TYPES)), metadata={"example": "smtp"})
    priority = fields.Integer(
        load_default=10, strict=True, validate=validate.Range(min=0, max=1000),
        metadata={"description": "Lower ones are asked first.", "example": 10},
    )  # fmt: skip
    enabled = fields.Boolean(load_default=True)
    config = fields.Dict(
        keys=fields.String(), load_default=dict,
        metadata={"example": {"host": "smtp.example.com", "from": "Acme <no-reply@example.com>"}, "additionalProperties": True},
    )  # fmt: skip
    secrets = fields.Dict(
        keys=fields.String(), values=fields.String(validate=validate.Length(min=1, max=20_000)), load_default=dict,
        load_only=True, metadata={"example": {"password": "correct horse battery"}},
    )  # fmt: skip


class NotificationProviderSchema(NotificationProviderPutSchema):
    """An account as it is shown: of secrets only the last four characters."""

    class Meta(Schema.Meta):
        exclude = ("secrets",)

    id = fields.UUID(required=True)
    channel = fields.String(required=True, metadata={"example": "email"})
    last_four = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, metadata={"example": {"password": "tery"}}
    )
    callback_url = fields.String(
        required=True, metadata={"description": "Where the provider reports what became of messages."}
    )


class NotificationProviderListPutSchema(Schema):
    """All of the tenant's accounts; those that are not named are removed."""

    items = fields.List(fields.Nested(NotificationProviderPutSchema), required=True, validate=validate.Length(max=50))

    @validates_schema(skip_on_field_errors=True)
    def _names_once(self, data: Mapping[str, Any], **_: Any) -> None:
        seen: set[str] = set()
        for place, each in enumerate(data["items"]):
            if each["name"] in seen:
                raise ValidationError({"items": {place: {"name": ["Stands in the list before."]}}})
            seen.add(each["name"])


class NotificationProviderListSchema(Schema):
    """The tenant's accounts by channel and priority."""

    items = fields.List(fields.Nested(NotificationProviderSchema), required=True)
