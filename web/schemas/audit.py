"""The audit as clients read it."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import PageQuerySchema, Schema, UtcDateTime

_WORD = validate.Length(min=1, max=200)


class AuditFilterSchema(Schema):
    """Which entries."""

    actor = fields.String(
        load_default=None,
        validate=_WORD,
        metadata={"example": "user:01a1fce4-0000-7000-8000-000000000001"},
    )
    action = fields.String(load_default=None, validate=_WORD, metadata={"example": "role.updated"})
    resource = fields.String(
        load_default=None, validate=_WORD, metadata={"example": "role:01a1fce4-0000-7000-8000-000000000002"}
    )
    occurred_from = UtcDateTime(
        load_default=None, data_key="occurred_at[gte]", metadata={"description": "Then or later."}
    )
    occurred_to = UtcDateTime(
        load_default=None, data_key="occurred_at[lte]", metadata={"description": "Then or earlier."}
    )


class AuditQuerySchema(PageQuerySchema, AuditFilterSchema):
    """Which entries to list."""


class AuditExportQuerySchema(AuditFilterSchema):
    """Which entries to export, and how."""

    format = fields.String(
        load_default="ndjson",
        validate=validate.OneOf(["ndjson", "csv"]),
        metadata={"description": "JSON lines, or CSV that no spreadsheet takes for formulas.", "example": "ndjson"},
    )


class AuditEntrySchema(Schema):
    """Who did what to which object."""

    id = fields.UUID(required=True)
    occurred_at = UtcDateTime(required=True)
    actor = fields.String(
        required=True,
        metadata={
            "description": "`user:<id>`, `key:<id>`, `job:<id>`, `provider:<name>`, `system:<what>` or `anonymous`.",
            "example": "user:01a1fce4-0000-7000-8000-000000000001",
        },
    )
    user_id = fields.UUID(required=True, allow_none=True, metadata={"description": "Whom the actor acts for."})
    action = fields.String(required=True, metadata={"example": "role.updated"})
    resource = fields.String(required=True, metadata={"example": "role:01a1fce4-0000-7000-8000-000000000002"})
    before = fields.Dict(
        required=True, allow_none=True, metadata={"description": "What changed, as it was.", "example": {"name": "ops"}}
    )
    after = fields.Dict(
        required=True, allow_none=True, metadata={"description": "What changed, as it is.", "example": {"name": "dev"}}
    )
    request_id = fields.String(required=True, allow_none=True)
    address = fields.String(required=True, allow_none=True, metadata={"example": "192.0.2.7"})
    sequence = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Its place in the chain; null for the second until it is sealed.", "example": 42},
    )
    hash = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "SHA-256 over the chain up to here, in hexadecimal digits."},
    )


class AuditVerifyQuerySchema(Schema):
    """Which piece of the chain to verify."""

    after = fields.Integer(
        load_default=0,
        validate=validate.Range(min=0, max=2**53),
        metadata={"description": "Begin after this place; 0 is the beginning.", "example": 0},
    )
    limit = fields.Integer(
        load_default=1000,
        validate=validate.Range(min=1, max=5000),
        metadata={"description": "How many entries to verify at most.", "example": 1000},
    )
    head = fields.String(
        load_default=None,
        validate=validate.Regexp(r"[0-9]{1,15}:[0-9a-f]{64}\Z"),
        metadata={
            "description": "A `head` that was noted before, as `sequence:hash`: the chain must still hold it, so that it "
            "was neither cut off nor rewritten whole.",
            "example": "42:" + "0" * 64,
        },
    )


class AuditFaultSchema(Schema):
    """What proves that something was tampered with."""

    code = fields.String(
        required=True,
        metadata={
            "description": "`altered`, `missing_entry`, `missing_seal`, `never_sealed`, `removed_unsealed`, `cut_off` or "
            "`rewritten`.",
            "example": "altered",
        },
    )
    sequence = fields.Integer(required=True, allow_none=True, metadata={"example": 7})
    entry_id = fields.UUID(required=True, allow_none=True)
    detail = fields.String(required=True)


class AuditVerdictSchema(Schema):
    """What verifying a piece of the chain has found."""

    ok = fields.Boolean(required=True, metadata={"description": "Whether this piece holds."})
    checked = fields.Integer(required=True, metadata={"description": "Entries that were verified."})
    first = fields.Integer(
        required=True, metadata={"description": "What was verified comes after this place; pruned entries came before."}
    )
    head = fields.String(
        required=True,
        metadata={
            "description": "The last place verified, as `sequence:hash`. Note it elsewhere.",
            "example": "42:9f…",
        },
    )
    waiting = fields.Integer(required=True, metadata={"description": "Entries that wait to be sealed, for a second."})
    faults = fields.List(fields.Nested(AuditFaultSchema), required=True)
    next = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "`after` of the next piece; null at the end of the chain."},
    )
