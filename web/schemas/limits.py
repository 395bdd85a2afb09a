"""A tenant's share of the engine."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from domain.jobs.limits import FASTEST, HEAVIEST, LARGEST_BURST, LIGHTEST, MOST_RUNNING, SLOWEST
from web.schemas.base import Schema, UtcDateTime


class LimitsUpdateSchema(Schema):
    """All limits of a tenant. What is left out or null is no bound; the weight is 1 then."""

    weight = fields.Float(
        load_default=1.0,
        validate=validate.Range(min=LIGHTEST, max=HEAVIEST),
        metadata={
            "description": "While tenants wait, one of weight 2 gets twice the share of one of weight 1.",
            "example": 2.0,
        },
    )
    max_running = fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=validate.Range(min=1, max=MOST_RUNNING),
        metadata={"description": "Jobs dispatched or running at once.", "example": 50},
    )
    rate_per_second = fields.Float(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=SLOWEST, max=FASTEST),
        metadata={"description": "Jobs begun per second, over time.", "example": 20.0},
    )
    burst = fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=validate.Range(min=1, max=LARGEST_BURST),
        metadata={
            "description": "Of the rate, how many may begin at once; left out, what the rate gives in a second.",
            "example": 40,
        },
    )

    @validates_schema
    def _needs_rate(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("burst") is not None and data.get("rate_per_second") is None:
            raise ValidationError({"burst": ["Means something only with a rate_per_second."]})


class LimitsSchema(Schema):
    """The limits that hold for a tenant."""

    tenant_id = fields.UUID(required=True)
    weight = fields.Float(required=True, metadata={"example": 2.0})
    max_running = fields.Integer(required=True, allow_none=True, metadata={"example": 50})
    rate_per_second = fields.Float(required=True, allow_none=True, metadata={"example": 20.0})
    burst = fields.Integer(required=True, allow_none=True, metadata={"example": 40})
    updated_at = UtcDateTime(required=True, allow_none=True, metadata={"description": "Null: never set."})
    updated_by = fields.String(required=True, allow_none=True, metadata={"example": None})
