"""What is asked of a tenant's life, and what is told of it."""

from __future__ import annotations

from marshmallow import ValidationError, fields, validate

from domain.search.log import DEFAULT_DAYS, LEVELS, MOST_DAYS
from domain.tenants.preferences import LOCALE, is_timezone
from web.schemas.base import Schema, UtcDateTime

_ID = "019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a11"
_MOST = 2**53


class TenantRestoreSchema(Schema):
    """What to restore."""

    archive_id = fields.UUID(
        required=True, metadata={"description": "An archive of this tenant, exported or uploaded.", "example": _ID}
    )


class TenantChangeTierSchema(Schema):
    """Where the tenant's data goes."""

    tier = fields.String(required=True, validate=validate.OneOf(["dedicated"]), metadata={"example": "dedicated"})


class ArchiveSchema(Schema):
    """A tenant in one file: rows as newline-delimited JSON, objects, and a signed manifest with checksums."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(["export", "backup", "upload"]))
    state = fields.String(
        required=True,
        validate=validate.OneOf(["writing", "ready"]),
        metadata={"description": "Only a `ready` archive can be downloaded and restored.", "example": "ready"},
    )
    source_tenant_id = fields.UUID(required=True, metadata={"description": "Whose data it holds."})
    bytes = fields.Integer(required=True, allow_none=True, metadata={"example": 48_213})
    sha256 = fields.String(required=True, allow_none=True, metadata={"description": "Of the file, hexadecimal."})
    schema_version = fields.String(required=True, allow_none=True, metadata={"example": "0001"})
    rows = fields.Integer(required=True, allow_none=True, metadata={"example": 1_204})
    objects = fields.Integer(required=True, allow_none=True, metadata={"example": 17})
    taken_at = UtcDateTime(required=True, allow_none=True, metadata={"description": "The moment that it shows."})
    created_by = fields.String(required=True, metadata={"example": f"user:{_ID}"})
    created_at = UtcDateTime(required=True)


def known_timezone(text: str) -> None:
    """Raise `ValidationError` unless this machine's time zone database has it."""
    if not is_timezone(text):
        raise ValidationError("Is no IANA time zone.")


class TenantSettingsSchema(Schema):
    """What a tenant sets for itself. What a PUT leaves out gets its default."""

    locale = fields.String(
        load_default="en",
        validate=validate.Regexp(LOCALE.pattern + r"\Z", error="Write it as BCP 47 does, for example `pt-BR`."),
        metadata={"description": "Language, script and region as BCP 47 writes them.", "example": "de-CH"},
    )
    timezone = fields.String(
        load_default="UTC",
        validate=[validate.Length(min=1, max=64), known_timezone],
        metadata={"description": "An IANA time zone.", "example": "Europe/Zurich"},
    )
    provider_fallback = fields.Boolean(
        load_default=True,
        truthy={True},
        falsy={False},
        metadata={
            "description": "Whether a request that its first provider cannot answer may go to another.",
            "example": True,
        },
    )
    backups = fields.Boolean(
        load_default=True,
        truthy={True},
        falsy={False},
        metadata={"description": "Whether scheduled backups take in this tenant.", "example": True},
    )
    search_log = fields.String(
        load_default="full",
        validate=validate.OneOf(LEVELS),
        metadata={"description": "What the query log keeps of a question.", "example": "redacted"},
    )
    search_log_days = fields.Integer(
        load_default=DEFAULT_DAYS,
        strict=True,
        validate=validate.Range(min=1, max=MOST_DAYS),
        metadata={"description": "For how long searches and their answers can be read.", "example": 30},
    )


class QuotasUpdateSchema(Schema):
    """All quotas of a tenant. What is left out or null is no bound."""

    jobs_per_day = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=0, max=_MOST),
        metadata={"description": "Jobs that clients submit on a day (UTC).", "example": 10_000},
    )  # fmt: skip
    storage_bytes = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=0, max=_MOST),
        metadata={"description": "Objects and archives in the bucket together.", "example": 5_000_000_000},
    )  # fmt: skip
    members = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=0, max=_MOST), metadata={"example": 25}
    )  # fmt: skip
    api_keys = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=0, max=_MOST),
        metadata={"description": "Keys that are not revoked.", "example": 10},
    )  # fmt: skip
    schedules = fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=validate.Range(min=0, max=_MOST), metadata={"example": 100}
    )  # fmt: skip


class QuotasSchema(QuotasUpdateSchema):
    """A tenant's quotas and what is used of them."""

    concurrent_jobs = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Jobs at once; `max_running` of the limits that operators set."}
    )  # fmt: skip
    used = fields.Nested(
        Schema.from_dict(
            {
                name: fields.Integer(required=True)
                for name in ("jobs_per_day", "storage_bytes", "members", "api_keys", "schedules", "concurrent_jobs")
            },
            name="QuotaUseSchema",
        ),
        required=True,
        metadata={"description": "Jobs of the day are counted while there is a quota on them."},
    )


class CertificateSchema(Schema):
    """Proof that a tenant was erased. Verify the signature (Ed25519, RFC 8032) over the bytes of `statement`."""

    id = fields.UUID(required=True)
    tenant_id = fields.UUID(required=True)
    statement = fields.String(
        required=True,
        metadata={"description": "Canonical JSON that names what was destroyed, with counts.", "example": "{}"},
    )
    signature = fields.String(required=True, metadata={"description": "Base64.", "example": "MEUCIQ=="})
    public_key = fields.String(required=True, metadata={"description": "32 bytes in base64.", "example": "11qYAY=="})
    created_at = UtcDateTime(required=True)
