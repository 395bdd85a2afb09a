"""What goes on just now, as operators see it."""

from __future__ import annotations

from marshmallow import fields

from web.schemas.base import Schema

SINCE_EVER = "Since ever: two looks tell how fast it grows."


class TenantActivitySchema(Schema):
    """A tenant that has a job running, or had one end within five minutes."""

    id = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"example": "Acme"})
    running = fields.Integer(required=True, metadata={"description": "Jobs that workers tell of.", "example": 3})
    attempts = fields.Integer(required=True, metadata={"description": SINCE_EVER, "example": 1200})
    busy_seconds = fields.Float(required=True, metadata={"description": "What they took together.", "example": 48.2})


class ProviderActivitySchema(Schema):
    """What workers asked of a provider."""

    provider = fields.String(required=True, metadata={"example": "smtp"})
    calls = fields.Integer(required=True, metadata={"description": SINCE_EVER, "example": 900})
    failures = fields.Integer(required=True, metadata={"example": 4})
    seconds = fields.Float(required=True, metadata={"description": "What the calls took together.", "example": 71.5})
    circuits_open = fields.Integer(
        required=True, metadata={"description": "Accounts that processes leave alone for now.", "example": 0}
    )


class FailuresSchema(Schema):
    """Attempts of a kind that failed with a code."""

    kind = fields.String(required=True, metadata={"example": "completion.create"})
    code = fields.String(required=True, metadata={"example": "provider_unavailable"})
    attempts = fields.Integer(required=True, metadata={"description": SINCE_EVER, "example": 7})


class ActivitySchema(Schema):
    """Who works, who is asked, and what fails."""

    tenants = fields.List(fields.Nested(TenantActivitySchema), required=True, metadata={"description": "At most 20."})
    providers = fields.List(fields.Nested(ProviderActivitySchema), required=True)
    failures = fields.List(
        fields.Nested(FailuresSchema), required=True, metadata={"description": "The most frequent, at most 20."}
    )
