"""Master keys as operators see them: names and counts, never a key."""

from __future__ import annotations

from marshmallow import fields

from web.schemas.base import Schema, UtcDateTime


class MasterKeySchema(Schema):
    """A master key, by its id in `NEXUS_MASTER_KEYS`."""

    id = fields.String(required=True, metadata={"example": "k2"})
    active = fields.Boolean(required=True, metadata={"description": "Whether it wraps what is new."})
    in_ring = fields.Boolean(
        required=True,
        metadata={"description": "Whether the API has it; if not, what stands under it cannot be opened."},
    )
    origin = fields.Boolean(
        required=True,
        metadata={
            "description": "Whether the platform's database accounts and the signatures of archives are derived from it, because `NEXUS_ORIGIN_KEY` is not set."
        },
    )
    data_keys = fields.Integer(required=True, metadata={"description": "Of tenants, under this key.", "example": 1200})
    signing_keys = fields.Integer(required=True, metadata={"description": "Under this key.", "example": 1})
    second_factors = fields.Integer(required=True, metadata={"description": "Under this key.", "example": 12})
    archives = fields.Integer(
        required=True,
        metadata={"description": "Under this key; one whose key is not known yet counts for all.", "example": 3},
    )
    retired_at = UtcDateTime(
        required=True, allow_none=True, metadata={"description": "Since when it wraps nothing new, as far as is known."}
    )
    removable = fields.Boolean(
        required=True,
        metadata={
            "description": "Whether it may leave `NEXUS_MASTER_KEYS`: nothing that the platform keeps stands under it, for a day by now. Archives that were taken elsewhere are not known here."
        },
    )


class MasterKeyListSchema(Schema):
    """All master keys. The list is short and comes whole."""

    items = fields.List(fields.Nested(MasterKeySchema), required=True)
