"""Completions' call log, its totals, and which provider and key a tenant uses."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

PROVIDERS = ("nexus", "openai", "anthropic")
KEY_SOURCES = ("platform", "tenant", "sandbox")


class ApiCallFilterSchema(PageQuerySchema):
    """Which calls a list shows."""

    job_id = fields.UUID()
    provider = fields.String(validate=validate.Length(min=1, max=100), metadata={"example": "openai"})
    key_source = fields.String(validate=validate.OneOf(KEY_SOURCES), metadata={"example": "tenant"})


class ApiCallSchema(Schema):
    """One attempt at a language model. `cost_micros` is in millionths of a US dollar, null if the model has no price."""

    id = fields.UUID(required=True)
    job_id = fields.UUID(required=True)
    attempt = fields.Integer(required=True, metadata={"example": 1})
    operation = fields.String(required=True, metadata={"example": "chat"})
    provider = fields.String(required=True, metadata={"example": "openai"})
    request_model = fields.String(required=True, metadata={"example": "gpt-5-mini"})
    response_model = fields.String(required=True, allow_none=True)
    response_id = fields.String(required=True, allow_none=True)
    finish_reason = fields.String(required=True, allow_none=True, metadata={"example": "stop"})
    input_tokens = fields.Integer(required=True, allow_none=True, metadata={"example": 120})
    cached_input_tokens = fields.Integer(required=True, allow_none=True, metadata={"example": 0})
    output_tokens = fields.Integer(required=True, allow_none=True, metadata={"example": 48})
    usage_source = fields.String(required=True, allow_none=True, metadata={"example": "reported"})
    cost_micros = fields.Integer(required=True, allow_none=True, metadata={"example": 126})
    price_version = fields.String(required=True, allow_none=True)
    key_source = fields.String(required=True, metadata={"example": "tenant"})
    duration_ms = fields.Integer(required=True, metadata={"example": 830})
    error_code = fields.String(required=True, allow_none=True, metadata={"example": None})
    created_at = UtcDateTime(required=True)


class UsageQuerySchema(Schema):
    """`from` is the first day (UTC) and `to` the last; left out, the last 30 days."""

    from_day = fields.Date(data_key="from", load_default=None, metadata={"example": "2026-11-01"})
    to_day = fields.Date(data_key="to", load_default=None, metadata={"example": "2026-11-30"})


class UsageTotalSchema(Schema):
    """Calls of one day, model and key. Calls without a price are counted, and cost nothing in `cost_micros`."""

    day = fields.Date(required=True, metadata={"example": "2026-11-21"})
    provider = fields.String(required=True, metadata={"example": "openai"})
    model = fields.String(required=True, metadata={"example": "gpt-5-mini"})
    key_source = fields.String(required=True, metadata={"example": "tenant"})
    calls = fields.Integer(required=True, metadata={"example": 12})
    failed_calls = fields.Integer(required=True, metadata={"example": 1})
    unpriced_calls = fields.Integer(required=True, metadata={"example": 0})
    input_tokens = fields.Integer(required=True, metadata={"example": 1440})
    cached_input_tokens = fields.Integer(required=True, metadata={"example": 0})
    output_tokens = fields.Integer(required=True, metadata={"example": 576})
    cost_micros = fields.Integer(required=True, metadata={"example": 1512})


class UsageSchema(Schema):
    """Totals of a period, both days included. Costs are in millionths of `currency`."""

    from_day = fields.Date(data_key="from", required=True, metadata={"example": "2026-11-01"})
    to_day = fields.Date(data_key="to", required=True, metadata={"example": "2026-11-30"})
    currency = fields.String(required=True, metadata={"example": "USD"})
    items = fields.List(fields.Nested(UsageTotalSchema), required=True)


class LlmConfigSchema(Schema):
    """Who answers completions. Of a key only the last four characters are ever shown."""

    provider = fields.String(required=True, validate=validate.OneOf(PROVIDERS), metadata={"example": "openai"})
    api_key_last_four = fields.String(required=True, allow_none=True, metadata={"example": "w3Xq"})


class LlmConfigUpdateSchema(Schema):
    """`nexus` uses the platform's keys. `openai` and `anthropic` use yours; leave `api_key` out to keep the present one."""

    provider = fields.String(required=True, validate=validate.OneOf(PROVIDERS), metadata={"example": "openai"})
    api_key = fields.String(
        load_default=None,
        allow_none=True,
        load_only=True,
        validate=[
            validate.Length(min=8, max=500),
            validate.Regexp(r"^[\x21-\x7e]*\Z", error="Must be printable ASCII without spaces."),
        ],
        metadata={"example": "sk-EXAMPLE-0000", "format": "password"},
    )
