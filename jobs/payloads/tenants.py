"""Payloads of what happens to a tenant. The tenant is the job's own, except where it will be gone by the end."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class TenantTurnSchema(Schema):
    """Nothing: suspend, resume, delete and undelete say all by their name."""


class TenantExportSchema(Schema):
    """Whether a person asked for it (`export`) or the platform's rhythm (`backup`), which also removes old ones."""

    kind = fields.String(load_default="export", validate=validate.OneOf(["export", "backup"]))


class TenantRestoreSchema(Schema):
    """An archive in the tenant's bucket."""

    archive_id = fields.UUID(required=True)


class TenantChangeTierSchema(Schema):
    """Where the data goes."""

    tier = fields.String(required=True, validate=validate.OneOf(["dedicated"]))


class TenantSettleSchema(Schema):
    """What was given up is read from the rows when it runs."""


class TenantEraseSchema(Schema):
    """The tenant to erase. The job belongs to the operator's tenant: the erased one's jobs are gone by its end."""

    tenant_id = fields.UUID(required=True)
