"""Templates, their versions and variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from domain.notifications.channels import CHANNELS
from domain.notifications.templates import PARTS, SOURCE_LIMIT, variables
from jobs.payloads.notifications import KEY, LOCALE
from web.schemas.base import Schema, UtcDateTime

_LONG = validate.Length(min=1, max=SOURCE_LIMIT)


class VariantSchema(Schema):
    """What one channel says in one locale, as Jinja."""

    channel = fields.String(required=True, validate=validate.OneOf(CHANNELS), metadata={"example": "email"})
    locale = fields.String(load_default="en", validate=[validate.Length(max=20), LOCALE], metadata={"example": "en"})
    subject = fields.String(
        load_default=None, allow_none=True, validate=_LONG, metadata={"example": "Hello {{ name }}"}
    )
    text = fields.String(required=True, validate=_LONG, metadata={"example": "Hello {{ name }}, welcome."})
    html = fields.String(load_default=None, allow_none=True, validate=_LONG)

    @validates_schema(skip_on_field_errors=True)
    def _can_be_read(self, data: Mapping[str, Any], **_: Any) -> None:
        errors: dict[str, list[str]] = {}
        for part in PARTS:
            try:
                variables([data[part] or ""])
            except ValueError as error:
                errors[part] = [str(error)]
        if data["channel"] != "sms" and data["subject"] is None:
            errors["subject"] = ["Missing data for required field."]
        if data["subject"] is not None and any(sign in data["subject"] for sign in "\r\n"):
            errors["subject"] = ["Must not contain line breaks."]
        if data["channel"] != "email" and data["html"] is not None:
            errors["html"] = ["Only mails have HTML."]
        if errors:
            raise ValidationError(errors)


class TemplatePutSchema(Schema):
    """A template's whole content; putting it makes a new version."""

    category = fields.String(
        load_default="", validate=validate.Regexp(r"([a-z0-9][a-z0-9._-]{0,99})?\Z"), metadata={"example": "billing"}
    )
    default_locale = fields.String(
        load_default="en", validate=[validate.Length(max=20), LOCALE],
        metadata={"description": "Used where there is no variant in the recipient's language.", "example": "en"},
    )  # fmt: skip
    variants = fields.List(fields.Nested(VariantSchema), required=True, validate=validate.Length(min=1, max=100))

    @validates_schema(skip_on_field_errors=True)
    def _each_once(self, data: Mapping[str, Any], **_: Any) -> None:
        seen: set[tuple[str, str]] = set()
        for place, variant in enumerate(data["variants"]):
            named = (variant["channel"], variant["locale"])
            if named in seen:
                raise ValidationError(
                    {"variants": {place: {"locale": ["There is one for this channel and locale already."]}}}
                )
            seen.add(named)


class TemplateCreateSchema(TemplatePutSchema):
    """A new template under a key of the tenant's own."""

    key = fields.String(required=True, validate=KEY, metadata={"example": "welcome"})


class TemplateSchema(Schema):
    """A template, without its content."""

    id = fields.UUID(required=True)
    key = fields.String(required=True, metadata={"example": "welcome"})
    category = fields.String(required=True, metadata={"example": "billing"})
    default_locale = fields.String(required=True, metadata={"example": "en"})
    version = fields.Integer(required=True, metadata={"example": 1})
    created_at = UtcDateTime(required=True)
    updated_at = UtcDateTime(required=True)


class TemplateDetailSchema(TemplateSchema):
    """A template with the content of one version."""

    number = fields.Integer(required=True, metadata={"description": "The version that is shown.", "example": 1})
    variants = fields.List(fields.Nested(VariantSchema), required=True)
    variables = fields.List(
        fields.String(), required=True, metadata={"description": "Names that the data must hold.", "example": ["name"]}
    )


class TemplateVersionSchema(Schema):
    """One version in a list."""

    number = fields.Integer(required=True, metadata={"example": 1})
    variables = fields.List(fields.String(), required=True, metadata={"example": ["name"]})
    created_at = UtcDateTime(required=True)


class TemplateVersionListSchema(Schema):
    """Versions, the newest first; at most 200."""

    items = fields.List(fields.Nested(TemplateVersionSchema), required=True)


class VersionQuerySchema(Schema):
    """Which version to show."""

    number = fields.Integer(
        load_default=None,
        validate=validate.Range(min=1, max=1_000_000),
        metadata={"description": "Left out, the present one."},
    )


class TemplatePreviewSchema(Schema):
    """What to render, and with which data."""

    channel = fields.String(load_default="email", validate=validate.OneOf(CHANNELS), metadata={"example": "email"})
    locale = fields.String(load_default="en", validate=[validate.Length(max=20), LOCALE], metadata={"example": "en"})
    number = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=1, max=1_000_000)
    )
    data = fields.Dict(
        keys=fields.String(), load_default=dict, metadata={"additionalProperties": True, "example": {"name": "Ada"}}
    )
