"""Payloads of completion kinds."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class ChatMessageSchema(Schema):
    """One turn of the conversation."""

    role = fields.String(required=True, validate=validate.OneOf(["system", "user", "assistant"]))
    content = fields.String(required=True, validate=validate.Length(min=1, max=400_000))


class CompletionCreateSchema(Schema):
    """`model` may be left out: the provider's default is used and named in the answer. `stream` makes the text readable while
    it comes.
    """

    messages = fields.List(fields.Nested(ChatMessageSchema), required=True, validate=validate.Length(min=1, max=200))
    model = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=200))
    max_tokens = fields.Integer(load_default=1024, strict=True, validate=validate.Range(min=1, max=64_000))
    temperature = fields.Float(load_default=None, allow_none=True, validate=validate.Range(min=0, max=2))
    stream = fields.Boolean(load_default=False, truthy={True}, falsy={False})


class CompletionVerifySchema(Schema):
    """Nothing: what is verified is the tenant's configuration as it is when the job runs."""


class CompletionSweepSchema(Schema):
    """Nothing: it looks at all tenants."""


class EmbeddingCreateSchema(Schema):
    """Texts to embed. `model` may be left out: the provider's default is used and named in the answer."""

    input = fields.List(
        fields.String(required=True, validate=validate.Length(min=1, max=100_000)),
        required=True,
        validate=validate.Length(min=1, max=256),
    )
    model = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=200))
    dimensions = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=1, max=4096)
    )


class EmbedSchema(EmbeddingCreateSchema):
    """Arguments of the service `embed`, whose answer is kept nowhere: more texts at once."""

    input = fields.List(
        fields.String(required=True, validate=validate.Length(min=1, max=100_000)),
        required=True,
        validate=validate.Length(min=1, max=10_000),
    )


class GetCompletionSchema(Schema):
    """Arguments of the service `get_completion`."""

    prompt = fields.String(required=True, validate=validate.Length(min=1, max=400_000))
