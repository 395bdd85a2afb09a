"""Schedules as clients keep and read them."""

from __future__ import annotations

from datetime import UTC, datetime

from marshmallow import fields, validate

from domain.schedules.cron import LONGEST
from domain.schedules.missed import Missed
from domain.schedules.reasons import Reason
from web.schemas.base import Schema, UtcDateTime

PREVIEWED = 5
"""Firings that one schedule shows, and a preview unless it asks for more."""
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class RhythmSchema(Schema):
    """When to fire."""

    cron = fields.String(
        required=True,
        validate=validate.Length(min=1, max=LONGEST),
        metadata={
            "description": "Minute, hour, day of the month, month, day of the week as crontab(5) writes them; or "
            "`@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.",
            "example": "30 7 * * MON-FRI",
        },
    )
    timezone = fields.String(
        load_default="UTC",
        validate=validate.Length(min=1, max=100),
        metadata={"description": "IANA name of the zone whose wall clock counts.", "example": "Europe/Berlin"},
    )


class SchedulePutSchema(RhythmSchema):
    """A schedule's whole definition."""

    name = fields.String(
        required=True,
        validate=validate.Length(min=1, max=100),
        metadata={"description": "Unique in the tenant.", "example": "morning ping"},
    )
    kind = fields.String(required=True, validate=validate.Length(min=1, max=100), metadata={"example": "system.ping"})
    payload = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={"example": {"message": "good morning"}, "additionalProperties": True},
    )
    missed = fields.Enum(
        Missed,
        by_value=True,
        load_default=Missed.LAST,
        metadata={
            "description": "What to do about periods that passed unfired for over a minute: nothing (`skip`), run once "
            "for the last of them (`last`), or run once for each (`all`).",
            "example": "last",
        },
    )
    priority = fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=validate.Range(min=-100, max=100),
        metadata={"description": "Of its jobs; null: the kind's own.", "example": 0},
    )


class ScheduleSchema(Schema):
    """A schedule. It rests if `enabled` is false, and `disabled_reason` says why."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "morning ping"})
    kind = fields.String(required=True, metadata={"example": "system.ping"})
    cron = fields.String(required=True, metadata={"example": "30 7 * * MON-FRI"})
    timezone = fields.String(required=True, metadata={"example": "Europe/Berlin"})
    missed = fields.String(
        required=True, validate=validate.OneOf([each.value for each in Missed]), metadata={"example": "last"}
    )
    priority = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    enabled = fields.Boolean(required=True, metadata={"example": True})
    disabled_reason = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf([each.value for each in Reason]),
        metadata={"example": None},
    )
    principal = fields.String(
        required=True,
        metadata={
            "description": "On whose behalf its jobs run: whoever created, replaced or resumed it last.",
            "example": "user:019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a11",
        },
    )
    next_at = UtcDateTime(
        required=True, allow_none=True, metadata={"description": "The earliest period that was not fired yet."}
    )
    last_fired_at = UtcDateTime(
        required=True, allow_none=True, metadata={"description": "The latest period that was fired."}
    )
    last_job_id = fields.UUID(
        required=True, allow_none=True, metadata={"description": "Its job, which may be past its retention."}
    )
    created_at = UtcDateTime(required=True)
    updated_at = UtcDateTime(required=True, metadata={"description": "When it was last edited."})


class ScheduleDetailSchema(ScheduleSchema):
    """A schedule with what it submits and when."""

    payload = fields.Dict(required=True, allow_none=True, metadata={
        "description": "Null if it cannot be opened any more.", "additionalProperties": True})  # fmt: skip
    next_firings = fields.List(
        UtcDateTime(), required=True, metadata={"description": f"The next {PREVIEWED}; none while it rests."}
    )


class SchedulePreviewSchema(RhythmSchema):
    """A rhythm to try."""

    count = fields.Integer(
        load_default=PREVIEWED,
        strict=True,
        validate=validate.Range(min=1, max=50),
        metadata={"description": "How many firings to show.", "example": 5},
    )
    after = UtcDateTime(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=_EARLIEST, max=_LATEST),
        metadata={"description": "Show what comes later than this, from 2000 to 2200; left out, than now."},
    )


class FiringSchema(Schema):
    """One firing."""

    at = UtcDateTime(required=True)
    local = fields.String(
        required=True,
        metadata={"description": "What the zone's clock shows then.", "example": "2026-11-23T07:30:00+01:00"},
    )


class FiringListSchema(Schema):
    """Firings, the earliest first."""

    items = fields.List(fields.Nested(FiringSchema), required=True)
