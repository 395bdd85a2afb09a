"""Plans, their charges, and the meters that these price. Money is in integer minor units of `currency`."""

from __future__ import annotations

from marshmallow import ValidationError, fields, validate

from domain.billing.pricing import MODELS
from domain.billing.usage import AGGREGATIONS
from web.schemas.base import Schema, UtcDateTime

AMOUNT_LIMIT = 1_000_000_000_000
"""Minor units. Far beyond any price, far below what overflows when lines are summed."""
INTERVALS = ("day", "week", "month", "year")
CODE = validate.Regexp(r"^[a-z0-9][a-z0-9._-]{0,99}\Z", error="Lower case letters, digits, dot, dash, underscore.")
CURRENCY = validate.Regexp(r"^[A-Za-z]{3}\Z", error="Three letters, as in ISO 4217.")
_TERMS = {
    "description": "`standard`: `unit_amount`, `free_units`. `graduated`, `volume`: `tiers` of `up_to` (null in the last), "
    "`unit_amount`, `flat_amount`. `package`: `package_amount`, `package_size`, `free_units`. Decimals are strings.",
    "example": {"unit_amount": "0.25", "free_units": "1000"},
    "additionalProperties": True,
}


class MeterCreateSchema(Schema):
    """How usage events of a code become a quantity."""

    code = fields.String(required=True, validate=CODE, metadata={"example": "api-calls"})
    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "API calls"})
    aggregation = fields.String(required=True, validate=validate.OneOf(AGGREGATIONS), metadata={"example": "sum"})
    property = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=100),
        metadata={
            "description": "Which of an event's properties is summed, compared or told apart; none for `count`.",
            "example": "calls",
        },
    )


class MeterSchema(Schema):
    """A meter."""

    id = fields.UUID(required=True)
    code = fields.String(required=True, metadata={"example": "api-calls"})
    name = fields.String(required=True, metadata={"example": "API calls"})
    aggregation = fields.String(required=True, validate=validate.OneOf(AGGREGATIONS), metadata={"example": "sum"})
    property = fields.String(required=True, allow_none=True, metadata={"example": "calls"})
    created_at = UtcDateTime(required=True)


class ChargeCreateSchema(Schema):
    """The price of a meter's quantity."""

    meter = fields.String(required=True, validate=CODE, metadata={"example": "api-calls", "description": "Its code."})
    name = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=200),
        metadata={"example": "API calls", "description": "On invoices; left out, the meter's."},
    )
    model = fields.String(required=True, validate=validate.OneOf(MODELS), metadata={"example": "standard"})
    terms = fields.Dict(keys=fields.String(), required=True, metadata=_TERMS)


class ChargeSchema(Schema):
    """A charge of a plan."""

    id = fields.UUID(required=True)
    code = fields.String(required=True, metadata={"example": "api-calls", "description": "The meter's."})
    name = fields.String(required=True, metadata={"example": "API calls"})
    aggregation = fields.String(required=True, validate=validate.OneOf(AGGREGATIONS), metadata={"example": "sum"})
    model = fields.String(required=True, validate=validate.OneOf(MODELS), metadata={"example": "standard"})
    terms = fields.Dict(required=True, metadata=_TERMS)


_ENTITLEMENTS = {
    "description": "Features by name: true, a number or a text.",
    "example": {"sso": True, "seats": 5},
    "additionalProperties": True,
}
_QUOTAS = {
    "description": "The most that a period may use, by meter: a number, which only warns, or `{limit, hard}`.",
    "example": {"api-calls": 10000, "messages": {"limit": 5000, "hard": True}},
    "additionalProperties": True,
}
_MOST = validate.Range(min=0, max=2**53)


class QuotaSchema(Schema):
    """The most that a period may use. What is beyond a hard one is refused."""

    limit = fields.Integer(required=True, strict=True, validate=_MOST, metadata={"example": 5000})
    hard = fields.Boolean(load_default=False, truthy={True}, falsy={False}, metadata={"example": True})


def _check_quota(value: object) -> None:
    if isinstance(value, dict):
        faults = QuotaSchema().validate(value)
        if faults:
            raise ValidationError(faults)
    elif isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError("Not a whole number, and no object with a limit.")
    else:
        _MOST(value)


class PlanCreateSchema(Schema):
    """A fee for each `interval_count` intervals, and charges for usage. A price never changes: a new one is a new plan."""

    code = fields.String(required=True, validate=CODE, metadata={"example": "team-monthly"})
    name = fields.String(required=True, validate=validate.Length(min=1, max=200), metadata={"example": "Team"})
    amount = fields.Integer(
        required=True, strict=True, validate=validate.Range(min=0, max=AMOUNT_LIMIT), metadata={"example": 2900}
    )
    currency = fields.String(
        required=True,
        validate=CURRENCY,
        metadata={"example": "EUR", "description": "ISO 4217; kept in upper case."},
    )
    interval = fields.String(required=True, validate=validate.OneOf(INTERVALS), metadata={"example": "month"})
    interval_count = fields.Integer(
        load_default=1, strict=True, validate=validate.Range(min=1, max=366), metadata={"example": 1}
    )
    pay_in_advance = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={"description": "Bill the fee when a period begins, not when it has ended.", "example": False},
    )
    trial_days = fields.Integer(
        load_default=0, strict=True, validate=validate.Range(min=0, max=730), metadata={"example": 14}
    )
    entitlements = fields.Dict(
        keys=fields.String(validate=validate.Length(min=1, max=100)),
        values=fields.Raw(validate=lambda value: isinstance(value, str | int | bool)),
        load_default=dict,
        validate=validate.Length(max=100),
        metadata=_ENTITLEMENTS,
    )
    quotas = fields.Dict(
        keys=fields.String(validate=CODE),
        values=fields.Raw(validate=_check_quota),
        load_default=dict,
        validate=validate.Length(max=100),
        metadata=_QUOTAS,
    )
    charges = fields.List(fields.Nested(ChargeCreateSchema), load_default=list, validate=validate.Length(max=50))


class PlanSchema(Schema):
    """A plan."""

    id = fields.UUID(required=True)
    code = fields.String(required=True, metadata={"example": "team-monthly"})
    name = fields.String(required=True, metadata={"example": "Team"})
    amount = fields.Integer(required=True, metadata={"example": 2900})
    currency = fields.String(required=True, metadata={"example": "EUR"})
    interval = fields.String(required=True, validate=validate.OneOf(INTERVALS), metadata={"example": "month"})
    interval_count = fields.Integer(required=True, metadata={"example": 1})
    pay_in_advance = fields.Boolean(required=True, metadata={"example": False})
    trial_days = fields.Integer(required=True, metadata={"example": 0})
    entitlements = fields.Dict(required=True, metadata=_ENTITLEMENTS)
    quotas = fields.Dict(required=True, metadata=_QUOTAS)
    charges = fields.List(fields.Nested(ChargeSchema), required=True)
    created_at = UtcDateTime(required=True)
