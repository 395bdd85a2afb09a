"""Payloads of the kinds of the audit."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class AuditExportSchema(Schema):
    """Nothing: a chain is exported whole, because only a whole one can be verified."""


class PlatformAuditExportSchema(Schema):
    """`requested_by` is the operator who asked."""

    requested_by = fields.String(required=True, validate=validate.Length(max=200))
