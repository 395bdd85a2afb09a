"""Payloads of notification kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from domain.notifications.channels import CHANNELS, normal_address
from domain.notifications.templates import is_locale

SUBJECT_LIMIT = 998
"""RFC 5322, section 2.1.1."""
RECIPIENTS_LIMIT = 100
AUDIENCE_LIMIT = 10_000
REPORT_LIMIT = 400_000
"""Characters. SNS delivers at most 256 KiB."""
DATA_LIMIT = 50
"""Values at the top of a template's data."""

KEY = validate.Regexp(
    r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}\Z", error="Letters, digits, dot, dash, colon, underscore; at most 100."
)
EXTERNAL_ID = validate.Regexp(r"[A-Za-z0-9._:@+~=-]{1,200}\Z", error="1 to 200 letters, digits or . _ : @ + ~ = -")


def _locale(text: str) -> None:
    if not is_locale(text):
        raise ValidationError("Must be a language tag such as `de` or `de-AT`.")


LOCALE = _locale


class ContentSchema(Schema):
    """What to say: a text, or a template with its data."""

    subject = fields.String(
        load_default=None,
        allow_none=True,
        validate=[
            validate.Length(min=1, max=SUBJECT_LIMIT),
            validate.ContainsNoneOf("\r\n", error="Must not contain line breaks."),
        ],
        metadata={"example": "Your invoice"},
    )
    text = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=200_000),
        metadata={"example": "Hello Ada"},
    )
    html = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=500_000))
    template = fields.String(
        load_default=None,
        allow_none=True,
        validate=KEY,
        metadata={"description": "A template's key, instead of a text."},
    )
    template_version = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=1, max=1_000_000),
        metadata={"description": "Left out, the present one."},
    )  # fmt: skip
    data = fields.Dict(
        keys=fields.String(validate=validate.Length(min=1, max=100)), load_default=dict,
        validate=validate.Length(max=DATA_LIMIT),
        metadata={"description": "What the template's variables stand for.", "additionalProperties": True, "example": {}},
    )  # fmt: skip
    locale = fields.String(
        load_default=None, allow_none=True, validate=[validate.Length(max=20), LOCALE], metadata={"example": "en"}
    )
    category = fields.String(
        load_default="", validate=validate.Regexp(r"([a-z0-9][a-z0-9._-]{0,99})?\Z"),
        metadata={"description": "What it is about; preferences and unsubscribing go by it.", "example": "billing"},
    )  # fmt: skip
    critical = fields.Boolean(
        load_default=False,
        metadata={"description": "Sent whatever the recipient has chosen and whatever the time is, unless suppressed."},
    )

    @validates_schema(skip_on_field_errors=False)
    def _one_source(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("template") is not None:
            given = [name for name in ("subject", "text", "html") if data.get(name) is not None]
            if given:
                raise ValidationError({name: ["The template says it; leave this out."] for name in given})
        elif data.get("template_version") is not None or data.get("data"):
            raise ValidationError({"template": ["Missing data for required field."]})


class NotificationDeliverSchema(ContentSchema):
    """One message to one address. `html` is sent beside `text` as an alternative.

    `to` is an email address, a number in E.164, the id of a device, or for the channel `in_app` the recipient's name.
    """

    channel = fields.String(load_default="email", validate=validate.OneOf(CHANNELS), metadata={"example": "email"})
    to = fields.String(required=True, validate=validate.Length(min=1, max=320), metadata={"example": "ada@example.com"})
    recipient_id = fields.UUID(load_default=None, allow_none=True)
    notification_id = fields.UUID(load_default=None, allow_none=True)
    message_id = fields.UUID(load_default=None, allow_none=True)

    @validates_schema(skip_on_field_errors=False)
    def _fits_its_channel(self, data: Mapping[str, Any], **_: Any) -> None:
        errors = content_errors(data, [data["channel"]] if "channel" in data else [])
        try:
            if "to" in data and "channel" in data:
                checked_address(data["channel"], data["to"])
        except ValueError as error:
            errors["to"] = [str(error)]
        if errors:
            raise ValidationError(errors)


class NotificationSendSchema(ContentSchema):
    """One notification to several people over several channels; each address gets a message of its own."""

    recipients = fields.List(
        fields.String(validate=EXTERNAL_ID), required=True, validate=validate.Length(min=1, max=RECIPIENTS_LIMIT),
        metadata={"example": ["user-42"]},
    )  # fmt: skip
    channels = fields.List(
        fields.String(validate=validate.OneOf(CHANNELS)), required=True, validate=validate.Length(min=1, max=len(CHANNELS)),
        metadata={"example": ["email", "in_app"]},
    )  # fmt: skip

    @validates_schema(skip_on_field_errors=False)
    def _fits_its_channels(self, data: Mapping[str, Any], **_: Any) -> None:
        errors = content_errors(data, data.get("channels", []))
        if errors:
            raise ValidationError(errors)


class AudienceSchema(Schema):
    """To whom a broadcast goes: to everyone, or to those who match all that is given."""

    recipients = fields.List(
        fields.String(validate=EXTERNAL_ID),
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=AUDIENCE_LIMIT),
    )
    attributes = fields.Dict(
        keys=fields.String(validate=validate.Length(min=1, max=100)), load_default=dict, validate=validate.Length(max=20),
        metadata={"description": "Values that the recipient's attributes must have.", "example": {"plan": "team"},
                  "additionalProperties": True},
    )  # fmt: skip


