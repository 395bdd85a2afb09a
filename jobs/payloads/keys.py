"""Payloads of the kinds that rotate keys. What is to be done is read from the rows when it runs."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class RotateKeysSchema(Schema):
    """Nothing: the tenant is the job's."""


class DestroyKeysSchema(Schema):
    """Nothing: what may be destroyed stands in the rows."""


class RewrapKeysSchema(Schema):
    """`requested_by` is the operator who asked, as subjects are written."""

    requested_by = fields.String(required=True, validate=validate.Length(max=200))
