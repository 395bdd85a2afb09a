"""Choices of recipients and tenants, quiet hours, suppressions."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate

from domain.notifications.channels import CHANNELS
from domain.notifications.decision import REASONS
from domain.notifications.failover import PLATFORM_USES
from domain.notifications.quiet_hours import zone_named
from jobs.payloads.notifications import LOCALE
from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

_CLOCK = validate.Regexp(r"([01][0-9]|2[0-3]):[0-5][0-9]\Z", error="Must be a time like 22:30.")
_CHANNEL = validate.OneOf([*CHANNELS, "*"])
_CATEGORY = validate.Regexp(r"[a-z0-9][a-z0-9._-]{0,99}\Z")


def zone(text: str) -> None:
    """Raise `ValidationError` unless it names a time zone."""
    try:
        zone_named(text)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class QuietHoursSchema(Schema):
    """From `start` to `end` on the recipient's clock; over midnight if `end` is earlier."""

    start = fields.String(required=True, validate=_CLOCK, metadata={"example": "22:00"})
    end = fields.String(required=True, validate=_CLOCK, metadata={"example": "07:00"})
    days = fields.List(
        fields.Integer(strict=True, validate=validate.Range(min=0, max=6)), load_default=lambda: list(range(7)),
        validate=validate.Length(min=1, max=7),
        metadata={"description": "Weekdays on which they begin, Monday is 0.", "example": [0, 1, 2, 3, 4, 5, 6]},
    )  # fmt: skip


class ChoicesSchema(Schema):
    """Yes or no by channel, and by category and channel; `*` stands for every channel that is not named."""

    channels = fields.Dict(
        keys=fields.String(validate=_CHANNEL),
        values=fields.Boolean(),
        load_default=dict,
        metadata={"example": {"sms": False}},
    )
    categories = fields.Dict(
        keys=fields.String(validate=_CATEGORY),
        values=fields.Dict(keys=fields.String(validate=_CHANNEL), values=fields.Boolean()),
        load_default=dict, validate=validate.Length(max=200), metadata={"example": {"billing": {"email": True}}},
    )  # fmt: skip


class PreferencesSchema(ChoicesSchema):
    """What a recipient has chosen. `quiet_hours` null follows the tenant's; `timezone` null, the tenant's zone."""

    quiet_hours = fields.Nested(QuietHoursSchema, load_default=None, allow_none=True)
    timezone = fields.String(
        load_default=None,
        allow_none=True,
        validate=[validate.Length(max=100), zone],
        metadata={"example": "Europe/Berlin"},
    )
    locale = fields.String(
        load_default=None, allow_none=True, validate=[validate.Length(max=20), LOCALE], metadata={"example": "de"}
    )


class NotificationSettingsSchema(ChoicesSchema):
    """The tenant's defaults, and when the platform's own providers serve it."""

    quiet_hours = fields.Nested(QuietHoursSchema, load_default=None, allow_none=True)
    timezone = fields.String(
        load_default="UTC", validate=[validate.Length(max=100), zone], metadata={"example": "Europe/Berlin"}
    )
    locale = fields.String(load_default="en", validate=[validate.Length(max=20), LOCALE], metadata={"example": "en"})
    platform_providers = fields.String(
        load_default="when_none", validate=validate.OneOf(PLATFORM_USES),
        metadata={"description": "Where the tenant has no provider of its own (`when_none`), also after its own failed "
                  "(`fallback`), or `never`.", "example": "when_none"},
    )  # fmt: skip


class SuppressionCreateSchema(Schema):
    """An address that must not be written to; with a category, not about that."""

    channel = fields.String(required=True, validate=validate.OneOf(["email", "sms"]), metadata={"example": "email"})
    address = fields.String(
        required=True, validate=validate.Length(min=1, max=320), metadata={"example": "ada@example.com"}
    )
    category = fields.String(
        load_default="", validate=validate.Regexp(r"([a-z0-9][a-z0-9._-]{0,99})?\Z"), metadata={"example": ""}
    )
    reason = fields.String(load_default="manual", validate=validate.OneOf(REASONS), metadata={"example": "manual"})


class SuppressionSchema(SuppressionCreateSchema):
    """A suppression, and the message that led to it, if one did."""

    id = fields.UUID(required=True)
    message_id = fields.UUID(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)


class SuppressionFilterSchema(PageQuerySchema):
    """Which suppressions a list shows."""

    channel = fields.String(validate=validate.OneOf(["email", "sms"]), metadata={"example": "email"})
    address = fields.String(validate=validate.Length(min=1, max=320), metadata={"example": "ada@example.com"})
    reason = fields.String(validate=validate.OneOf(REASONS), metadata={"example": "hard_bounce"})


def choices(loaded: dict[str, Any]) -> dict[str, Any]:
    """The part of a loaded schema that is kept as preferences."""
    return {"channels": loaded["channels"], "categories": loaded["categories"]}
