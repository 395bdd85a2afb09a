"""Payloads of the kinds that verify isolation."""

from __future__ import annotations

from marshmallow import Schema


class VerifyIsolationSchema(Schema):
    """Nothing is asked but the job's own tenant, or all of them."""
