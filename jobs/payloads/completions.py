"""Payloads of completion kinds."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class ChatMessageSchema(Schema):
    """One turn of the conversation."""

    role = fields.String(required=True, validate=validate.OneOf(["system", "user", "assistant"]))
    content = fields.String(required=True, validate=validate.Length(min=1, max=400_000))


class CompletionCreateSchema(Schema):
    """`model` may be left out: the provider's default is used and named in the answer."""

    messages = fields.List(fields.Nested(ChatMessageSchema), required=True, validate=validate.Length(min=1, max=200))
    model = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=200))
    max_tokens = fields.Integer(load_default=1024, strict=True, validate=validate.Range(min=1, max=64_000))
    temperature = fields.Float(load_default=None, allow_none=True, validate=validate.Range(min=0, max=2))


class GetCompletionSchema(Schema):
    """Arguments of the service `get_completion`."""

    prompt = fields.String(required=True, validate=validate.Length(min=1, max=400_000))
