"""Payloads of the kinds of the audit."""

from __future__ import annotations

from marshmallow import Schema


class AuditExportSchema(Schema):
    """Nothing: a chain is exported whole, because only a whole one can be verified."""
