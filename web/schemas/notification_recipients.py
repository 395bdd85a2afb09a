"""Recipients, their devices and their feeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from domain.notifications.channels import normal_email, normal_phone
from jobs.payloads.notifications import EXTERNAL_ID, LOCALE
from web.schemas.base import PageQuerySchema, Schema, UtcDateTime
from web.schemas.notification_preferences import zone

ATTRIBUTES_LIMIT = 8_000
"""Characters of a recipient's attributes as JSON."""
BULK_LIMIT = 1_000


class RecipientPutSchema(Schema):
    """A person whom the tenant writes to. `attributes` choose audiences and stand in templates as `recipient`."""

    email = fields.String(load_default=None, allow_none=True, metadata={"example": "ada@example.com"})
    phone = fields.String(load_default=None, allow_none=True, metadata={"example": "+491701234567"})
    locale = fields.String(
        load_default=None, allow_none=True, validate=[validate.Length(max=20), LOCALE], metadata={"example": "de"}
    )
    timezone = fields.String(
        load_default=None,
        allow_none=True,
        validate=[validate.Length(max=100), zone],
        metadata={"example": "Europe/Berlin"},
    )
    attributes = fields.Dict(
        keys=fields.String(validate=validate.Length(min=1, max=100)), load_default=dict,
        metadata={"example": {"name": "Ada", "plan": "team"}, "additionalProperties": True},
    )  # fmt: skip

    @validates_schema(skip_on_field_errors=False)
    def _addresses(self, data: Mapping[str, Any], **_: Any) -> None:
        errors: dict[str, list[str]] = {}
        for name, normal in (("email", normal_email), ("phone", normal_phone)):
            try:
                if isinstance(data.get(name), str):
                    normal(data[name])
            except ValueError as error:
                errors[name] = [str(error)]
        if len(json.dumps(data.get("attributes") or {})) > ATTRIBUTES_LIMIT:
            errors["attributes"] = [f"Must have at most {ATTRIBUTES_LIMIT} characters as JSON."]
        if errors:
            raise ValidationError(errors)


class RecipientBulkItemSchema(RecipientPutSchema):
    """A recipient with the tenant's own name for it."""

    external_id = fields.String(required=True, validate=EXTERNAL_ID, metadata={"example": "user-42"})


class RecipientBulkSchema(Schema):
    """Up to 1000 recipients to create or replace."""

    items = fields.List(
        fields.Nested(RecipientBulkItemSchema), required=True, validate=validate.Length(min=1, max=BULK_LIMIT)
    )


class RecipientBulkResultSchema(Schema):
    """How many were written."""

    stored = fields.Integer(required=True, metadata={"example": 1000})


class RecipientSchema(RecipientPutSchema):
    """A recipient as it is kept."""

    id = fields.UUID(required=True)
    external_id = fields.String(required=True, metadata={"example": "user-42"})
    created_at = UtcDateTime(required=True)
    updated_at = UtcDateTime(required=True)


class RecipientFilterSchema(PageQuerySchema):
    """Which recipients a list shows."""

    email = fields.String(validate=validate.Length(min=1, max=320), metadata={"example": "ada@example.com"})
    phone = fields.String(validate=validate.Length(min=1, max=20), metadata={"example": "+491701234567"})


class WebPushKeysSchema(Schema):
    """Keys of a browser's subscription, as it gives them."""

    p256dh = fields.String(required=True, validate=validate.Regexp(r"B[A-Za-z0-9_-]{86}\Z"))
    auth = fields.String(required=True, validate=validate.Regexp(r"[A-Za-z0-9_-]{22}\Z"))


class DeviceCreateSchema(Schema):
    """A browser's subscription (`web_push`) or a registration token (`fcm`)."""

    kind = fields.String(required=True, validate=validate.OneOf(["web_push", "fcm"]), metadata={"example": "fcm"})
    token = fields.String(
        load_default=None, allow_none=True, validate=validate.Regexp(r"[A-Za-z0-9_:%-]{20,4096}\Z"),
        metadata={"example": "fRz3sPq5T0e:APA91bHexampletoken"},
    )  # fmt: skip
    endpoint = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=2000))
    keys = fields.Nested(WebPushKeysSchema, load_default=None, allow_none=True)

    @validates_schema
    def _whole(self, data: Mapping[str, Any], **_: Any) -> None:
        wanted, other = (
            (("token",), ("endpoint", "keys")) if data["kind"] == "fcm" else (("endpoint", "keys"), ("token",))
        )
        errors = {name: ["Missing data for required field."] for name in wanted if data[name] is None}
        errors |= {
            name: [f"Not of a device of this kind ({data['kind']})."] for name in other if data[name] is not None
        }
        if errors:
            raise ValidationError(errors)


class DeviceSchema(Schema):
    """A device. Its address is a secret; the last four characters tell it from others."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True, metadata={"example": "fcm"})
    last_four = fields.String(required=True, metadata={"example": "oken"})
    gone_at = UtcDateTime(
        required=True, allow_none=True, metadata={"description": "When its provider said that it has unsubscribed."}
    )
    created_at = UtcDateTime(required=True)


class FeedCountSchema(Schema):
    """How many messages of a feed wait."""

    unseen = fields.Integer(required=True, metadata={"example": 2})
    unread = fields.Integer(required=True, metadata={"example": 3})


class FeedFilterSchema(PageQuerySchema):
    """Which messages of a feed are shown."""

    unread = fields.Boolean(
        load_default=False, metadata={"description": "Only those that are not read.", "example": False}
    )
