"""Public keys as RFC 7517 shows them."""

from __future__ import annotations

from marshmallow import fields, validate

from web.schemas.base import Schema


class JwkSchema(Schema):
    """An Ed25519 public key (RFC 8037)."""

    kty = fields.String(required=True, validate=validate.OneOf(["OKP"]))
    crv = fields.String(required=True, validate=validate.OneOf(["Ed25519"]))
    alg = fields.String(required=True, validate=validate.OneOf(["EdDSA"]))
    use = fields.String(required=True, validate=validate.OneOf(["sig"]))
    kid = fields.String(required=True, metadata={"example": "019ab5f0-6a3e-7c52-9f0e-3d0f6f3b8a11"})
    x = fields.String(required=True, metadata={"example": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})


class JwksSchema(Schema):
    """Every key that a valid access token may be signed with."""

    keys = fields.List(fields.Nested(JwkSchema), required=True)