class NotificationBroadcastSchema(ContentSchema):
    """One message to many. Each recipient's attributes stand in the template's data as `recipient`."""

    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "Spring news"})
    channel = fields.String(load_default="email", validate=validate.OneOf(CHANNELS), metadata={"example": "email"})
    audience = fields.Nested(AudienceSchema, required=True, metadata={"example": {}})

    @validates_schema(skip_on_field_errors=False)
    def _fits_its_channel(self, data: Mapping[str, Any], **_: Any) -> None:
        errors = content_errors(data, [data["channel"]] if "channel" in data else [])
        if errors:
            raise ValidationError(errors)


class NotificationBatchSchema(Schema):
    """A broadcast's recipients with ids beyond `after` and up to `through`; with `held`, those whose messages were held."""

    broadcast_id = fields.UUID(required=True)
    after = fields.UUID(required=True)
    through = fields.UUID(required=True)
    held = fields.Boolean(load_default=False)


class NotificationPreviewSchema(Schema):
    """A variant of a template to render with data, without sending it."""

    subject = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=200_000))
    text = fields.String(required=True, validate=validate.Length(min=1, max=200_000))
    html = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=200_000))
    data = fields.Dict(load_default=dict, metadata={"additionalProperties": True})


class NotificationReportSchema(Schema):
    """What Amazon SNS delivered to the callback address of an account, as it came."""

    account_id = fields.UUID(required=True)
    body = fields.String(required=True, validate=validate.Length(min=2, max=REPORT_LIMIT))


def content_errors(data: Mapping[str, Any], channels: list[str]) -> dict[str, list[str]]:
    """What is missing or out of place for these channels."""
    if data.get("template") is not None:
        return {}
    errors: dict[str, list[str]] = {}
    if "text" in data and data["text"] is None:
        errors["text"] = ["Missing data for required field, unless a template says it."]
    if "subject" in data and data["subject"] is None and set(channels) & {"email", "push", "in_app"}:
        errors["subject"] = ["Missing data for required field."]
    if data.get("html") is not None and channels and "email" not in channels:
        errors["html"] = ["Only mails have HTML."]
    return errors


def checked_address(channel: str, text: str) -> str:
    """The address in its one spelling. Raises `ValueError`."""
    if channel == "push":
        try:
            return str(UUID(text))
        except ValueError:
            raise ValueError("Must be the id of a device.") from None
    return normal_address(channel, text)
