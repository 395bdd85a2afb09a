"""Completions' call log, its totals, and which provider and key a tenant uses."""

from __future__ import annotations

from marshmallow import fields, validate

from domain.completions.budgets import PERIODS
from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

PROVIDERS = ("nexus", "openai", "anthropic", "openai_compatible")
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
    ttft_ms = fields.Integer(required=True, allow_none=True, metadata={
        "description": "To the first piece of a stream.", "example": 210})  # fmt: skip
    principal = fields.String(required=True, allow_none=True, metadata={
        "description": "Who asked.", "example": "user:019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a11"})  # fmt: skip
    fallback_from = fields.String(required=True, allow_none=True, metadata={
        "description": "The target that failed before.", "example": None})  # fmt: skip
    error_code = fields.String(required=True, allow_none=True, metadata={"example": None})
    created_at = UtcDateTime(required=True)


class UsageQuerySchema(Schema):
    """`from` is the first day (UTC) and `to` the last; left out, the last 30 days."""

    from_day = fields.Date(data_key="from", load_default=None, metadata={"example": "2026-11-01"})
    to_day = fields.Date(data_key="to", load_default=None, metadata={"example": "2026-11-30"})
    by = fields.String(
        load_default="model", validate=validate.OneOf(["model", "principal"]),
        metadata={"description": "With `principal`, also by who asked: `key:<id>` or `user:<id>`.", "example": "model"},
    )  # fmt: skip
    principal = fields.String(
        load_default=None, validate=validate.Length(min=1, max=200),
        metadata={"description": "Only what this one asked for.", "example": "key:019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a21"},
    )  # fmt: skip


class UsageTotalSchema(Schema):
    """Calls of one day, model and key. Calls without a price are counted, and cost nothing in `cost_micros`."""

    day = fields.Date(required=True, metadata={"example": "2026-11-21"})
    provider = fields.String(required=True, metadata={"example": "openai"})
    model = fields.String(required=True, metadata={"example": "gpt-5-mini"})
    key_source = fields.String(required=True, metadata={"example": "tenant"})
    principal = fields.String(
        required=True, allow_none=True, metadata={"description": "Null unless totalled by it.", "example": None}
    )
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


class TargetSchema(Schema):
    """Who answers. Of a key only the last four characters are ever shown."""

    provider = fields.String(required=True, validate=validate.OneOf(PROVIDERS), metadata={"example": "openai"})
    model = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Where the caller names none.", "example": "gpt-5-mini"},
    )
    base_url = fields.String(required=True, allow_none=True, metadata={"example": None})
    api_key_last_four = fields.String(required=True, allow_none=True, metadata={"example": "w3Xq"})


class LlmConfigSchema(TargetSchema):
    """Who answers completions, who comes next when that one cannot, and the limits by the minute; null is no limit."""

    fallbacks = fields.List(fields.Nested(TargetSchema), required=True)
    requests_per_minute = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    tokens_per_minute = fields.Integer(required=True, allow_none=True, metadata={"example": None})


class TargetUpdateSchema(Schema):
    """`nexus` uses the platform's keys. The others use yours; leave `api_key` out to keep the present one."""

    provider = fields.String(required=True, validate=validate.OneOf(PROVIDERS), metadata={"example": "openai"})
    model = fields.String(
        load_default=None, allow_none=True, validate=validate.Length(min=1, max=200), metadata={"example": "gpt-5-mini"}
    )
    base_url = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=2000),
        metadata={"description": "Of an `openai_compatible` server.", "example": None},
    )
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


class LlmConfigUpdateSchema(TargetUpdateSchema):
    """The first target, and who comes next. Limits count what begins in a minute; tokens as far as can be foreseen."""

    fallbacks = fields.List(
        fields.Nested(TargetUpdateSchema), load_default=list, validate=validate.Length(max=4), metadata={"example": []}
    )
    requests_per_minute = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=1, max=1_000_000),
        metadata={"example": 600},
    )  # fmt: skip
    tokens_per_minute = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=1, max=1_000_000_000),
        metadata={"example": None},
    )  # fmt: skip


class ModelSchema(Schema):
    """A model. Prices are in millionths of a US dollar for a million tokens."""

    provider = fields.String(required=True, metadata={"example": "openai"})
    id = fields.String(required=True, metadata={"example": "gpt-5.4-mini"})
    name = fields.String(required=True, metadata={"example": "GPT-5.4 mini"})
    context_window = fields.Integer(required=True, allow_none=True, metadata={"example": 400000})
    input_micros = fields.Integer(required=True, allow_none=True, metadata={"example": 750000})
    cached_input_micros = fields.Integer(required=True, allow_none=True, metadata={"example": 75000})
    output_micros = fields.Integer(required=True, allow_none=True, metadata={"example": 4500000})
    price_version = fields.String(required=True, metadata={"example": "genai-prices 1.0.0"})


class ModelListSchema(Schema):
    """Models by provider and id."""

    items = fields.List(fields.Nested(ModelSchema), required=True)


class BudgetCreateSchema(Schema):
    """At most so much in a period, for all calls or for those on one key source, or by one caller."""

    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "team"})
    period = fields.String(
        required=True,
        validate=validate.OneOf(PERIODS),
        metadata={"description": "By UTC; `total` never begins anew.", "example": "month"},
    )
    limit_micros = fields.Integer(
        required=True, strict=True, validate=validate.Range(min=1, max=10**15),
        metadata={"description": "Millionths of a US dollar.", "example": 50_000_000},
    )  # fmt: skip
    key_source = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(KEY_SOURCES), metadata={"example": "platform"}
    )
    principal = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Regexp(r"^(user|key):[0-9a-f-]{36}\Z", error="Must be user:<id> or key:<id>."),
        metadata={"example": None, "description": "`key:<id>` of an API key, or `user:<id>`."},
    )


class BudgetSchema(BudgetCreateSchema):
    """A budget and what was spent of it in the present period. What open calls have reserved comes on top."""

    id = fields.UUID(required=True)
    spent_micros = fields.Integer(required=True, metadata={"example": 1250})
    reserved_micros = fields.Integer(required=True, metadata={"example": 0})
    period_start = UtcDateTime(required=True)
    created_at = UtcDateTime(required=True)


class PriceCreateSchema(Schema):
    """What the tenant pays on its own key for a model: millionths of a US dollar for a million tokens."""

    provider = fields.String(
        required=True, validate=validate.OneOf(PROVIDERS[1:]), metadata={"example": "openai_compatible"}
    )
    model = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "llama-4"})
    input_micros = fields.Integer(
        required=True, strict=True, validate=validate.Range(min=0, max=10**12), metadata={"example": 200_000}
    )
    cached_input_micros = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=0, max=10**12),
        metadata={"description": "Null: as all input.", "example": None},
    )  # fmt: skip
    output_micros = fields.Integer(
        required=True, strict=True, validate=validate.Range(min=0, max=10**12), metadata={"example": 600_000}
    )


class PriceSchema(PriceCreateSchema):
    """A price of the tenant's own. The call log names it `own` with its version."""

    id = fields.UUID(required=True)
    version = fields.Integer(required=True, metadata={"example": 1})
    created_at = UtcDateTime(required=True)
